"""What workers of tests/programs/program.c did, told by files that survive them; and how to make
one of them go wrong at its next start."""

import struct
from pathlib import Path

LAYOUT = "=4Q"
WITHIN_ACCEPT, WITHIN_ANSWER = 1, 2


class Accounts:
    """A directory of its own: `arguments` make the program keep its accounts there, and read
    further arguments that go_wrong() writes."""

    def __init__(self, directory):
        self.directory = Path(directory, "accounts")
        self.directory.mkdir()
        self.directory.chmod(0o777)
        self.more = Path(directory, "more")
        self.arguments = ["--count", str(self.directory), "--more", str(self.more)]

    def file(self, slot):
        return self.more if slot is None else self.more.with_name(f"more.{slot}")

    def go_wrong(self, *arguments, slot=None):
        """Every worker that is started from now on (in @slot) has these arguments too."""
        self.file(slot).write_text("".join(f"{argument}\n" for argument in arguments))

    def go_right(self, slot=None):
        self.file(slot).unlink()

    def pids(self):
        """Everybody who was ever started, while there are few enough that none is numbered twice."""
        return [int(path.name) for path in self.directory.iterdir()]

    def read(self, pid):
        """One that was killed before it had made its file as long as it gets has done nothing."""
        data = (self.directory / str(pid)).read_bytes()
        return struct.unpack(LAYOUT, data) if data else (0, 0, 0, 0)

    def unanswered(self, pid):
        """How many connections it has accepted and not answered; it should be dead."""
        accepted, answered, _, _ = self.read(pid)
        return accepted - answered

    def cut_with(self, pids):
        """At least and at most so many connections ended with the dead @pids: one that died within
        accept() or within its answer may or may not have got that far."""
        least = most = 0
        for pid in pids:
            accepted, answered, within, _ = self.read(pid)
            least += accepted - answered - (within == WITHIN_ANSWER)
            most += accepted - answered + (within == WITHIN_ACCEPT)
        return least, most
