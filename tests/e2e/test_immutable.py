"""A generation runs the code and the directory that it began with, until the next reload, whatever
is done to the files meanwhile."""

import os
import shutil
import signal

import pytest

from paths import PROGRAM

pytestmark = pytest.mark.load

RELEASE = {"generation_header": "X-Release"}


def install(path, release):
    """Puts a copy of the program there by rename, as a deployment does."""
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(path.name + ".fresh")
    shutil.copy(PROGRAM, fresh)
    with open(fresh, "ab") as file:
        file.write(b"release:" + release.encode().rjust(40, b"-"))
    os.rename(fresh, path)


def install_script(path, release):
    """The same as a script."""
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_text(f"#!/bin/sh\nexec {path.parent}/program-{release}\n")
    fresh.chmod(0o755)
    install(path.parent / f"program-{release}", release)
    os.rename(fresh, path)


def point(link, directory):
    """Moves the symlink in one step."""
    fresh = link.with_name(link.name + ".fresh")
    fresh.symlink_to(directory, target_is_directory=True)
    os.rename(fresh, link)


def kill_and_wait(web, slot=0):
    (pid,) = web.pids(slot=slot)
    os.kill(pid, signal.SIGTERM)  # it drains by itself: nothing is lost
    web.wait_for(lambda: [one for one in web.pids(slot=slot, state="serving") if one != pid])


def named(release):
    return release.rjust(40, "-")


def restarted_ones_run(web, running, release):
    """Both workers are restarted; from then on as before only @release answers."""
    web.expect(r"worker \d \(pid \d+\) exited with status 0")
    for slot in (0, 1):
        kill_and_wait(web, slot)
    running.more_answers(100)
    assert set(running.progress()["generations"]) <= {named(release)}


def check_reloads_to(web, running, release):
    web.reload()
    while named(release) not in running.progress()["generations"]:
        pass
    running.finish()
    assert set(running.result["generations"]) == {named("old"), named(release)}


def test_an_executable_replaced_by_rename(service, load, tmp_path):
    """A worker that is restarted after a new file took the name runs the old code until a reload."""
    path = tmp_path / "program"
    install(path, "old")
    web = service(path)
    with load(web.target(), **RELEASE) as running:
        install(path, "new")
        restarted_ones_run(web, running, "old")
        check_reloads_to(web, running, "new")


def test_an_executable_that_was_deleted(service, load, tmp_path):
    """A worker is restarted from a file that has no name any more; a reload fails and says so."""
    path = tmp_path / "program"
    install(path, "old")
    web = service(path)
    web.expect("reload failed: .*no such file")
    with load(web.target(), **RELEASE) as running:
        path.unlink()
        restarted_ones_run(web, running, "old")
        assert web.begin_reload().failure().reason == "exec"
        install(path, "new")
        check_reloads_to(web, running, "new")


@pytest.mark.parametrize("install_release, name", [(install, "program"),
                                                   (install_script, "run.sh")])
def test_a_current_symlink_that_was_moved(service, load, tmp_path, install_release, name):
    """releases/new replaces releases/old behind `current`: restarted workers stay in the old one,
    a program and a script alike."""
    for release in ("old", "new"):
        install_release(tmp_path / release / name, release)
    current = tmp_path / "current"
    point(current, tmp_path / "old")
    web = service(current / name)
    with load(web.target(), **RELEASE) as running:
        point(current, tmp_path / "new")
        restarted_ones_run(web, running, "old")
        check_reloads_to(web, running, "new")
    assert str(tmp_path / "new" / name) in web.status()["generations"][0]["executable"]


def test_a_working_directory_that_was_replaced(configured, load, tmp_path):
    """The directory is held as well: restarted workers are in the one that the generation began in,
    though another has its name now, or nothing has."""
    current = tmp_path / "current"
    for release in ("old", "new"):
        (tmp_path / release).mkdir()
    point(current, tmp_path / "old")
    web = configured(PROGRAM, WorkingDirectory=current)
    web.expect(r"worker \d \(pid \d+\) exited with status 0")

    def directories():
        return {os.readlink(f"/proc/{pid}/cwd") for pid in web.pids(state="serving")}

    with load(web.target()):
        point(current, tmp_path / "new")
        kill_and_wait(web)
        assert directories() == {str(tmp_path / "old")}
        os.rename(tmp_path / "old", tmp_path / "renamed")
        current.unlink()
        kill_and_wait(web, slot=1)
        assert directories() == {str(tmp_path / "renamed")}
        point(current, tmp_path / "new")
        web.reload()
        web.wait_settled()
        assert directories() == {str(tmp_path / "new")}


def test_a_deployment_in_the_middle_of_a_crash(service, load, tmp_path):
    """The old generation is repaired with its own code while the new one settles beside it."""
    path = tmp_path / "program"
    install(path, "old")
    web = service(path, settle="1s")
    web.expect(r"worker 0 \(pid \d+\) exited with status 0")
    with load(web.target(), **RELEASE) as running:
        install(path, "new")
        reload = web.begin_reload()
        reload.until("settling")
        (pid,) = web.pids(generation=1, slot=0)
        os.kill(pid, signal.SIGTERM)
        web.wait_for(lambda: [one for one in web.pids(generation=1, slot=0, state="serving")
                              if one != pid])
        with open(f"/proc/{web.pids(generation=1, slot=0)[0]}/exe", "rb") as file:
            assert file.read().endswith(named("old").encode())
        assert reload.done() == 2
        running.more_answers()
