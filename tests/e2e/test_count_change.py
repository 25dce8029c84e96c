"""Count= changed by reloads under load, up and down: no request is lost and none is late, whatever
the program and its sockets, though slots come, leave and come back."""

import os
import signal

import pytest

import processes
from paths import HTTPD, PROGRAM
from rude import ask_until, native

pytestmark = pytest.mark.load

COUNTS = (1, 4, 2, 8, 3, 1, 6, 1, 8)  # the last as at the start, for what must not be left
SLOW_MS = 1000
PROGRAMS = {
    "httpd": [HTTPD, "--generation-header", "X-Generation"],
    "native": native(),
    "poll": [PROGRAM],
    "blocking": [PROGRAM, "--mode", "blocking"],
}
WAYS = {
    "connection": ("--clients", "16"),
    "rate": ("--rate", "1500"),
    "keepalive": ("--mode", "keepalive", "--clients", "16", "--rate", "1000"),
    "slow": ("--mode", "slow", "--clients", "16"),
}


def start(configured, program, reuse_port, count=8, arguments=()):
    """A supervisor whose listener is sharded or not, by its configuration file."""
    web = configured([*PROGRAMS[program], *arguments], Count=count,
                     listen=f"127.0.0.1:0\nReusePort={reuse_port}")
    if program == "blocking":
        web.expect("accepts in blocking mode")
    return web


def change(web, running, count):
    """Reloads with so many slots, and waits for answers from the new generation."""
    web.configuration.set(Count=count)
    number = web.reload()
    status = web.status()
    assert (status["slots"], status["slots_serving"]) == (count, count)
    running.until_generation(number)


def check_shards(web, count, reuse_port):
    """The shards of slots that have left stay, parked; nothing waits in them."""
    if reuse_port == "no":
        assert len(web.shards()) == 1
        return
    for shard in web.shards():
        assert shard["parked"] == (shard["slot"] >= count), web.shards()
    ask_until(lambda: not any(shard["queue"] for shard in web.shards() if shard["parked"]))


@pytest.mark.parametrize("reuse_port", ["no", "yes"])
@pytest.mark.parametrize("program, way", [
    *((program, "connection") for program in PROGRAMS),
    *((program, "rate") for program in PROGRAMS), ("httpd", "keepalive"), ("poll", "slow")])
def test_up_and_down(configured, load, program, way, reuse_port):
    """1 → 4 → 2 → 8 → 3 …, each by a reload: nothing lost, no answer later than a second."""
    web = start(configured, program, reuse_port)
    with load(web.target(), *WAYS[way], "--slow-threshold", SLOW_MS) as running:
        for count in COUNTS:
            change(web, running, count)
            check_shards(web, count, reuse_port)
        running.more_answers()
        web.wait_settled()
        assert len(web.pids()) == COUNTS[-1]
    assert running.finish()["slow"] == 0, running.result
    if reuse_port == "yes":
        assert len(web.shards()) == max(COUNTS)


@pytest.mark.parametrize("program", ["httpd", "poll"])
def test_back_to_back(configured, load, program):
    """Changes that do not wait for slots that still leave: a slot may come back in mid-leave."""
    web = start(configured, program, "yes")
    with load(web.target(), "--clients", "32", "--slow-threshold", SLOW_MS) as running:
        for count in (1, 8, 1, 8, 2, 7, 1, 8) * 2:
            web.configuration.set(Count=count)
            web.reload()
        web.wait_settled()
        check_shards(web, 8, "yes")
        running.more_answers()
    assert running.finish()["slow"] == 0, running.result


@pytest.mark.parametrize("program", ["native", "poll"])
@pytest.mark.parametrize("reuse_port", ["no", "yes"])
def test_a_crash_in_the_middle(configured, load, accounts, program, reuse_port):
    """A worker is killed right after each change, in a slot that stays and in one that leaves:
    only what it had accepted is lost."""
    web = start(configured, program, reuse_port, 6, accounts.arguments)
    web.expect(r"worker \d \(pid \d+\) killed by SIGKILL")
    dead = []
    with load(web.target(), "--path", "/?delay_ms=20", "--clients", "32") as running:
        for count in (2, 6, 3, 6):
            change(web, running, count)
            for slot in (0, count):
                for pid in web.pids(slot=slot, state="serving")[:1]:
                    os.kill(pid, signal.SIGKILL)
                    processes.exited(pid)
                    dead.append(pid)
        web.wait_settled()
        running.more_answers()
        running.finish()
        running.expect_cut(*accounts.cut_with(dead))
    check_shards(web, 6, reuse_port)
    assert len(dead) >= 4


@pytest.mark.parametrize("program", ["native", "poll"])
def test_fewer_slots_that_fail(configured, load, accounts, program):
    """A broken release with another Count= changes nothing: all old slots serve on."""
    web = start(configured, program, "yes", 4, accounts.arguments)
    web.expect("failed while starting")
    with load(web.target(), "--clients", "16", "--slow-threshold", SLOW_MS) as running:
        for count in (1, 3, 2):
            accounts.go_wrong("start:exit=3", slot=0)
            web.configuration.set(Count=count)
            assert web.begin_reload().failure().exit_code == 3
            web.wait_settled()
            status = web.status()
            assert (status["serving"], status["slots"], status["slots_serving"]) == (1, 4, 4)
            check_shards(web, 4, "yes")
            accounts.go_right(slot=0)
        running.more_answers()
        change(web, running, 2)
        check_shards(web, 2, "yes")
        change(web, running, 4)
    assert running.finish()["slow"] == 0
