"""Releases that are broken, each in its way: the reload fails with the true reason soon after the
failure, the old generation answers all along, and the next good reload works."""

import os
import shutil
import subprocess
import time

import pytest

from control import ControlError
from paths import HANDOVERCTL, PROGRAM

pytestmark = pytest.mark.load

# A failure is told at once, not at the end of TimeoutStartSec=, which is 90 s here.
SOON_S = 10


class Broken:
    """What a reload must say. @arguments: what makes the program go wrong."""

    def __init__(self, name, *arguments, reason, detail, phase="starting", exit_code=None,
                 signal=None, last_line=None, keys=None):
        self.name, self.arguments, self.keys = name, arguments, keys or {}
        self.detail, self.last_line = detail, last_line
        self.expected = (reason, phase, exit_code, signal)

    def check(self, failure):
        parameters = failure.parameters
        assert failure.name == "ReloadFailed"
        assert self.expected == (failure.reason, failure.phase, parameters.get("exit_code"),
                                 parameters.get("signal"))
        assert self.detail in failure.detail
        if self.last_line:
            assert failure.last_lines[-1] == self.last_line


PROGRAMS = [
    Broken("exits", "start:error=no module named app", "start:exit=3", reason="exited",
           exit_code=3, detail="exited with status 3", last_line="no module named app"),
    Broken("exits-with-0", "start:exit=0", reason="exited", exit_code=0,
           detail="exited with status 0"),
    Broken("crashes", "start:print=50", "start:kill=11", reason="killed", signal="SIGSEGV",
           detail="killed by SIGSEGV", last_line="line 49 of 50"),
    Broken("never-ready", "start:error=thinking", "--ready", "no", reason="timeout",
           detail="did not get ready within 1 s (TimeoutStartSec=)", last_line="thinking",
           keys={"TimeoutStartSec": 1}),
    Broken("half-ready", "--ready", "partial", reason="timeout", detail="did not get ready",
           keys={"TimeoutStartSec": "500ms"}),
    Broken("dies-while-it-settles", "ready+100:exit=9", reason="exited", phase="settling",
           exit_code=9, detail="exited with status 9", keys={"SettleSec": 20}),
    Broken("killed-while-it-settles", "ready+100:kill=6", reason="killed", phase="settling",
           signal="SIGABRT", detail="killed by SIGABRT", keys={"SettleSec": 20}),
    Broken("stops-while-it-settles", "ready+100:stopping", reason="withdrew", phase="settling",
           detail="says that it stops (STOPPING=1)", keys={"SettleSec": 20}),
]


def fails(web, running, serving):
    """Reloads; returns how that failed. @serving goes on all the while."""
    begin = time.monotonic()
    with pytest.raises(ControlError) as caught:
        web.reload()
    assert time.monotonic() - begin < SOON_S
    running.more_answers()
    status = web.status()
    assert (status["serving"], status["last"]["phase"]) == (serving, "failed")
    assert caught.value.parameters.get("detail", "") in status["last"]["reason"]
    return caught.value


def one_worker(web, failure):
    """The worker at fault is named, and was one of that generation."""
    assert failure.generation == 2 and failure.slot in (0, 1)
    assert web.log.count(rf"generation 2 worker {failure.slot} \(pid {failure.pid}\)")


@pytest.mark.parametrize("mode", ["poll", "native"])
@pytest.mark.parametrize("broken", PROGRAMS, ids=lambda broken: broken.name)
def test_a_program_that_goes_wrong(configured, load, accounts, broken, mode):
    """A new release that exits, crashes, hangs or dies after it was ready never takes over; nothing
    is lost but what a dead worker had accepted; a native one has accepted nothing before it serves."""
    web = configured([PROGRAM, "--mode", mode, *accounts.arguments])
    web.expect("reload of generation 2 failed while ")
    with load(web.target(), "--path", "/?delay_ms=5") as running:
        old = web.pids()
        accounts.go_wrong(*broken.arguments)
        web.configuration.set(**broken.keys)
        failure = fails(web, running, 1)
        broken.check(failure)
        one_worker(web, failure)
        assert web.pids(state="serving") == old
        web.wait_gone(2)

        accounts.go_right()
        web.configuration.set(SettleSec=0, TimeoutStartSec=None)
        assert web.reload() == 3
        running.until_generation(3)
        running.finish()
        running.expect_cut(*accounts.cut_with(set(accounts.pids()) - set(web.pids())))
    if mode == "native" and failure.phase == "starting":
        assert set(running.generations()) == {1, 3}
        assert running.cut == (0, 0)


def missing(release):
    release.unlink()


def not_executable(release):
    release.chmod(0o644)


def wrong_format(release):
    release.write_text("neither this nor that\n")


def empty(release):
    release.write_text("")


def bad_elf(release):
    release.write_bytes(b"\x7fELF" + bytes(60))


def no_interpreter(release):
    release.write_text("#!/nowhere/python3\n")


def carriage_return(release):
    release.write_bytes(b"#!/bin/sh\r\nexit 0\r\n")


def a_directory(release):
    release.unlink()
    release.mkdir()


