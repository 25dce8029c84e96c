"""handoverctl against a scripted supervisor: screens, exit statuses, --json, failures."""

import errno
import glob
import json
import os
import pty
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from fake_control import FakeControl, close, error, raw, reply, step, wait_for

CTL = os.path.join(os.path.abspath(os.environ.get("BUILD", "build")), "bin", "handoverctl")
CONTROL = "io.handover.Control."
NAME = "web-of-test-ctl"  # no supervisor of this machine is called so


def now_usec(seconds_ago=0):
    return int((time.time() - seconds_ago) * 1e6)


def status_of(**changes):
    hour = 3600
    status = {
        "name": "web", "version": "0.1.0", "pid": 4242, "state": "serving",
        "since_usec": now_usec(30 * hour), "serving": 7, "slots": 4, "slots_serving": 4,
        "generations": [
            {"generation": 6, "state": "draining", "since_usec": now_usec(3), "workers": 1,
             "executable": "/usr/bin/python3", "command": ["python3", "old.py"]},
            {"generation": 7, "state": "serving", "since_usec": now_usec(2 * hour + 780 + 5),
             "workers": 4, "executable": "/usr/bin/python3", "command": ["python3", "app.py"]},
        ],
        "transition": None,
        "last": {"kind": "reload", "phase": "done", "generation": 7, "reason": None,
                 "since_usec": now_usec(2 * hour + 780 + 5), "took_usec": 1_400_000},
        "crashes": 2, "last_crash": "slot 1: killed by SEGV after 3 s",
    }
    return {**status, **changes}


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "handover").mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("RUNTIME_DIRECTORY", "NO_COLOR")}
    return {**kept, "XDG_RUNTIME_DIR": str(tmp_path), "TERM": "xterm", "LC_ALL": "C"}


@pytest.fixture
def supervisor(tmp_path):
    """A function that puts a scripted supervisor called @name where handoverctl looks."""
    running = []

    def start(name=NAME, **script):
        directory = tmp_path / "handover" / name
        directory.mkdir(parents=True)
        running.append(FakeControl(directory / "control.sock", script))
        return running[-1]

    yield start
    for fake in running:
        fake.__exit__()


@pytest.fixture
def ctl(environment):
    def run(*arguments, **options):
        return subprocess.run([CTL, *arguments], env=environment, capture_output=True,
                              encoding="utf-8", timeout=30, check=False, **options)
    return run


def test_status_says_that_all_is_well(supervisor, ctl):
    supervisor(Status=[reply(**status_of())])
    result = ctl("-n", NAME, "status")
    lines = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")
    assert lines[0] == "web: serving — generation 7, 4 of 4 workers, for 2 h 13 min"
    assert lines[2:] == [
        "generation  6 draining for 3 s, 1 worker: /usr/bin/python3 old.py",
        "            7 serving for 2 h 13 min, 4 workers: /usr/bin/python3 app.py",
        "last        reload to generation 7 done 2 h 13 min ago, took 1.4 s",
        "crashes     2, last: slot 1: killed by SEGV after 3 s",
        "supervisor  pid 4242, version 0.1.0, up 1 d 6 h",
    ]


@pytest.mark.parametrize("changes, verdict", [
    ({"slots_serving": 3}, "DEGRADED — 3 of 4 slots serve (generation 7, for 2 h 13 min)"),
    ({"slots_serving": 0, "serving": None}, "DOWN — 0 of 4 slots serve, connections wait"),
    ({"state": "starting", "serving": None, "slots_serving": 0, "generations": []},
     "starting — 0 of 4 slots serve, for 1 d 6 h"),
    ({"state": "stopping", "slots_serving": 1}, "stopping — 1 of 4 slots serve, for 2 h 13 min"),
    ({"slots": 1, "slots_serving": 1},
     "serving — generation 7, 1 of 1 worker, for 2 h 13 min"),
])
def test_status_verdict(supervisor, ctl, changes, verdict):
    supervisor(Status=[reply(**status_of(**changes))])
    assert ctl("-n", NAME, "status").stdout.splitlines()[0] == "web: " + verdict


