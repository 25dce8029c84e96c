"""Requests in flight across reloads: long ones are finished by who accepted them, however many
reloads pass over them; deadlines cut exactly what they must; MaxDraining= waits or hurries."""

import pytest

from in_hand import in_hand
from paths import HTTPD, PROGRAM, SANITIZED

pytestmark = pytest.mark.load

NATIVE = [HTTPD, "--generation-header", "X-Generation", "--allow-delay"]
PROGRAMS = {"native": NATIVE, "poll": [PROGRAM], "native-library": [PROGRAM, "--mode", "native"]}
KILLED = r"generation \d+ worker \d+ \(pid \d+\) has not drained in time: killed"
LONG_MS = 60_000


def accepted(web):
    """Waits until no connection is in a queue: each is in some worker's hand."""
    while any(shard["queue"] for shard in web.shards()):
        pass


def send(web, count, delay_ms):
    requests = in_hand(web, count, delay_ms)
    accepted(web)
    return requests


@pytest.mark.parametrize("max_draining", [16, 100])
@pytest.mark.parametrize("program", ["native", "poll"])
def test_forty_long_requests_across_twenty_reloads(service, load, program, max_draining):
    """Two requests of 3 s are sent to each of 20 generations, reload upon reload: each is answered
    by the generation that accepted it, its own or, where that had not heard yet that it is to drain,
    the one before. With MaxDraining=16 some reload waits for the first to go, with 100 none does."""
    web = service(PROGRAMS[program], options=[f"Worker.MaxDraining={max_draining}"])
    requests, waited, most = [], 0, 0
    with load(web.target(), "--clients", "4"):
        for number in range(1, 21):
            requests += [(number, one) for one in send(web, 2, 3000)]
            reload = web.begin_reload()
            assert reload.done() == number + 1
            waited += any(step["step"] == "waiting" for step in reload.steps)
            most = max(most, sum(one["state"] == "draining"
                                 for one in web.status()["generations"]))
        for number, one in requests:
            assert one.answer() in (number, number - 1)
    assert most <= max_draining
    if not SANITIZED:  # then reloads are slower, and fewer overlap within the 3 s
        assert most >= min(max_draining, 20) - 4
    assert max_draining == 16 or waited == 0


@pytest.mark.parametrize("program", ["poll", "native-library"])
def test_the_deadline_of_a_drain_cuts_what_is_left(service, load, program):
    """TimeoutStopSec=1: the requests that would take a minute are cut with their workers, and
    nothing else is; those that are done within the second are answered."""
    web = service(PROGRAMS[program], options=["Worker.TimeoutStopSec=1"])
    web.expect(KILLED)
    with load(web.target()) as running:
        long = send(web, 10, LONG_MS)
        short = send(web, 10, 300)
        assert web.reload() == 2
        workers = web.workers(state="draining")
        assert workers and all(one["deadline_usec"] for one in workers)
        assert [one.answer() for one in short] == [1] * 10
        assert [one.answer() for one in long] == [None] * 10
        web.wait_gone(1)
        running.more_answers()


def test_the_deadline_of_a_stop_cuts_what_is_left(service):
    """The same when all stops: handoverd ends with 0 after TimeoutStopSec=."""
    web = service(PROGRAM, options=["Worker.TimeoutStopSec=500ms"])
    web.expect(KILLED)
    long, short = send(web, 3, LONG_MS), send(web, 3, 100)
    web.ask("Stop")
    assert web.status()["state"] == "stopping"
    assert [one.answer() for one in short + long] == [1] * 3 + [None] * 3
    assert web.wait() == 0


@pytest.mark.parametrize("now", [{"now": True}, "signals"], ids=["now", "twice"])
def test_a_stop_at_once_waits_for_nobody(service, now):
    """Stop(now) and a second signal kill workers that still drain."""
    web = service(PROGRAM)
    long = send(web, 3, LONG_MS)
    if now == "signals":
        web.signal(15)
        web.log.wait("SIGTERM: draining")
        web.signal(15)
    else:
        web.ask("Stop", **now)
    assert web.wait() == 0
    assert [one.answer() for one in long] == [None] * 3


def test_a_worker_that_does_not_drain_is_killed(service, load):
    """A worker that ignores SIGTERM accepts on until its deadline: then it is killed, and what it
    had in hand is all that is lost."""
    web = service([PROGRAM, "--ignore-term"], options=["Worker.TimeoutStopSec=300ms"])
    web.expect(KILLED)
    with load(web.target(), "--clients", "8") as running:
        assert web.reload() == 2
        web.wait_gone(1)
        running.more_answers()
        running.finish()
        running.expect_cut(0, 2 * 8)


@pytest.mark.parametrize("program", ["poll", "native-library"])
def test_max_draining_waits(service, load, program):
    """MaxDraining=1: while generation 1 drains for a second a third is not started; the reload says
    for whom it waits, and goes on when it has gone."""
    web = service(PROGRAMS[program], options=["Worker.MaxDraining=1"])
    with load(web.target()):
        requests = send(web, 4, 1000)
        assert web.reload() == 2
        reload = web.begin_reload()
        waiting = reload.until("waiting")
        assert waiting["detail"].startswith("for generation 1 to go: 1 generations drain")
        status = web.status()
        assert status["transition"]["phase"] == "waiting"
        assert not web.pids(generation=3)
        assert reload.done() == 3
        assert web.log.count("generation 1 is gone")
        assert [one.answer() for one in requests] == [1] * 4


def test_max_draining_hurries(configured, load):
    """MaxDrainingAction=hurry: the oldest generation's deadline becomes now, and the reload goes on
    at once; its requests are cut, those of the one that drains beside it are not."""
    web = configured(PROGRAM, MaxDraining=2, MaxDrainingAction="hurry")
    web.expect(KILLED)
    with load(web.target()):
        first = send(web, 4, LONG_MS)
        assert web.reload() == 2
        second = send(web, 4, 1500)
        assert web.reload() == 3
        reload = web.begin_reload()
        assert "it is hurried" in reload.until("waiting")["detail"]
        assert reload.done() == 4
        assert [one.answer() for one in first] == [None] * 4
        assert [one.answer() for one in second] == [2] * 4


def test_a_lower_max_draining_hurries_as_many_as_it_takes(configured, load):
    """With three generations draining, MaxDraining=1 is configured: one after the other is hurried,
    the oldest first, until there is room."""
    web = configured(PROGRAM)
    web.expect(KILLED)
    with load(web.target()):
        requests = []
        for number in range(1, 4):
            requests += send(web, 2, LONG_MS)
            assert web.reload() == number + 1
        web.configuration.set(MaxDraining=1, MaxDrainingAction="hurry")
        reload = web.begin_reload()
        assert reload.done() == 5
        hurried = [step["detail"].split()[2] for step in reload.steps if step["step"] == "waiting"]
        assert hurried == ["1", "2", "3"]
        assert [one.answer() for one in requests] == [None] * 6
