"""The first start: what fails it ends handoverd with status 1 and the reason, wrong configuration
with 78, wrong use with 2, before anything was started; and what --check and --print-config say."""

import os
import signal
import socket
import subprocess

import pytest

import processes
from configuration import Configuration
from control import ControlError
from paths import HANDOVERD, PROGRAM

LISTEN = ("--listen", "http=127.0.0.1:0")


def run(*arguments):
    done = subprocess.run([HANDOVERD, *map(str, arguments)], capture_output=True, text=True,
                          timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments, options, words", [
    (["start:error=no such table", "start:exit=4"], [], "exited with status 4"),
    (["start:exit=0"], [], "exited with status 0"),
    (["start:kill=11"], [], "killed by SIGSEGV"),
    (["--ready", "no"], ["-o", "Worker.TimeoutStartSec=300ms"], "did not get ready within 0.3 s"),
    (["ready+50:exit=5"], ["-o", "Worker.SettleSec=20"], "exited with status 5"),
], ids=["exits", "exits-with-0", "crashes", "never-ready", "dies-while-it-settles"])
@pytest.mark.parametrize("mode", ["poll", "native"])
def test_a_program_that_fails(handoverd, arguments, options, words, mode):
    """handoverd ends with 1 and says why, with what the program said; it tries nothing again."""
    one = handoverd(*LISTEN, "-w", "2", *options, "--", PROGRAM, "--mode", mode, *arguments)
    one.expected_status = 1
    one.expect(rf"error: start of generation 1 failed while .*{words}")
    assert one.wait() == 1
    assert one.log.count("stopped: the first start failed")
    assert one.log.count("starting$") == 2, "a worker was started again"
    if "no such table" in str(arguments):
        assert one.log.count(r"1/\d\[\d+\]: no such table")


@pytest.mark.parametrize("program, words", [
    ("/nowhere/program", "cannot execute /nowhere/program: no such file"),
    ("/etc/passwd", "permission denied"),
    ("/tmp", "is a directory"),
    ("no-such-program-anywhere", "not found in PATH="),
])
def test_a_program_that_cannot_be_executed(handoverd, program, words):
    """An executable that is none ends it with 1 and its path."""
    one = handoverd(*LISTEN, "--", program)
    one.expected_status = 1
    one.expect(f"the first start failed: .*{words}")
    assert one.wait() == 1


