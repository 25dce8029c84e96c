"""Workers that break every rule but one: they serve. What they write, send and leave behind hurts
nobody but themselves, and reloads go on under load."""

import ctypes
import os
import re
import signal
import socket
import subprocess

import pytest

import processes
from paths import PROGRAM
from rude import SHARDED, ask_until, native, rude, storm

pytestmark = pytest.mark.load

SLOW = ("--path", "/?delay_ms=40")
BROKEN_PACKETS = r"no JSON object|only a supervisor sends|unknown message|is missing|Expected string"


@pytest.mark.parametrize("actions, complaints", [
    (["garbage"], BROKEN_PACKETS),
    (["huge"], "no JSON object"),
    (["descriptors"], "descriptors that nobody asked for"),
    (["notify-descriptors"], None),
    (["&statuses"], None),
    (["&notifications"], None),
    (["odd-datagrams"], "was not believed"),
], ids=lambda value: "".join(value) if isinstance(value, list) else "")
@pytest.mark.parametrize("mode", ["poll", "native"])
def test_nonsense_on_its_channel_and_notify_socket(service, load, actions, complaints, mode):
    """Packets that are garbage, too large, laden with descriptors, said twice or without end: they
    are complained about (ten times at most a worker), reloads are quick, and nothing is lost."""
    web = service(rude(*actions, program=[PROGRAM, "--mode", mode]))
    if complaints:
        web.expect(rf"worker \d \(pid \d+\): .*({complaints})")
    with load(web.target(), "--clients", "8") as running:
        storm(web, running)
    for pid in {int(one) for one in re.findall(r"\(pid (\d+)\): ready → serving", web.log.text())}:
        assert web.log.count(rf"warning: .*\(pid {pid}\)") <= 10


def test_ready_said_again(service, load):
    """Ready three times makes a native worker ready once."""
    web = service(rude("ready-twice", program=native()))
    with load(web.target(), "--clients", "8") as running:
        storm(web, running)
    assert web.log.count("starting → ready") == web.log.count("ready → serving") == 12


@pytest.mark.parametrize("how", ["close-channel", "empty-packet"])
def test_a_program_without_its_channel(service, load, how):
    """A program that closes its channel, or sends a packet that reads like an end, needs none: it
    is reloaded as ever."""
    web = service(rude(how))
    with load(web.target(), "--clients", "8") as running:
        storm(web, running)


def test_a_native_worker_that_lost_its_channel_drains_by_signal(service, load):
    """A native worker whose packet read like an end of its channel cannot be told to drain: it
    gets the signal, and generations go on."""
    web = service(native())
    with load(web.target(), "--clients", "8") as running:
        for pid in web.pids():
            sever(pid)
        running.more_answers()
        storm(web, running)
        web.wait_gone(1)


def sever(pid):
    """Sends an empty packet into a worker's channel from its side of it."""
    environment = dict(one.split(b"=", 1) for one in processes.read(pid, "environ").split(b"\0")
                       if b"=" in one)
    pidfd = os.pidfd_open(pid)
    try:
        number = pidfd_getfd(pidfd, int(environment[b"HANDOVER_FD"]))
        with socket.socket(fileno=number) as channel:
            channel.send(b"")
    finally:
        os.close(pidfd)


def pidfd_getfd(pidfd, number):
    fd = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, number, 0)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd


@pytest.mark.parametrize("action", ["&flood", "&endless-line"])
def test_output_without_end(configured, load, action):
    """A worker that writes as fast as a pipe takes it: the others serve, a reload is quick, control
    answers, and so does the way back; lines that the log cannot take are counted."""
    web = configured(PROGRAM)
    with load(web.target(), "--clients", "8") as running:
        web.configuration.run(rude(action))
        storm(web, running, 3)
        for _ in range(10):
            assert web.status()["slots_serving"] == 2
        web.configuration.run(PROGRAM)
        storm(web, running, 2)
    lost = [line for line in web.log.lines if "lines of this log lost here: " in line]
    for line in lost:
        assert int(line.rsplit(": ", 1)[1]) > 0
    if lost:
        web.expect("lines of this log lost here")


