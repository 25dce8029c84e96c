"""Count= changed by a reload: slots come and leave under load, and nothing is lost with them."""

import os
import signal

import pytest

from paths import HTTPD, PROGRAM, SANITIZED

pytestmark = pytest.mark.load

ROUNDS = 3 if SANITIZED else 10
PROGRAMS = {"native": [HTTPD, "--generation-header", "X-Generation"], "poll": [PROGRAM],
            "native-library": [PROGRAM, "--mode", "native"]}


def parked(web):
    return [shard["slot"] for shard in web.shards() if shard["parked"]]


def scale(web, count):
    """Reloads with so many workers, and waits until the slots beyond them are empty."""
    web.configuration.set(Count=count)
    web.reload()
    web.wait_for(lambda: {one["slot"] for one in web.workers()} == set(range(count)))


@pytest.mark.parametrize("mode", ["connection", "keepalive", "slow"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_slots_leave_and_come_back(configured, load, program, mode):
    """6 → 2 → 4 → 1 → 6 workers of a sharded listener: no shard is closed, those without a worker
    are parked, and no request is lost."""
    web = configured(PROGRAMS[program], Count=6, reuse_port="yes")
    with load(web.target(), "--mode", mode, "--clients", "16") as running:
        for count in (2, 4, 1, 6):
            scale(web, count)
            assert parked(web) == list(range(count, 6))
            running.more_answers()


def test_scaling_an_unsharded_listener(configured, load):
    """Slots that share one socket come and go as well."""
    web = configured(PROGRAM, Count=4)
    with load(web.target()) as running:
        for count in (1, 4, 2, 4):
            scale(web, count)
            running.more_answers()


def test_a_scaling_up_that_fails(configured, load, accounts):
    """The new slots' workers cannot start: the reload fails, the new slots stay empty and parked,
    those from before serve on; mended, it works."""
    web = configured([PROGRAM, *accounts.arguments], Count=4, reuse_port="yes")
    web.expect("reload of generation .* failed while starting")
    with load(web.target()) as running:
        scale(web, 2)
        accounts.go_wrong("start:exit=5", slot=3)
        web.configuration.set(Count=4)
        assert web.begin_reload().failure().slot == 3
        web.wait_settled()
        assert {one["slot"] for one in web.workers()} == {0, 1}
        assert parked(web) == [2, 3]
        running.more_answers()
        accounts.go_right(slot=3)
        scale(web, 4)
        assert parked(web) == []


def test_a_slot_leaves_while_its_worker_is_held_back(configured, load, accounts):
    """A slot whose worker dies at every start leaves: it is not tried again, and what was to start
    it goes with it. (The hold once outlived its generation.)"""
    web = configured([PROGRAM, *accounts.arguments], Count=3, reuse_port="yes")
    web.expect(r"worker 2 \(pid \d+\) ")
    web.expect("died again too soon")
    with load(web.target()) as running:
        for _ in range(ROUNDS):
            accounts.go_wrong("start:exit=5", slot=2)
            web.wait_settled()
            (pid,) = web.pids(slot=2)
            n_lines = len(web.log.lines)
            os.kill(pid, signal.SIGTERM)
            web.log.wait(r"slot 2: died again too soon; started again in 0\.[12] s", n_lines)
            scale(web, 2)
            accounts.go_right(slot=2)  # whoever waited in the queue is served by a worker for them
            running.more_answers(100)
            scale(web, 3)
