"""When the supervisor has no descriptors left, or nobody takes its log: the service goes on, what
cannot be done says why, and is done when there is room again."""

import os
import re
import resource
import subprocess

import pytest

import processes
from control import Connection, ControlError, Reload
from paths import HANDOVERCTL, PROGRAM
from rude import SHARDED, ask_until, native, rude, storm

pytestmark = pytest.mark.load

NO_DESCRIPTORS = r"[Tt]oo many open files"


def leave_descriptors(web, n):
    """Lowers its soft limit so that it may open @n more than it has. Returns what it was."""
    limits = resource.prlimit(web.pid, resource.RLIMIT_NOFILE)
    used = processes.descriptors(web.pid)
    free = [number for number in range(len(used) + n + 1) if number not in used]
    resource.prlimit(web.pid, resource.RLIMIT_NOFILE, (free[n], limits[1]))
    return limits


def give_back(web, limits):
    resource.prlimit(web.pid, resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("options", [(), (SHARDED,)], ids=["shared", "sharded"])
@pytest.mark.parametrize("mode", ["poll", "native"])
def test_a_reload_without_descriptors(service, load, mode, options):
    """With room for 0, 1, 2 … descriptors more, a reload fails with the true reason or is done:
    each time the old generation serves on, nothing is left behind, and nothing is lost."""
    web = service([PROGRAM, "--mode", mode], options=options)
    web.expect(rf"failed(:| while starting:) .*{NO_DESCRIPTORS}")
    failed = done = 0
    with load(web.target(), "--clients", "8") as running, web.connect() as control:
        for n in range(24):
            serving = control.ask("Status")["serving"]
            web.wait_for(lambda: len(control.ask("Workers")["workers"]) == 2)
            before = len(processes.descriptors(web.pid))
            limits = leave_descriptors(web, n)
            control.call("Reload")
            try:
                control.receive()
                done += 1
            except ControlError as error:
                assert error.name == "ReloadFailed", error
                assert re.search(NO_DESCRIPTORS, error.detail), error.detail
                assert control.ask("Status")["serving"] == serving
                failed += 1
            give_back(web, limits)
            web.wait_for(lambda: len(control.ask("Workers")["workers"]) == 2)
            ask_until(lambda b=before: len(processes.descriptors(web.pid)) <= b)
        storm(web, running, 3)
    assert failed >= 5 and done >= 1, (failed, done)


def test_control_connections_without_descriptors(service, load):
    """Without a descriptor for it a connection waits; it is said once, the supervisor does not
    spin, and the connection is answered when there is room."""
    web = service(native())
    web.expect(rf"control: accepting pauses: {NO_DESCRIPTORS}")
    with load(web.target(), "--clients", "8") as running, web.connect() as control:
        control.ask("Ping")
        limits = leave_descriptors(web, 0)
        waiting = [Connection(web.socket_path).call("Ping") for _ in range(3)]
        web.log.wait("accepting pauses")
        before = int(processes.read(web.pid, "schedstat").split()[0])
        running.more_answers(2000)
        used_ms = (int(processes.read(web.pid, "schedstat").split()[0]) - before) / 1e6
        assert used_ms < 500, f"{used_ms} ms of processor time with nothing to do"
        assert control.ask("Ping")["time_usec"] > 0
        give_back(web, limits)
        for one in waiting:
            with one:
                assert one.receive()[0]["time_usec"] > 0
        storm(web, running, 3)
    assert web.log.count("accepting pauses") == 1


def test_a_crash_without_descriptors(service, load, accounts):
    """A worker that dies while there are none left is replaced when there are some: meanwhile its
    neighbour serves."""
    web = service([PROGRAM, *accounts.arguments], options=[SHARDED])
    web.expect(r"killed by SIGKILL|could not be started: .*" + NO_DESCRIPTORS)
    web.expect(NO_DESCRIPTORS)
    web.expect("died again too soon")
    with load(web.target(), "--clients", "8") as running, web.connect() as control:
        control.ask("Ping")
        (pid,) = web.pids(slot=0)
        ask_until(lambda: len(processes.descriptors(web.pid)) <= len(web.baseline))
        limits = resource.prlimit(web.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(web.pid, resource.RLIMIT_NOFILE, (4, limits[1]))
        os.kill(pid, 9)
        processes.exited(pid)
        web.log.wait("could not be started")
        assert control.ask("Status")["slots_serving"] == 1
        running.more_answers()
        give_back(web, limits)
        web.wait_for(lambda: control.ask("Status")["slots_serving"] == 2)
        running.more_answers()
        running.finish()
        running.expect_cut(*accounts.cut_with([pid]))
    assert not any(shard["parked"] for shard in web.shards())


def serves(web):
    """Waits for its control socket and its first generation, without its log."""
    def is_serving():
        try:
            return web.status()["state"] == "serving"
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    ask_until(is_serving)
    return web


def handoverctl(web, *words):
    return subprocess.run([HANDOVERCTL, "--socket", web.socket_path, *words], timeout=60,
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["/dev/full", ">(exec true)"], ids=["full", "closed"])
def test_a_log_that_takes_nothing(handoverd, load, target):
    """Disk full, or a stderr whose reader has gone: lines are lost and nothing else."""
    script = f'exec "$@" 2> {target}'
    web = handoverd("--listen", "http=127.0.0.1:0", "-w", "2", "-o", "Worker.SettleSec=0", "--",
                    *rude("binary", program=native("ready:print=200")),
                    become=["bash", "-c", script, "bash"])
    serves(web)
    web.baseline = web.count_descriptors()
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 10)
        assert handoverctl(web, "reload").returncode == 0
        assert handoverctl(web, "status").returncode == 0
    ask_until(lambda: len(web.workers()) == 2)
    ask_until(lambda: len(web.count_descriptors()) <= len(web.baseline))
    assert web.stop() == 0


def test_a_log_that_nobody_reads(handoverd, load, house):
    """stderr is a pipe whose reader has stopped: nobody waits for it, floods of a worker's output
    and reloads go on; when it is read again, it says how many lines were lost."""
    fifo = f"{house.directory()}/stderr"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR)
    web = handoverd("--listen", "http=127.0.0.1:0", "-w", "2", "-o", "Worker.SettleSec=0", "--",
                    *rude("&flood", program=native()),
                    become=["sh", "-c", f'exec "$@" 2>{fifo}', "sh"])
    serves(web)
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 5)
        assert handoverctl(web, "status").returncode == 0
        found, text = None, b""
        while not found:
            text = text[-1000:] + os.read(reader, 65536)
            found = re.search(rb"warning: lines of this log lost here: (\d+)\n", text)
        assert int(found[1]) > 100
        storm(web, running, 1)
    assert web.stop() == 0
    os.close(reader)
    ask_until(lambda: not processes.with_variable(web.variable()))  # killed, and not dead yet


def test_reloads_that_fail_leave_nothing(service, load, accounts):
    """A hundred failed reloads leave no descriptor, process or file of a notify socket behind."""
    web = service([PROGRAM, *accounts.arguments])
    web.expect("failed while starting")
    notify = f"{web.directory}/notify"
    before = len(os.listdir(notify))
    with load(web.target(), "--clients", "8"):
        accounts.go_wrong("start:exit=1")
        for _ in range(100):
            Reload(web.socket_path).failure()
        web.wait_settled()
    assert len(os.listdir(notify)) == before
