"""Workers that die: only what they had accepted is lost, to the last request; nothing is refused,
and whoever died is replaced."""

import contextlib
import os
import signal
import socket

import pytest

import processes
from paths import HTTPD, PROGRAM

pytestmark = pytest.mark.load

SLOW = ("--path", "/?delay_ms=40")
SHARDED = "Listener http.ReusePort=yes"
KILLED = r"worker \d+ \(pid \d+\) killed by SIG"

# Those that do not end a process, and those that the program handles (TERM) or ignores (PIPE).
HARMLESS = {"CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH", "PIPE", "TERM"}
DEADLY = [number for number in signal.Signals
          if number.name.removeprefix("SIG") not in HARMLESS]

NAMES = {signal.SIGRTMAX: "SIGRTMIN+30", signal.SIGIO: "SIGPOLL"}  # as glibc calls them


def kill(pid, number=signal.SIGKILL):
    """Kills it and waits until it is dead: what it did until then is in its accounts."""
    os.kill(pid, number)
    processes.exited(pid)


def killed(web, accounts, running, pids):
    """Waits until all is whole again; what was lost is what @pids had accepted."""
    web.wait_settled()
    running.more_answers(20)
    running.finish()
    running.expect_cut(*accounts.cut_with(pids))


@pytest.mark.parametrize("options", [(), (SHARDED,)], ids=["shared", "sharded"])
@pytest.mark.parametrize("mode", ["poll", "native"])
def test_every_signal_that_ends_a_process(service, load, accounts, mode, options):
    """A worker is killed by each signal, in a slot of its own: each is replaced at once, only its
    accepted requests are lost, and the status names the signal."""
    web = service([PROGRAM, "--mode", mode, *accounts.arguments], workers=len(DEADLY),
                  options=options)
    web.expect(r"worker \d+ \(pid \d+\) killed by ")
    dead = []
    with load(web.target(), *SLOW, "--clients", "200") as running:
        for slot, number in enumerate(DEADLY):
            (pid,) = web.pids(slot=slot)
            kill(pid, number)
            dead.append(pid)
            web.wait_for(lambda: web.workers(slot=slot, state="serving"))
            crash = web.status()["last_crash"]
            assert f"(pid {pid}) killed by {NAMES.get(number) or number.name}" in crash
        killed(web, accounts, running, dead)
    assert web.status()["crashes"] == len(DEADLY)
    assert not web.log.count("died again too soon"), "the first death of a slot is held back"
    assert running.cut[0] > 0, "nobody was killed with a request in hand"


def test_a_worker_that_is_told_to_end_by_somebody_else_drains_and_is_replaced(service, load):
    """SIGTERM from outside: the worker drains by itself, loses nothing, and is replaced."""
    web = service(PROGRAM, options=[SHARDED])
    web.expect(r"worker 0 \(pid \d+\) exited with status 0")
    with load(web.target(), *SLOW) as running:
        (pid,) = web.pids(slot=0)
        kill(pid, signal.SIGTERM)
        web.wait_for(lambda: web.workers(slot=0, state="serving"))
        running.more_answers()


def test_a_native_worker_that_is_sent_sigterm_keeps_no_connection_waiting(service, load):
    """One with idle clients drains for as long as they stay. It was taken to serve on: its shard
    got its share of new connections, which nobody accepted until the worker had gone."""
    web = service([HTTPD, "--generation-header", "X-Generation"], options=[SHARDED])
    web.expect(r"worker 0 \(pid \d+\) drains, and not because it was asked to")
    (pid,) = web.pids(slot=0)
    address = ("127.0.0.1", int(web.target().rpartition(":")[2]))
    with contextlib.ExitStack() as idle:
        for _ in range(40):
            client = idle.enter_context(socket.create_connection(address))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4096)
        os.kill(pid, signal.SIGTERM)
        web.wait_for(lambda: web.workers(pid=pid, state="draining"))
        web.wait_for(lambda: web.workers(slot=0, state="serving"))
        with load(web.target(), "--timeout", "3") as running:
            running.more_answers(200)
        assert web.workers(pid=pid, state="draining")


def test_killed_while_it_starts(service, load, accounts):
    """A worker of the new generation that is killed before it is ready fails the reload, with the
    signal and the phase; only what it had accepted is lost."""
    web = service([PROGRAM, *accounts.arguments])
    web.expect("reload of generation 2 failed while starting: .* killed by SIGSEGV")
    accounts.go_wrong("--ready", "no")
    with load(web.target(), *SLOW, "--clients", "32") as running:
        reload = web.begin_reload()
        pid = reload.until("started")["pid"]
        running.until_generation(2)
        kill(pid, signal.SIGSEGV)
        failure = reload.failure()
        web.wait_gone(2)
        killed(web, accounts, running, [pid])
    assert (failure.phase, failure.reason, failure.signal) == ("starting", "killed", "SIGSEGV")
    assert (failure.pid, failure.generation) == (pid, 2)
    assert web.status()["serving"] == 1


@pytest.mark.parametrize("mode", ["poll", "native"])
def test_killed_while_it_is_held_at_the_gate(service, load, accounts, mode):
    """One worker is ready, the other is not: the ready one is killed. A native one had accepted
    nothing, so nothing is lost with it."""
    web = service([PROGRAM, "--mode", mode, *accounts.arguments])
    web.expect("reload of generation 2 failed while starting: .* killed by SIGKILL")
    accounts.go_wrong("--ready", "no", slot=1)
    with load(web.target(), *SLOW, "--clients", "32") as running:
        reload = web.begin_reload()
        ready = reload.until("ready")
        assert ready["slot"] == 0
        assert web.pids(generation=2, state="ready") == [ready["pid"]]
        kill(ready["pid"])
        failure = reload.failure()
        web.wait_gone(2)
        killed(web, accounts, running, [ready["pid"]])
    assert (failure.reason, failure.signal, failure.slot) == ("killed", "SIGKILL", 0)
    if mode == "native":
        assert running.cut == (0, 0)
        assert set(running.generations()) == {1}