def test_binary_output_and_status_are_made_readable(service, load):
    """Bytes that are no text, in lines and in STATUS=: the log has no control character, and
    replies are valid JSON with U+FFFD in their place."""
    web = service(rude("binary", "odd-status", program=[PROGRAM, "--ready", "yes"]))
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 3)
        web.workers()
    text = web.log.text()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text), "control characters in the log"
    assert web.log.count("1/0")


def test_an_odd_status_is_shown(service, load):
    """A status that is not UTF-8 and would drive a terminal is reported without harm."""
    web = service(rude("&odd-status", program=native()))
    with load(web.target(), "--clients", "8") as running:
        ask_until(lambda: all("red" in (one["status"] or "") for one in web.workers()))
        running.more_answers()
    assert all("�" in one["status"] for one in web.workers())


@pytest.mark.parametrize("kind, survives", [("grandchild", False), ("stray", True)])
@pytest.mark.parametrize("mode", ["poll", "native"])
def test_grandchildren_that_hold_its_output(service, load, accounts, mode, kind, survives):
    """A dead worker's grandchildren hold its pipes: its end is seen at once all the same, those of
    its process group are killed with it, and one that left the group lives on and is not waited
    for."""
    web = service([PROGRAM, "--mode", mode, f"ready:{kind}", *accounts.arguments])
    web.expect(r"worker 0 \(pid \d+\) killed by SIGKILL")
    with load(web.target(), "--clients", "8") as running:
        (pid,) = web.pids(slot=0)
        (child,) = children_of(pid)
        os.kill(pid, signal.SIGKILL)
        processes.exited(pid)
        web.wait_for(lambda: web.workers(slot=0, state="serving") and pid not in web.pids())
        if not survives:
            processes.exited(child)
        else:
            assert processes.status(child)
        storm(web, running, 3)
        running.finish()
        running.expect_cut(*accounts.cut_with([pid]))
    web.wait_settled()
    if survives:
        web.stop()
        for one in processes.with_variable(web.variable()):
            os.kill(one, signal.SIGKILL)
            processes.exited(one)


def children_of(parent):
    def found():
        return [pid for pid in processes.numbers()
                if (processes.status(pid) or ("", 0))[1] == parent]
    while not found():
        os.sched_yield()
    return found()


@pytest.mark.parametrize("options", [(), (SHARDED,)], ids=["shared", "sharded"])
def test_a_worker_that_says_it_stops_is_replaced(service, load, accounts, options):
    """STOPPING=1 unasked: the worker drains by itself, another takes its place, nothing is lost."""
    web = service([PROGRAM, *accounts.arguments], options=options)
    web.expect(r"worker 0 \(pid \d+\) says that it stops \(STOPPING=1\)")
    accounts.go_wrong("ready+500:stopping", slot=0)
    with load(web.target(), *SLOW, "--clients", "16") as running:
        web.reload()
        accounts.go_right(slot=0)
        web.log.wait("says that it stops")
        web.log.wait("slot 0: worker .* replaces the one that was lost")
        running.more_answers()
        web.wait_settled()
    assert web.status()["crashes"] == 1


WAYS_TO_HANG = {"hangs": ("--ignore-term", "ready+1000:hang"), "says-so": ("ready+1000:trigger",)}


