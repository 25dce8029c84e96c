"""What /proc tells of processes."""

import os
import re
import select


def numbers():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read(pid, name):
    """The bytes of /proc/PID/NAME; none where the process is gone or somebody else's."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def status(pid):
    """Its state letter and its parent; None where it is gone."""
    found = re.match(rb"\d+ \(.*\) (\S) (\d+)", read(pid, "stat"), re.DOTALL)
    return (found[1].decode(), int(found[2])) if found else None


def zombies_of(parent):
    return [pid for pid in numbers() if status(pid) == ("Z", parent)]


def with_variable(assignment):
    """The processes that have it in the environment that they were started with."""
    wanted = assignment.encode()
    return [pid for pid in numbers() if wanted in read(pid, "environ").split(b"\0")]


def command(pid):
    return read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def descriptors(pid):
    """What each of its descriptors is."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass  # closed since, or the one that listed them
    return found


def exited(pid, timeout_s=30):
    """Waits until the process @pid is gone or a zombie."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], timeout_s)[0], f"pid {pid} has not ended"
    finally:
        os.close(pidfd)
