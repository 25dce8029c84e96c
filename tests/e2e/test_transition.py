"""What callers can do to a reload that is under way: abort it, give it a time, queue behind it, go
away; in each of its phases, under load, with nothing lost."""

import contextlib
import os

import pytest

from control import ControlError
from in_hand import in_hand
from paths import PROGRAM

pytestmark = pytest.mark.load

PHASES = ["waiting", "starting", "settling"]
FAILED = r"reload of generation \d failed while "


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


class Stuck:
    """A service whose reload to `generation` stays in one phase for as long as it is wanted."""

    def __init__(self, configured, accounts, phase, mode):
        self.phase = phase
        keys = {"waiting": {"MaxDraining": 1}, "starting": {}, "settling": {"SettleSec": 0}}[phase]
        self.web = configured([PROGRAM, "--mode", mode, *accounts.arguments], **keys)
        self.accounts, self.requests = accounts, []
        self.generation = 3 if phase == "waiting" else 2

    def begin(self, **parameters):
        if self.phase == "waiting":
            self.requests = in_hand(self.web, 2, 60_000)
            while any(shard["queue"] for shard in self.web.shards()):
                pass
            assert self.web.reload() == 2
        elif self.phase == "starting":
            self.accounts.go_wrong("--ready", "no", slot=1)
        else:
            self.web.configuration.set(SettleSec=60)
        self.reload = self.web.begin_reload(**parameters)
        self.reload.until({"waiting": "waiting", "starting": "started",
                           "settling": "settling"}[self.phase])
        return self.reload

    def mend(self):
        """What held it up is over: the next reload works."""
        if self.phase == "waiting":
            kill(self.web.pids(state="draining"))
            assert [one.answer() for one in self.requests] == [None] * 2
        elif self.phase == "starting":
            self.accounts.go_right(slot=1)
        else:
            self.web.configuration.set(SettleSec=0)
        self.web.wait_settled()


@pytest.fixture(params=["poll", "native"])
def mode(request):
    return request.param


@pytest.fixture(params=PHASES)
def stuck(request, configured, accounts, mode):
    return Stuck(configured, accounts, request.param, mode)


def failed_in(stuck, failure, reason):
    assert failure.name == "ReloadFailed"
    assert (failure.reason, failure.phase, failure.generation) == (
        reason, stuck.phase, stuck.generation)
    assert failure.parameters.get("slot") is None and failure.last_lines == []


def goes_on_with(stuck, running):
    """The generation from before serves on; the aborted one goes; the next reload works."""
    web = stuck.web
    status = web.status()
    assert (status["serving"], status["transition"]) == (stuck.generation - 1, None)
    web.wait_gone(stuck.generation)
    running.more_answers()
    stuck.mend()
    assert web.reload() == stuck.generation + 1
    running.until_generation(stuck.generation + 1)


def test_abort(stuck, load):
    """Abort takes the new generation away, whatever it is doing; both callers are told."""
    stuck.web.expect(FAILED + f"{stuck.phase}: aborted on request")
    with load(stuck.web.target()) as running:
        reload = stuck.begin()
        assert stuck.web.ask("Abort") == {"generation": stuck.generation}
        failed_in(stuck, reload.failure(), "aborted")
        goes_on_with(stuck, running)


def test_the_caller_s_timeout(stuck, load):
    """timeout_usec aborts it too, and the caller is told `timeout`."""
    stuck.web.expect(FAILED + stuck.phase + ": it took longer than its caller would wait")
    with load(stuck.web.target()) as running:
        reload = stuck.begin(timeout_usec=400_000)
        failed_in(stuck, reload.failure(), "timeout")
        goes_on_with(stuck, running)


def test_stop(stuck, load):
    """Stop aborts it and drains all: the caller is told `stopped`, and nobody who had been answered
    so far is cut."""
    stuck.web.expect(FAILED + stuck.phase + ": the supervisor is stopping")
    with load(stuck.web.target(), "--requests", "500", "--clients", "4") as running:
        reload = stuck.begin()
        running.finish()
        stuck.web.ask("Stop")
        failed_in(stuck, reload.failure(), "stopped")
        if stuck.requests:
            kill(stuck.web.pids(generation=1))
        assert stuck.web.wait() == 0


