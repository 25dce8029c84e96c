"""What once ended the supervisor, or made it harm workers that did nothing wrong."""

import os
import signal
import socket

import pytest

from paths import PROGRAM

IGNORING_SIGCHLD = ("/usr/bin/python3", "-c",
                    "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
                    "os.execv(sys.argv[1], sys.argv[1:])")


def request(web):
    host, port = web.shards()[0]["address"].rsplit(":", 1)
    client = socket.create_connection((host, int(port)), timeout=30)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return client


def answered(client):
    with client:
        return client.recv(4096).startswith(b"HTTP/1.1 200")


def test_sigchld_ignored_by_the_parent(service):
    """The kernel reaped the workers itself: they never ended for us, and the loop spun."""
    web = service(PROGRAM, become=IGNORING_SIGCHLD)
    web.expect(r"worker 0 \(pid \d+\) killed by SIGKILL")
    os.kill(web.pids(slot=0)[0], signal.SIGKILL)
    web.wait_for(lambda: web.status()["crashes"] == 1)
    web.wait_settled()


def test_a_stopped_supervisor_blames_nobody(service):
    """It was stopped for longer than WatchdogSec=: every worker was taken to hang, though its pings
    were there to be read."""
    web = service(PROGRAM, options=["Worker.WatchdogSec=1s"])
    pids = web.pids()
    web.signal(signal.SIGSTOP)
    with pytest.raises(socket.timeout), web.connect() as connection:
        connection.socket.settimeout(1.5)
        connection.ask("Ping")
    web.signal(signal.SIGCONT)
    web.ask("Ping")
    web.wait_settled()
    assert web.pids() == pids


def test_a_worker_that_left_its_process_group_is_killed(service):
    """SIGKILL went to its group only: it never died, and a stop never ended."""
    web = service(["/usr/bin/python3", "-c",
                   "import os, signal, socket; os.setpgid(0, os.getpgid(os.getppid())); "
                   "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
                   "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
                   "s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); signal.pause()"],
                  workers=1, options=["Worker.TimeoutStopSec=200ms"])
    web.expect(r"has not drained in time: killed")
    web.reload()
    web.wait_gone(1)


def test_a_worker_dies_in_a_slot_that_left_and_is_wanted_again(configured, accounts):
    """It was replaced from its generation, which was gone by then. Before that it drained never,
    for it let its queue wait."""
    accounts.go_wrong("ready:hang", slot=1)
    web = configured([PROGRAM, *accounts.arguments], reuse_port="yes")
    web.expect(r"worker 1 \(pid \d+\) killed by SIGKILL")
    clients = [request(web) for _ in range(24)]
    web.configuration.set(Count=1)
    web.reload()
    (hanging,) = web.pids(slot=1)
    accounts.go_right(slot=1)
    web.configuration.set(Count=2, SettleSec=1)
    reload = web.begin_reload()
    reload.until("settling")
    os.kill(hanging, signal.SIGKILL)
    reload.done()
    assert all(answered(client) for client in clients)


def test_a_worker_of_a_slot_that_leaves_hangs(configured, accounts):
    """It was waited for until its queue would be empty, for ever. Now others take the queue over."""
    accounts.go_wrong("ready:hang", slot=1)
    web = configured([PROGRAM, *accounts.arguments], reuse_port="yes", TimeoutStopSec="1s")
    clients = [request(web) for _ in range(24)]
    web.configuration.set(Count=1)
    accounts.go_right(slot=1)
    web.reload()
    assert all(answered(client) for client in clients)
    web.wait_gone(1)


def test_a_failed_reload_changes_what_is_expected_of_nobody(configured):
    """A generation that failed had said READY=1: from then on a simple program that ran well could
    not be started again after a crash."""
    simple = ["/usr/bin/python3", "-c", "'import signal; signal.pause()'"]
    web = configured(simple, Count=1, TimeoutStartSec="3s")
    web.expect(r"reload of generation 2 failed while settling: aborted on request")
    web.expect(r"worker 0 \(pid \d+\) killed by SIGKILL")
    web.configuration.run(PROGRAM)
    web.configuration.set(SettleSec=60)
    web.begin_reload().until("settling")
    web.ask("Abort")
    web.wait_settled()
    os.kill(web.pids()[0], signal.SIGKILL)
    web.wait_for(lambda: web.status()["crashes"] == 1)
    web.wait_settled()