def test_an_address_in_use(handoverd):
    """A port that somebody has ends it with 1, and says who has it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        one = handoverd("--listen", f"http=127.0.0.1:{port}", "--", PROGRAM)
        one.expected_status = 1
        one.expect(rf"127\.0\.0\.1:{port}.*in use.*{os.getpid()}")
        assert one.wait() == 1


def test_a_second_supervisor_of_the_directory(handoverd, service):
    """The control directory of a living supervisor is locked: the second ends with 1, the first
    goes on."""
    web = service(PROGRAM)
    one = handoverd(*LISTEN, "--", PROGRAM, directory=web.directory)
    one.expected_status = 1
    one.expect("another supervisor|already|in use")
    assert one.wait() == 1
    assert web.status()["state"] == "serving"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_it_starts(handoverd, stop):
    """A signal to stop during the first start ends it with 0: nobody failed."""
    one = handoverd(*LISTEN, "-w", "2", "--", PROGRAM, "--ready", "no")
    one.expect("start of generation 1 failed while starting: the supervisor is stopping")
    one.log.wait("started: worker 1")
    one.signal(stop)
    assert one.wait() == 0


def test_control_during_the_first_start(handoverd):
    """While it starts, it answers: its state is `starting`, a reload is Busy, an abort refused."""
    one = handoverd(*LISTEN, "--", PROGRAM, "--ready", "no")
    one.expect("start of generation 1 failed while starting: the supervisor is stopping")
    one.log.wait("started: worker 0")
    status = one.status()
    assert (status["state"], status["serving"], status["slots_serving"]) == ("starting", None, 0)
    assert (status["transition"]["kind"], status["transition"]["phase"]) == ("start", "starting")
    for method, error in (("Reload", "Busy"), ("Abort", "Refused")):
        with pytest.raises(ControlError) as caught:
            one.ask(method)
        assert caught.value.name == error
    assert one.stop() == 0


@pytest.mark.parametrize("arguments, words", [
    ([], "what to run?"),
    (["--nonsense"], "nonsense"),
    (["--listen", "http"], "--listen http"),
    (["--listen", "=1"], "--listen =1"),
    (["-o", "Worker"], "Worker"),
    ([*LISTEN, "prog"], "go behind `--`"),
    (["--name"], "requires an argument"),
])
def test_wrong_use(arguments, words):
    """Wrong use is status 2, one line of what is wrong, and where help is."""
    status, output, errors = run(*arguments)
    assert (status, output) == (2, "")
    assert words in errors and "--help" in errors


@pytest.mark.parametrize("arguments, words", [
    (["--name", "t", *LISTEN], "ExecStart="),
    (["--name", "t", "--", "/bin/true"], "Listener"),
    (["--name", "t", *LISTEN, "-o", "Worker.Cuont=1", "--", "/bin/true"], "did you mean Count=?"),
    (["--name", "t", *LISTEN, "-w", "none", "--", "/bin/true"], "--workers none"),
    (["--name", "t", "--listen", "http=1.2.3:4", "--", "/bin/true"], "http=1.2.3:4"),
    (["--name", "a/b", *LISTEN, "--", "/bin/true"], "a/b"),
    ([*LISTEN, "--", "/bin/true"], "name"),
    (["--config", "/nowhere/web.conf"], "/nowhere/web.conf"),
])
def test_wrong_configuration(arguments, words):
    """Wrong configuration is status 78; what was written is in the message."""
    status, output, errors = run(*arguments)
    assert (status, output) == (78, "")
    assert words in errors


def test_all_mistakes_are_told_with_file_and_line(tmp_path):
    """Each mistake of the file is a line of its own, in order, with its place."""
    wrong = tmp_path / "web.conf"
    wrong.write_text("[Listener http]\nListenStream=nowhere\n[Worker]\nExecStart=/bin/true\n"
                     "Count=0\nTimeoutStopSec=later\nColour=red\n[Wroker]\n")
    status, _, errors = run("--config", wrong)
    assert status == 78
    places = sorted(line.split(": ")[0] for line in errors.splitlines())
    assert places == [f"{wrong}:{line}" for line in (2, 5, 6, 7, 8)]


@pytest.mark.parametrize("program, status", [(PROGRAM, 0), ("/nowhere/program", 78)])
def test_check_says_whether_it_would_start(tmp_path, program, status):
    """--check reads configuration and program and starts nothing."""
    configuration = Configuration(tmp_path, program)
    found, output, errors = run("--config", configuration.path, "--check")
    assert found == status
    assert "no errors found" in output if status == 0 else "/nowhere/program" in errors


def test_print_config_prints_what_it_reads_the_same_again(tmp_path):
    """--print-config shows defaults and overrides, and reading its output gives the same output."""
    configuration = Configuration(tmp_path, PROGRAM, TimeoutStopSec="1min 30s")
    status, output, errors = run("--config", configuration.path, "-w", "7",
                                 "-o", "Listener http.ReusePort=yes", "--print-config")
    assert (status, errors) == (0, "")
    for line in ("Count=7", "ReusePort=yes", "MaxDraining=16", f"ExecStart={PROGRAM}"):
        assert line in output.splitlines()
    again = tmp_path / "again.conf"
    again.write_text(output)
    assert run("--config", again, "--name", "web", "--print-config") == (0, output, "")


@pytest.mark.parametrize("option, words", [("--help", "Usage: handoverd"), ("--version", "0.1.0")])
def test_help_and_version(option, words):
    """They go to stdout, with status 0."""
    status, output, errors = run(option)
    assert (status, errors) == (0, "") and words in output


def test_it_goes_on_without_standard_descriptors(handoverd, tmp_path):
    """Started with 0, 1 and 2 closed, no socket takes their numbers: it serves and stops well."""
    log = tmp_path / "log"
    script = 'log=$1; shift; exec "$@" 0<&- 1>&- 2>"$log"'
    one = handoverd(*LISTEN, "--", PROGRAM, become=["/bin/sh", "-c", script, "sh", str(log)])
    one.log.thread.join(30)
    wait_for_file(log, "generation 1 serves")
    open_now = processes.descriptors(one.pid)
    assert open_now[0] == open_now[1] == "/dev/null"
    assert one.status()["slots_serving"] == 1


def wait_for_file(path, words):
    """Waits until the file holds @words, by inotify's own way: its directory's next event."""
    with subprocess.Popen(["/usr/bin/tail", "-F", "-n", "+1", str(path)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as tail:
        for line in tail.stdout:
            if words in line:
                tail.kill()
                return