def test_busy(stuck, load):
    """A second reload is refused with the number and phase of the one under way, which goes on."""
    stuck.web.expect(FAILED + f"{stuck.phase}: aborted on request")
    with load(stuck.web.target()) as running:
        reload = stuck.begin()
        with pytest.raises(ControlError) as caught:
            stuck.web.reload()
        assert caught.value.name == "Busy"
        assert caught.value.parameters == {"generation": stuck.generation, "phase": stuck.phase}
        assert stuck.web.status()["transition"]["phase"] == stuck.phase
        stuck.web.ask("Abort")
        assert reload.failure().reason == "aborted"
        goes_on_with(stuck, running)


def test_a_caller_who_goes_away_stops_nothing(service, load, accounts):
    """The reload, and one queued behind it, go on to their ends without their callers."""
    web = service([PROGRAM, *accounts.arguments], settle="700ms")
    with load(web.target()) as running:
        first = web.begin_reload()
        first.until("settling")
        second = web.begin_reload(wait=True)
        assert second.next()["step"] == "queued"
        first.end()
        second.end()
        running.until_generation(3)
        web.wait_for(lambda: web.status()["serving"] == 3)
    assert web.log.count(r"generation \d serves ") == 3


def test_those_that_wait_have_their_turn_in_order(service, load):
    """wait: each of five queued reloads makes a generation of its own, in the order of the calls."""
    web = service(PROGRAM, settle="100ms")
    with load(web.target()):
        reloads = []
        for _ in range(5):
            reloads.append(web.begin_reload(wait=True))
            reloads[-1].next()
        assert [reload.steps[0]["step"] for reload in reloads] == ["spec"] + ["queued"] * 4
        assert [reload.done() for reload in reloads] == [2, 3, 4, 5, 6]


def test_one_that_waits_has_its_time_too(service, load, accounts):
    """timeout_usec counts from the call: a queued one whose time ends is answered, and makes no
    generation."""
    web = service([PROGRAM, *accounts.arguments])
    web.expect(FAILED + "starting: aborted on request")
    accounts.go_wrong("--ready", "no")
    with load(web.target()):
        reload = web.begin_reload()
        reload.until("started")
        queued = web.begin_reload(wait=True, timeout_usec=200_000)
        failure = queued.failure()
        assert (failure.reason, failure.phase) == ("timeout", "waiting")
        assert failure.parameters.get("generation") is None
        web.ask("Abort")
        assert reload.failure().reason == "aborted"
        accounts.go_right()
        assert web.reload() == 3


def test_the_queue_goes_on_after_a_failure(service, load, accounts):
    """A reload that fails does not take those behind it with it."""
    web = service([PROGRAM, *accounts.arguments])
    web.expect(FAILED + "starting: aborted on request")
    accounts.go_wrong("--ready", "no")
    with load(web.target()):
        first = web.begin_reload()
        first.until("started")
        second = web.begin_reload(wait=True)
        second.until("queued")
        accounts.go_right()
        web.ask("Abort")
        assert first.failure().reason == "aborted"
        assert second.done() == 3


def test_the_steps_are_told_in_order(service):
    """With `more` every step is a reply: the spec, each worker started, ready and serving with slot
    and pid, settling, draining, done."""
    web = service(PROGRAM, workers=3, settle="50ms")
    reload = web.begin_reload()
    assert reload.done() == 2
    names = [step["step"] for step in reload.steps]
    assert names[0] == "spec" and names[-3:] == ["settling", "draining", "done"]
    assert sorted(names[1:-3]) == ["ready"] * 3 + ["serving"] * 3 + ["started"] * 3
    assert all(step["generation"] == 2 for step in reload.steps)
    for name in ("started", "ready", "serving"):
        workers = {(step["slot"], step["pid"]) for step in reload.steps if step["step"] == name}
        assert workers == {(one["slot"], one["pid"]) for one in web.workers(generation=2)}


def test_abort_when_nothing_is_under_way(service):
    """There is nothing to abort: Refused, and nothing changes."""
    web = service(PROGRAM)
    with pytest.raises(ControlError) as caught:
        web.ask("Abort")
    assert caught.value.name == "Refused" and web.status()["serving"] == 1