def test_status_tells_what_is_under_way_and_why_the_last_failed(supervisor, ctl):
    under_way = {"kind": "reload", "phase": "settling", "generation": 9,
                 "since_usec": now_usec(12), "reason": None, "took_usec": None}
    last = {"kind": "reload", "phase": "failed", "generation": 8, "since_usec": now_usec(300),
            "reason": "slot 0 exited with 3 before it was ready", "took_usec": 500_000}
    supervisor(Status=[reply(**status_of(transition=under_way, last=last))])
    output = ctl("-n", NAME, "status").stdout
    assert "now         reload to generation 9 settling for 12 s\n" in output
    assert ("last        reload to generation 8 FAILED 5 min ago, took 500 ms: "
            "slot 0 exited with 3 before it was ready\n") in output


def test_status_of_another_version_is_shown_as_far_as_understood(supervisor, ctl):
    supervisor(Status=[reply(name=5, state=None, generations="none", last=[], crashes="many")])
    result = ctl("-n", NAME, "status")
    assert result.returncode == 0
    assert result.stdout.startswith("?: unknown — ")


def test_a_worker_cannot_drive_the_terminal(supervisor, ctl):
    worker = {"slot": 0, "generation": 1, "pid": 5, "state": "serving", "kind": "native",
              "started_usec": now_usec(60), "since_usec": now_usec(60),
              "status": "\x1b[2Jgone\n\x9b31m \u202e"}
    supervisor(Workers=[reply(workers=[worker])])
    shown = ctl("-n", NAME, "workers").stdout
    assert r"\x1b[2Jgone\n\xc2\x9b31m \xe2\x80\xae" in shown
    machine = ctl("-n", NAME, "--json", "workers").stdout
    assert json.loads(machine)["workers"] == [worker]
    assert machine.isascii() and "\x1b" not in machine


def test_tables_are_aligned(supervisor, ctl):
    times = {"started_usec": now_usec(90), "since_usec": now_usec(80)}
    supervisor(Workers=[reply(workers=[
        {"slot": 0, "generation": 9, "pid": 17, "state": "serving", "kind": "native",
         "deadline_usec": None, "status": "größer 漢字", **times},
        {"slot": 11, "generation": 10, "pid": 123456, "state": "draining", "kind": "simple",
         "deadline_usec": now_usec(-30.9), "status": None, **times}])],
        Listeners=[reply(listeners=[
            {"name": "http", "source": "bound", "sharded": True, "shards": [
                {"slot": 0, "address": "0.0.0.0:8080", "queue": 0, "queue_limit": 4096,
                 "drops": 0, "parked": False},
                {"slot": None, "address": "/run/web.sock", "queue": None, "queue_limit": None,
                 "drops": None, "parked": True}]}])])
    assert [line.rstrip() for line in ctl("-n", NAME, "workers").stdout.splitlines()] == [
        "SLOT  GENERATION     PID  STATE            FOR  KIND           AGE  DEADLINE  STATUS",
        "   0           9      17  serving   1 min 20 s  native  1 min 30 s  -         größer 漢字",
        "  11          10  123456  draining  1 min 20 s  simple  1 min 30 s  in 30 s   -",
    ]
    assert [line.rstrip() for line in ctl("-n", NAME, "listeners").stdout.splitlines()] == [
        "LISTENER  ADDRESS        SLOT  QUEUE  LIMIT  DROPS  STATE   FROM",
        "http      0.0.0.0:8080      0      0   4096      0  open    bound",
        "http      /run/web.sock   all      -      -      -  parked  bound",
    ]