@pytest.mark.parametrize("breaks, detail", [
    (missing, "no such file"),
    (not_executable, "permission denied"),
    (wrong_format, "exec format error"),
    (empty, "the file is empty"),
    (bad_elf, "xec format error"),
    (no_interpreter, "its interpreter /nowhere/python3: no such file"),
    (carriage_return, "carriage return"),
    (a_directory, "is a directory"),
], ids=lambda value: getattr(value, "__name__", None))
def test_an_executable_that_cannot_be_executed(configured, load, tmp_path, breaks, detail):
    """What is wrong with the file is said, its path with it, and nothing is started or lost."""
    release = tmp_path / "release"
    shutil.copy(PROGRAM, release)
    web = configured([release])
    web.expect("reload.* failed.*" + detail)
    with load(web.target()) as running:
        os.rename(release, tmp_path / "good")
        shutil.copy(tmp_path / "good", release)
        breaks(release)
        failure = fails(web, running, 1)
        assert failure.name == "ReloadFailed" and failure.reason == "exec"
        assert detail in failure.detail and str(release) in failure.detail
        if breaks is a_directory:
            release.rmdir()
        os.rename(tmp_path / "good", release)
        number = web.reload()
        running.until_generation(number)
    assert set(running.generations()) == {1, number}


@pytest.mark.parametrize("keys, error, words", [
    ({"ExecStrat": "/bin/true"}, "ConfigurationInvalid", "ExecStart="),
    ({"TimeoutStopSec": "soon"}, "ConfigurationInvalid", "TimeoutStopSec=soon"),
    ({"Count": 0}, "ConfigurationInvalid", "Count=0"),
    ({"WorkingDirectory": "/nowhere"}, "ReloadFailed", "/nowhere"),
    ({"User": "nobody-of-that-name"}, "ReloadFailed", "nobody-of-that-name"),
    ({"Group": "no-such-group"}, "ReloadFailed", "no-such-group"),
    ({"EnvironmentFile": "/nowhere/file"}, "ConfigurationInvalid", "/nowhere/file"),
    ({"ExecStart": "no-such-program-anywhere"}, "ReloadFailed", "no-such-program-anywhere"),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else None)
def test_a_worker_section_that_is_wrong(configured, load, keys, error, words):
    """A wrong key, value, directory, user or program fails the reload by its name; nothing changes,
    and with the file mended the next reload works."""
    web = configured(PROGRAM)
    web.expect(words)
    with load(web.target()) as running:
        before = dict(web.configuration.sections["Worker"])
        web.configuration.set(**keys)
        failure = fails(web, running, 1)
        assert failure.name == error
        assert words in str(failure.parameters)
        web.configuration.sections["Worker"] = before
        web.configuration.write()
        assert web.reload() > 1


def test_all_mistakes_of_a_file_are_told_at_once(configured, load):
    """Each problem comes with its file and line."""
    web = configured(PROGRAM)
    web.expect("web.conf:")
    with load(web.target()) as running:
        web.configuration.set(Colour="red", KillSignal="SIGNOTHING")
        failure = fails(web, running, 1)
    assert len(failure.problems) == 2
    assert all(str(web.configuration.path) + ":" in problem for problem in failure.problems)


@pytest.mark.parametrize("section, keys, words", [
    ("Listener http", {"ListenStream": "127.0.0.1:1"}, "ListenStream="),
    ("Listener http", {"ReusePort": "yes"}, "ReusePort="),
    ("Listener more", {"ListenStream": "127.0.0.1:0"}, "[Listener more] cannot be added"),
    ("Control", {"Socket": "other.sock"}, "Socket="),
], ids=["address", "sharding", "one-more", "control"])
def test_a_change_that_takes_a_restart(configured, load, section, keys, words):
    """A change of listeners or of the control socket is refused by name, and changes nothing."""
    web = configured(PROGRAM)
    web.expect("this takes a restart, not a reload")
    with load(web.target()) as running:
        shards = web.shards()
        web.configuration.set(section, **keys)
        failure = fails(web, running, 1)
        assert failure.reason == "configuration" and words in failure.detail
        assert [shard["address"] for shard in web.shards()] == [s["address"] for s in shards]


def test_many_broken_releases_in_a_row(configured, load, accounts):
    """Fifty failures leave nothing behind: no descriptor, no process, no lost request."""
    web = configured([PROGRAM, *accounts.arguments])
    web.expect("reload of generation .* failed")
    with load(web.target()) as running:
        accounts.go_wrong("start:exit=1", slot=1)
        for _ in range(50):
            failure = web.begin_reload().failure()
            assert (failure.reason, failure.slot) == ("exited", 1)
        running.more_answers()
        accounts.go_right(slot=1)
        web.wait_for(lambda: len(web.status()["generations"]) == 1)
        assert web.reload() == 52
        running.until_generation(52)


def test_what_handoverctl_says_of_it(configured, load, accounts):
    """`handoverctl reload` ends with 1, the phase, the reason and the worker's last words on stderr;
    after the fix with 0 and the new generation's number last."""
    def reload():
        done = subprocess.run([HANDOVERCTL, "--socket", web.socket_path, "reload"], timeout=60,
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    web = configured([PROGRAM, *accounts.arguments])
    web.expect("reload of generation 2 failed while starting")
    with load(web.target()):
        accounts.go_wrong("start:error=no module named app", "start:exit=3")
        status, _, errors = reload()
        assert status == 1
        for words in ("generation 2", "starting", "exited with status 3", "no module named app"):
            assert words in errors
        accounts.go_right()
        status, output, errors = reload()
    assert (status, errors) == (0, "")
    assert output.splitlines()[-1] == "generation 3 serves"