@pytest.mark.parametrize("options", [(), (SHARDED,)], ids=["shared", "sharded"])
@pytest.mark.parametrize("how", ["stopped", "hangs", "says-so"])
def test_a_missed_watchdog(service, load, accounts, options, how):
    """A worker that stops pinging is taken out and replaced while the others serve. One that was
    only stopped is woken to drain and loses nothing; one that hangs is killed at its deadline, and
    what it had in hand is all that is lost."""
    web = service([PROGRAM, *accounts.arguments], workers=3,
                  options=["Worker.WatchdogSec=500ms", "Worker.TimeoutStopSec=1s", *options])
    why = r"says that it hangs" if how == "says-so" else "missed its watchdog"
    web.expect(rf"worker 0 \(pid \d+\) {why}")
    (pid,) = web.pids(slot=0)
    with load(web.target(), *SLOW, "--clients", "16") as running:
        if how == "stopped":
            os.kill(pid, signal.SIGSTOP)
        else:
            accounts.go_wrong(*WAYS_TO_HANG[how], slot=0)
            assert web.reload() == 2
            pid = int(web.log.wait(r"generation 2: serving: worker 0 \(pid (\d+)\)")[1])
            accounts.go_right(slot=0)
        web.log.wait(rf"worker 0 \(pid {pid}\) {why}")
        web.log.wait("slot 0: worker .* replaces the one that was lost")
        processes.exited(pid)
        web.wait_settled()
        running.more_answers()
        running.finish()
        if how == "hangs":
            web.expect(r"has not drained in time: killed")
            running.expect_cut(*accounts.cut_with([pid]))
            assert running.cut[0] > 0, "it had nothing in hand"
    assert not any(shard["parked"] for shard in web.shards())


def test_more_time_to_start(service, load, accounts):
    """EXTEND_TIMEOUT_USEC= keeps a worker that is slow to start from being given up."""
    web = service([PROGRAM, *accounts.arguments], options=["Worker.TimeoutStartSec=500ms"])
    late = service(rude("extend", "late"), options=["Worker.TimeoutStartSec=500ms"])
    web.expect("did not get ready within 0.5 s")
    accounts.go_wrong("--ready", "late=1500")
    with load(web.target(), "--clients", "8"), load(late.target(), "--clients", "8") as running:
        assert late.reload() == 2
        running.until_generation(2)
        failure = web.begin_reload().failure()
    assert (failure.reason, failure.phase) == ("timeout", "starting")


@pytest.mark.parametrize("action, words", [("barrier", "before the barrier"),
                                           ("notify-ready", "by a helper")])
def test_barriers_are_passed(service, load, action, words):
    """BARRIER=1, by hand and by systemd-notify, which waits for it: passed once READY=1 has been
    heard."""
    web = service(rude(action, program=[PROGRAM, "--ready", "no"]))
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 2)
        # Some were ready before they became the program.
        ask_until(lambda: set(web.pids()) <= set(processes.with_variable(web.variable())))
    assert len(web.workers(kind="notify", state="serving", status=words)) == 2
    if action == "barrier":
        assert web.log.count("the barrier is passed") == 6


@pytest.mark.parametrize("access", ["all", "main"])
def test_whose_notifications_count(service, load, access):
    """With NotifyAccess=main the words of the worker's children are refused, and it is said; the
    default believes them."""
    web = service(rude(program=[PROGRAM]), options=[f"Worker.NotifyAccess={access}"])
    with load(web.target(), "--clients", "8") as running:
        for worker in web.workers():
            tell_from_outside(worker["pid"])
        if access == "main":
            web.expect(r"a notification from pid \d+ was not believed")
            web.log.wait("was not believed")
        else:
            ask_until(lambda: len(web.workers(status="a stranger's words")) == 2)
        running.more_answers()
        storm(web, running, 2)


def tell_from_outside(pid):
    """A process that is not the worker writes to its notify socket."""
    (path,) = re.findall(rb"NOTIFY_SOCKET=([^\0]+)", processes.read(pid, "environ"))
    subprocess.run(["/usr/bin/systemd-notify", "--pid=1", "STATUS=a stranger's words"],
                   env={"NOTIFY_SOCKET": path.decode()}, check=False, timeout=30)


def test_limits_of_descriptors(service, load):
    """LimitNOFILE= is what a worker gets; one with hardly any left for connections answers slowly,
    and loses nothing."""
    web = service(rude("limits"), options=["Worker.LimitNOFILE=300:400"])
    web.log.wait(r"1/0\[\d+\]: limits 300 400")
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 2)