@pytest.mark.parametrize("arguments, method, sent, shown", [
    (["abort"], "Abort", {}, "generation 8 aborted; the workers from before serve on\n"),
    (["stop"], "Stop", {}, "stopping: the workers drain, then the supervisor ends\n"),
    (["stop", "--now"], "Stop", {"now": True}, "stopping: the workers are killed\n"),
])
def test_orders(supervisor, ctl, arguments, method, sent, shown):
    fake = supervisor(**{method: [reply(generation=8)]})
    result = ctl("-n", NAME, *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (0, shown, "")
    assert fake.call(method) == sent


def test_ping(supervisor, ctl):
    supervisor(Ping=[reply(time_usec=1)])
    result = ctl("ping", "-n", NAME)
    assert result.returncode == 0 and result.stdout.startswith(NAME + " answers after ")


FAILURES = {
    "Busy": (1, "generation 8 (settling)"),
    "Refused": (1, "refused: nothing to abort"),
    "org.varlink.service.PermissionDenied": (4, "not permitted"),
    "org.varlink.service.MethodNotFound": (1, "another version"),
    "org.example.Unheard": (1, "org.example.Unheard"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_error_replies(supervisor, ctl, name):
    exit_status, words = FAILURES[name]
    full = name if "." in name else CONTROL + name
    parameters = {"generation": 8, "phase": "settling", "reason": "nothing to abort"}
    supervisor(Abort=[error(full, **parameters)])
    result = ctl("-n", NAME, "abort")
    assert (result.returncode, result.stdout) == (exit_status, "")
    assert words in result.stderr
    result = ctl("-n", NAME, "--json", "abort")
    assert (result.returncode, result.stderr) == (exit_status, "")
    assert json.loads(result.stdout) == {"error": full, "parameters": parameters}


STEPS = [
    step("spec", generation=8, detail="/usr/bin/python3 app.py"),
    step("started", generation=8, slot=0, pid=100), step("started", generation=8, slot=1, pid=101),
    step("ready", generation=8, slot=1, pid=101), step("ready", generation=8, slot=0, pid=100),
    step("serving", generation=8, slot=0, pid=100), step("serving", generation=8, slot=1, pid=101),
    step("settling", generation=8, detail="for 2 s"), step("draining", generation=7),
    step("done", generation=8),
]


def test_reload_tells_its_steps(supervisor, ctl):
    fake = supervisor(Reload=STEPS)
    result = ctl("-n", NAME, "reload", "--wait", "--timeout", "1min 500ms")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "generation 8 made: /usr/bin/python3 app.py",
        "slot 0 started, pid 100", "slot 1 started, pid 101",
        "slot 1 ready, pid 101", "slot 0 ready, pid 100",
        "slot 0 serving, pid 100", "slot 1 serving, pid 101",
        "generation 8 settling: for 2 s", "generation 7 draining",
        "generation 8 serves",
    ]
    assert fake.calls[-1]["more"] is True
    assert fake.call("Reload") == {"wait": True, "timeout_usec": 60_500_000}


def test_reload_as_json(supervisor, ctl):
    supervisor(Reload=STEPS)
    result = ctl("-n", NAME, "--json", "reload")
    steps = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.returncode, result.stderr, len(steps)) == (0, "", len(STEPS))
    assert steps[-1] == {"step": "done", "generation": 8}


def test_reload_fails_with_the_workers_own_words(supervisor, ctl):
    supervisor(Reload=STEPS[:2] + [error(
        CONTROL + "ReloadFailed", generation=8, slot=0, pid=100, phase="starting",
        reason="exited", detail="slot 0 exited before it was ready", exit_code=3, signal=None,
        last_lines=["Traceback:", "  \x1b[31mImportError"])])
    result = ctl("-n", NAME, "reload")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "slot 0 started, pid 100"
    assert result.stderr == (
        "handoverctl: reload failed, generation 8 does not serve: "
        "slot 0 exited before it was ready\n"
        "  phase   starting\n"
        "  reason  exited, exit code 3\n"
        "  worker  slot 0, pid 100\n"
        "  its last lines:\n"
        "    Traceback:\n"
        "      \\x1b[31mImportError\n"
        "The workers from before serve on.\n")


def test_reload_with_a_broken_configuration_lists_every_problem(supervisor, ctl):
    supervisor(Reload=[error(CONTROL + "ConfigurationInvalid", problems=["a:1: x", "a:2: y"])])
    result = ctl("-n", NAME, "reload")
    assert result.returncode == 1
    assert result.stderr.splitlines()[1:] == ["  a:1: x", "  a:2: y"]


def test_reload_no_block_returns_once_it_is_accepted(supervisor, ctl):
    never = threading.Event()
    fake = supervisor(Reload=[STEPS[0], wait_for(never)])
    result = ctl("-n", NAME, "reload", "--no-block")
    assert result.returncode == 0
    assert result.stdout == "generation 8 made: /usr/bin/python3 app.py\n"
    never.set()
    assert fake.gone.wait(10)


@pytest.mark.parametrize("steps, options, words", [
    (STEPS[:1], [], f"handoverctl -n {NAME} abort` ends it"),
    (STEPS[:1], ["--json"], ""),
    ([step("queued")], [], f"handoverctl -n {NAME} abort` would end that one"),
    ([step("queued")], ["--json"], ""),
    ([step("queued"), STEPS[0]], [], "abort` ends it"),
])
def test_interrupted_reload_goes_on_and_says_so(supervisor, environment, steps, options, words):
    never = threading.Event()
    supervisor(Reload=[*steps, wait_for(never)])
    with subprocess.Popen([CTL, "-n", NAME, *options, "reload"], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for _ in steps:
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    never.set()
    assert process.returncode == 130
    assert words in said and bool(said) == bool(words)


def run_on_terminal(arguments, environment, expected_end):
    """What a terminal of 80 by 24 gets."""
    master, slave = pty.openpty()
    with subprocess.Popen([CTL, *arguments], env=environment, stdout=slave) as process:
        os.close(slave)
        output = b""
        while select.select([master], [], [], 10)[0]:
            try:
                output += os.read(master, 65536)
            except OSError:  # EIO: the other end is closed
                break
    os.close(master)
    assert process.returncode == expected_end
    return output.decode()


def test_reload_on_a_terminal_updates_each_slots_line_in_place(supervisor, environment):
    supervisor(Reload=STEPS)
    output = run_on_terminal(["-n", NAME, "reload"], environment, 0)
    last_drawing = output.split("\033[J")[-1].replace("\r", "").splitlines()
    assert "\033[3A" in output
    assert last_drawing == ["generation 8 done", "  slot 0    serving  pid 100",
                            "  slot 1    serving  pid 101", "generation 8 serves"]


def test_colour_only_on_a_terminal_that_wants_it(supervisor, environment, ctl):
    supervisor(Status=[reply(**status_of())])
    command = ["-n", NAME, "status"]
    assert "\033[32mserving" in run_on_terminal(command, environment, 0)
    assert "\033" not in run_on_terminal(command, {**environment, "NO_COLOR": "1"}, 0)
    assert "\033" not in run_on_terminal(command, {**environment, "TERM": "dumb"}, 0)
    assert "\033" not in ctl(*command).stdout


@pytest.mark.parametrize("actions, words", [
    ([close], "closed the connection"),
    ([raw(b'{"parameters":{"na'), close], "closed the connection"),
    ([raw(b"HTTP/1.1 400 Bad Request\r\n\r\n\0")], "does not speak Varlink"),
    ([raw(b"\0")], "does not speak Varlink"),
    ([raw(b"[]\0")], "does not speak Varlink"),
    ([raw(b'{"parameters":[]}\0')], "does not speak Varlink"),
    ([raw(b'{"parameters":{"name":"' + 1024 * 1024 * b"x" + b'"}}\0')], "longer than the 1024 KiB"),
])
def test_broken_answers(supervisor, ctl, actions, words):
    supervisor(Status=actions)
    result = ctl("-n", NAME, "status")
    assert (result.returncode, result.stdout) == (1, "")
    assert words in result.stderr
    result = ctl("-n", NAME, "--json", "status")
    assert (result.returncode, result.stderr) == (1, "")
    assert json.loads(result.stdout)["error"].startswith("io.handover.ctl.")


def test_slow_answers_are_put_together(supervisor, ctl):
    message = json.dumps({"parameters": status_of()}).encode() + b"\0"
    supervisor(Status=[raw(message[i:i + 1]) for i in range(len(message))])
    assert ctl("-n", NAME, "status").stdout.startswith("web: serving")


def test_a_supervisor_that_never_answers_is_given_up(supervisor, ctl):
    supervisor(Ping=[])
    result = ctl("-n", NAME, "ping")
    assert result.returncode == 1 and "stopped or hung" in result.stderr


def test_an_instance_is_chosen_by_its_name(supervisor, ctl):
    supervisor(NAME + "-1", Ping=[reply(time_usec=1)])
    fake = supervisor(NAME, Ping=[reply(time_usec=1)])
    assert ctl("-n", NAME, "ping").stdout.startswith(NAME + " answers")
    fake.call("Ping")
    result = ctl("-n", "nosuch", "ping")
    assert result.returncode == 3
    assert NAME + " (" in result.stderr and NAME + "-1 (" in result.stderr


def test_without_a_name_several_are_an_error_that_lists_them(supervisor, ctl):
    names = ["one", "two"]
    for name in names:
        supervisor(name)
    result = ctl("status")
    assert result.returncode == 2
    assert "-n NAME" in result.stderr and all(f"{name} (" in result.stderr for name in names)


def test_a_directory_may_be_called_otherwise_than_its_supervisor(supervisor, ctl):
    supervisor("unit-7", Status=[reply(**status_of(name=NAME))])
    assert ctl("-n", NAME, "status").stdout.startswith(NAME + ": serving")


@pytest.fixture
def alone():
    """Supervisors of this machine, where any run, would be found as well; those that died do not
    count."""
    for path in glob.glob("/run/handover/*/control.sock"):
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT):
                pytest.skip(f"a supervisor runs on this machine, at {path}")


def test_none_is_running(alone, ctl):
    result = ctl("--json", "status")
    assert (result.returncode, result.stderr) == (3, "")
    assert json.loads(result.stdout)["error"] == "io.handover.ctl.NoSupervisor"
    assert ctl("list").stdout == "no supervisor runs here for this user\n"
    assert ctl("list", "--json").stdout == ""


def test_alone_an_instance_needs_no_name(alone, supervisor, ctl, tmp_path):
    supervisor("web", Status=[reply(**status_of())])
    dead = tmp_path / "handover" / "dead"
    dead.mkdir()
    with FakeControl(dead / "control.sock", {}):
        pass  # its socket file stays, and nobody listens
    assert ctl("status").stdout.startswith("web: serving")
    lines = ctl("list").stdout.splitlines()
    assert len(lines) == 2 and lines[1].startswith("web   serving — generation 7")
    assert json.loads(ctl("list", "--json").stdout)["name"] == "web"


def test_no_supervisor_at_a_socket(ctl, tmp_path):
    for path in (tmp_path / "none.sock", tmp_path / "no" / "such" / "directory"):
        result = ctl("--socket", str(path), "status")
        assert (result.returncode, result.stdout) == (3, "")
        assert "is handoverd running?" in result.stderr


def test_a_socket_that_is_not_permitted(environment, tmp_path):
    if os.geteuid() == 0:
        directory = tmp_path
        os.chmod(directory, 0o711)
    path = tmp_path / "control.sock"
    with FakeControl(path, {}):
        os.chmod(path, 0o000)
        # Root passes every mode; CAP_DAC_OVERRIDE is what lets it.
        command = [CTL, "--socket", str(path), "status"]
        if os.geteuid() == 0:
            command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search",
                       "--inh-caps=-all", *command]
        result = subprocess.run(command, env=environment, capture_output=True, text=True,
                                check=False)
    assert result.returncode == 4 and "not permitted" in result.stderr


