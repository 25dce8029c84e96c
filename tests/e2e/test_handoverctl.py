"""handoverctl with the real supervisor: what it prints, and its exit status, for each command."""

import json
import os
import re
import signal
import subprocess

import pytest

from control import INTERFACE
from paths import HANDOVERCTL, PROGRAM
from rude import native

pytestmark = pytest.mark.load


@pytest.fixture
def ctl():
    """Runs it for a supervisor, or for none: exit status, output, errors."""
    def run(web, *words, runtime=None):
        socket = ["--socket", web.socket_path] if web else []
        environment = {**os.environ, "XDG_RUNTIME_DIR": runtime or "/nowhere", "LC_ALL": "C.UTF-8"}
        environment.pop("RUNTIME_DIRECTORY", None)
        done = subprocess.run([HANDOVERCTL, *socket, *words], env=environment, encoding="utf-8",
                              capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr
    return run


def replies(ctl, web, *words):
    """The parameters that --json printed, held against the interface; nothing on stderr."""
    status, output, errors = ctl(web, "--json", *words)
    assert (status, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    for line in lines:
        INTERFACE.check_reply(words[0].capitalize(), line)
    return lines


def test_every_command_as_json(service, load, ctl):
    """--json prints the replies, one a line, as the interface says, and nothing else."""
    web = service(native(), options=["Listener http.ReusePort=yes"])
    with load(web.target(), "--clients", "4") as running:
        (status,) = replies(ctl, web, "status")
        assert (status["name"], status["slots_serving"], status["serving"]) == (web.name, 2, 1)
        (workers,) = replies(ctl, web, "workers")
        assert [worker["slot"] for worker in workers["workers"]] == [0, 1]
        (listeners,) = replies(ctl, web, "listeners")
        assert len(listeners["listeners"][0]["shards"]) == 2
        assert replies(ctl, web, "ping")[0]["time_usec"] > 0
        steps = replies(ctl, web, "reload")
        assert [step["step"] for step in steps][0] == "spec" and steps[-1]["step"] == "done"
        assert steps[-1]["generation"] == 2
        running.until_generation(2)
    assert replies(ctl, web, "stop") == [{}]
    assert web.wait() == 0


def test_screens(service, load, ctl):
    """Without --json: screens for people, that say what is."""
    web = service(native(), workers=3, options=["Listener http.ReusePort=yes"])
    with load(web.target(), "--clients", "4") as running:
        code, output, errors = ctl(web, "reload")
        assert (code, errors) == (0, "") and "2" in output.splitlines()[-1]
        running.until_generation(2)
        code, output, errors = ctl(web, "status")
        assert (code, errors) == (0, "")
        assert re.match(rf"{web.name}: serving — generation 2, 3 of 3 workers", output)
        assert re.search(r"^last\s+reload to generation 2 done", output, re.M)
        assert re.search(rf"^supervisor\s+pid {web.pid}\b", output, re.M)
        code, output, errors = ctl(web, "workers")
        assert (code, errors) == (0, "")
        rows = [line.split() for line in output.splitlines()]
        serving = [row for row in rows if "serving" in row]
        assert [row[0] for row in serving] == ["0", "1", "2"]
        assert {int(row[2]) for row in serving} == set(web.pids(state="serving"))
        code, output, errors = ctl(web, "listeners")
        assert (code, errors) == (0, "") and output.count("127.0.0.1:") == 3
        code, output, errors = ctl(web, "ping")
        assert (code, errors) == (0, "") and output


def test_a_reload_that_fails(service, load, accounts, ctl):
    """Status 1, the phase, the reason and the worker's last words, on the screen and as JSON."""
    web = service([PROGRAM, *accounts.arguments])
    web.expect("failed while starting")
    accounts.go_wrong("start:error=no such table", "start:exit=4")
    with load(web.target(), "--clients", "4") as running:
        code, output, errors = ctl(web, "reload")
        assert code == 1
        for words in ("starting", "exited with status 4", "no such table"):
            assert words in output + errors, output + errors
        code, output, errors = ctl(web, "--json", "reload")
        assert (code, errors) == (1, "")
        last = json.loads(output.splitlines()[-1])
        assert last["error"].endswith("ReloadFailed") and last["parameters"]["exit_code"] == 4
        assert "no such table" in last["parameters"]["last_lines"]
        code, output, errors = ctl(web, "status")
        assert code == 0 and "FAILED" in output and "exited with status 4" in output
        running.more_answers()
        accounts.go_right()
        assert ctl(web, "reload")[0] == 0


def test_wrong_configuration(configured, ctl):
    """Status 1 and every problem, with file and line."""
    web = configured(PROGRAM)
    web.expect("web.conf")
    web.configuration.set(Cuont=3, Count="many")
    code, output, errors = ctl(web, "reload")
    assert code == 1
    for words in ("Cuont=3", "Count=many", "did you mean Count=?"):
        assert words in output + errors


def test_two_at_once(configured, load, ctl):
    """The second reload is refused as busy with status 1; with --wait it queues behind; --timeout
    bounds both; --no-block does not wait for the end; abort ends what is under way."""
    web = configured(PROGRAM)
    web.configuration.set(SettleSec="20s")
    web.expect("failed while settling: (aborted on request|it took longer than its caller)")
    with load(web.target(), "--clients", "4") as running:
        assert ctl(web, "reload", "--no-block")[0] == 0
        code, output, errors = ctl(web, "reload")
        assert code == 1 and "generation 2" in output + errors
        code, output, errors = ctl(web, "--json", "reload")
        assert (code, errors) == (1, "")
        assert json.loads(output)["error"].endswith("Busy")
        code, output, errors = ctl(web, "reload", "--wait", "--timeout", "200ms")
        assert code == 1 and "time" in output + errors
        code, output, errors = ctl(web, "abort")
        assert code == 0 and "2" in output
        code, output, errors = ctl(web, "abort")
        assert code == 1 and "no transition" in output + errors
        code, output, errors = ctl(web, "reload", "--timeout", "300ms")
        assert code == 1 and "settling" in output + errors
        running.more_answers()
    web.wait_gone(3)
    assert web.status()["serving"] == 1


def test_waiting_behind_another(service, load):
    """--wait: both are carried out, one after the other, and both say which generation serves."""
    web = service(PROGRAM, settle="300ms")
    with load(web.target(), "--clients", "4"):
        both = [subprocess.Popen([HANDOVERCTL, "--socket", web.socket_path, "reload", "--wait"],
                                 stdout=subprocess.PIPE, text=True) for _ in range(3)]
        outputs = [one.communicate(timeout=60)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0, 0]
    last = sorted(output.splitlines()[-1] for output in outputs)
    for number, line in zip((2, 3, 4), last):
        assert str(number) in line


def test_interrupted(service, load):
    """Ctrl-C ends handoverctl with 130, and not the reload."""
    web = service(PROGRAM, settle="1s")
    with load(web.target(), "--clients", "4") as running:
        one = subprocess.Popen([HANDOVERCTL, "--socket", web.socket_path, "reload"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        web.log.wait("generation 2: starting → settling")
        one.send_signal(signal.SIGINT)
        output, errors = one.communicate(timeout=30)
        assert one.returncode == 130 and "goes on" in output + errors
        running.until_generation(2)
        web.log.wait("generation 2 serves")
    assert web.status()["serving"] == 2


def test_stop_now(service, ctl):
    """stop --now kills the workers and ends the supervisor with status 0."""
    web = service([PROGRAM, "--ignore-term"])
    assert ctl(web, "stop", "--now")[0] == 0
    assert web.wait() == 0
    code, output, errors = ctl(web, "status")
    assert (code, output) == (3, "") and web.socket_path in errors


@pytest.mark.parametrize("words", [
    ["nonsense"], [], ["reload", "--nonsense"], ["status", "too", "much"],
    ["reload", "--timeout", "soon"], ["--nonsense"], ["-n"], ["stop", "--wait"],
])
def test_wrong_use(service, ctl, words):
    """Status 2, with a word on what is right, and nothing asked of the supervisor."""
    web = service(PROGRAM)
    code, output, errors = ctl(web, *words)
    assert (code, output) == (2, "") and errors
    assert web.status()["serving"] == 1


def test_list(handoverd, house, ctl):
    """No instance: empty; two: a line each, with their state, and each is found by its name."""
    runtime = house.directory()
    code, output, errors = ctl(None, "list", runtime=runtime)
    assert code == 0 and runtime not in output
    both = []
    for _ in range(2):
        one = handoverd("--listen", "http=127.0.0.1:0", "-w", "2", "-o", "Worker.SettleSec=0",
                        "--", PROGRAM, become=["env", "-u", "RUNTIME_DIRECTORY"] if os.geteuid()
                        else ["env", f"RUNTIME_DIRECTORY={runtime}/handover/new"])
        both.append(one)
        one.socket_path = f"{runtime}/handover/new/control.sock"
        one.log.wait("generation 1 serves")
        os.rename(f"{runtime}/handover/new", f"{runtime}/handover/{one.name}")
        one.socket_path = f"{runtime}/handover/{one.name}/control.sock"
    code, output, errors = ctl(None, "list", runtime=runtime)
    assert (code, errors) == (0, "")
    for one in both:
        assert re.search(rf"^{one.name}\s.*serving", output, re.M), output
        code, screen, _ = ctl(None, "-n", one.name, "status", runtime=runtime)
        assert code == 0 and screen.startswith(f"{one.name}: serving")
    code, output, errors = ctl(None, "status", runtime=runtime)
    assert (code, output) == (2, "") and all(one.name in errors for one in both)
    code, output, errors = ctl(None, "-n", "nobody", "status", runtime=runtime)
    assert (code, output) == (3, "") and "nobody" in errors