def test_the_new_one_killed_while_it_settles(service, load, accounts):
    """A worker of the new generation that dies before the drain gate fails the reload; the old
    generation has served all along."""
    web = service([PROGRAM, *accounts.arguments], settle="2s")
    web.expect("reload of generation 2 failed while settling: .* killed by SIGABRT")
    with load(web.target(), *SLOW, "--clients", "32") as running:
        reload = web.begin_reload()
        reload.until("settling")
        running.until_generation(2)
        pid = web.pids(generation=2)[0]
        kill(pid, signal.SIGABRT)
        failure = reload.failure()
        web.wait_gone(2)
        killed(web, accounts, running, [pid])
    assert (failure.phase, failure.signal, failure.pid) == ("settling", "SIGABRT", pid)
    assert web.status()["serving"] == 1


@pytest.mark.parametrize("options", [(), (SHARDED,)], ids=["shared", "sharded"])
def test_the_old_one_killed_while_the_new_one_settles(service, load, accounts, options):
    """Until the drain gate the old generation is repaired from its own spec, and the reload goes
    on; afterwards its replacement drains with it."""
    web = service([PROGRAM, *accounts.arguments], settle="1s", options=options)
    web.expect(KILLED)
    with load(web.target(), *SLOW, "--clients", "32") as running:
        reload = web.begin_reload()
        reload.until("settling")
        pid = web.pids(generation=1, slot=0)[0]
        kill(pid)
        web.wait_for(lambda: web.workers(generation=1, slot=0, state="serving"))
        assert web.status()["transition"]["phase"] == "settling"
        assert reload.done() == 2
        killed(web, accounts, running, [pid])
    assert set(running.generations()) == {1, 2}


def test_killed_while_it_drains(service, load, accounts):
    """A worker that is killed while it drains is lost with what it had in hand, and not replaced."""
    web = service([PROGRAM, *accounts.arguments], options=[SHARDED])
    with load(web.target(), "--path", "/?delay_ms=2000", "--clients", "40") as slow, \
            load(web.target()) as quick:
        pids = web.pids(generation=1)
        assert web.reload() == 2
        assert sorted(web.pids(generation=1, state="draining")) == sorted(pids)
        quick.more_answers()  # those that it has in hand are the slow ones now
        for pid in pids:
            kill(pid)
        web.wait_gone(1)
        killed(web, accounts, slow, pids)
        quick.more_answers()
    assert slow.cut[0] >= 1
    assert web.status()["crashes"] == 0


def test_a_crash_loop_is_held_back_and_its_shard_parked(service, load, accounts):
    """A worker that dies again and again is started less and less often; its shard is left out
    meanwhile, so that requests that come now are answered by the others without delay."""
    web = service([PROGRAM, *accounts.arguments], workers=3, options=[SHARDED])
    web.expect(KILLED)
    web.expect(r"worker 1 \(pid \d+\) exited with status 7")
    web.expect(r"slot 1: died again too soon; started again in [\d.]+ s")
    with load(web.target(), *SLOW, "--clients", "16") as running:
        accounts.go_wrong("start:exit=7", slot=1)
        (pid,) = web.pids(slot=1)
        kill(pid)
        web.log.wait(r"started again in 0\.8 s")
        holds = [line.split()[-2] for line in web.log.lines if "died again" in line]
        assert holds == ["0.1", "0.2", "0.4", "0.8"]
        assert [shard["parked"] for shard in web.shards()] == [False, True, False]
        status = web.status()
        assert (status["slots_serving"], status["slots"]) == (2, 3)
        with load(web.target(), "--timeout", "2") as others:
            others.more_answers(300)
        accounts.go_right(slot=1)
        web.wait_for(lambda: web.workers(slot=1, state="serving"))
        assert not any(shard["parked"] for shard in web.shards())
        killed(web, accounts, running, [pid])


@pytest.mark.parametrize("options", [(), (SHARDED,)], ids=["shared", "sharded"])
def test_when_nobody_can_start_connections_wait(service, load, accounts, options):
    """All workers die and none can be started: no connection is refused; each waits in the queue
    and is answered once the program is mended."""
    web = service([PROGRAM, *accounts.arguments], options=options)
    web.expect(KILLED)
    web.expect(r"worker \d \(pid \d+\) exited with status 1")
    web.expect("died again too soon")
    with load(web.target(), *SLOW, "--clients", "32", "--timeout", "20") as running:
        accounts.go_wrong("start:exit=1")
        pids = web.pids()
        for pid in pids:
            kill(pid)
        web.log.wait(r"slot 0: died again .* in 0\.4 s")
        assert web.status()["slots_serving"] == 0
        assert not any(shard["parked"] for shard in web.shards())
        web.wait_for(lambda: sum(shard["queue"] for shard in web.shards()) > 0)
        accounts.go_right()
        killed(web, accounts, running, pids)


def test_a_crash_in_the_middle_of_each_reload(service, load, accounts):
    """A worker of the serving generation dies at every reload: reloads succeed all the same, and
    only what the dead had accepted is lost."""
    web = service([PROGRAM, *accounts.arguments], workers=3, options=[SHARDED])
    web.expect(KILLED)
    dead = []
    with load(web.target(), *SLOW, "--clients", "32") as running:
        for number in range(2, 12):
            pid = web.pids(generation=number - 1)[number % 3]
            reload = web.begin_reload()
            reload.until("spec")
            kill(pid)
            dead.append(pid)
            assert reload.done() == number
        killed(web, accounts, running, dead)