@pytest.mark.parametrize("arguments, words", [
    ([], "no command"), (["statsu"], "no command"), (["status", "now"], "one command"),
    (["status", "--wait"], "takes no"), (["stop", "--timeout", "3"], "takes no"),
    (["reload", "--timeout", "0"], "time span"), (["reload", "--timeout", "soon"], "time span"),
    (["--frobnicate"], "unrecognized"), (["-n", "", "status"], "empty"),
    (["--socket", "x" * 200, "status"], "too long"),
    (["-n", "a", "--socket", "b", "status"], "one is enough"),
])
def test_wrong_use(ctl, arguments, words):
    result = ctl(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["reload", "--help"], ["-h"], ["--version"]])
def test_help_needs_no_supervisor(ctl, arguments):
    result = ctl(*arguments)
    assert (result.returncode, result.stderr) == (0, "") and result.stdout


@pytest.mark.parametrize("arguments", [["status"], ["--json", "status"], ["reload"], ["--help"]])
def test_output_that_cannot_be_written_is_a_failure(supervisor, environment, arguments):
    supervisor(Status=[reply(**status_of())], Reload=STEPS)
    with open("/dev/full", "wb") as full:
        result = subprocess.run([CTL, "-n", NAME, *arguments], env=environment, stdout=full,
                                stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    assert result.returncode == 1 and "cannot write" in result.stderr


def test_a_closed_pipe_is_a_failure(supervisor, environment):
    supervisor(Status=[reply(**status_of())])
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([CTL, "-n", NAME, "status"], env=environment, stdout=writing,
                            stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    os.close(writing)
    assert result.returncode == 1 and "cannot write" in result.stderr


def test_a_closed_output_is_a_failure(supervisor, environment):
    """The connection must not take its number, or the answer is printed into the connection."""
    supervisor(Status=[reply(**status_of())])
    result = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", CTL, "-n", NAME, "status"],
                            env=environment, stderr=subprocess.PIPE, text=True, check=False,
                            timeout=30)
    assert result.returncode == 1 and "cannot write" in result.stderr
