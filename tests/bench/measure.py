"""What the parts of the bench share: one part's outcome, medians and ratios, a probe."""

import os
import select
import socket
import statistics
import time
from dataclasses import asdict, dataclass, field

from paths import BUILD

BENCH_WORKER = str(BUILD / "check" / "programs" / "bench_worker")
PATIENCE_S = 20


@dataclass
class Outcome:
    """What a part found: a table, a chart, and whether its goals were met."""

    title: str
    about: str
    columns: list
    rows: list = field(default_factory=list)
    goals: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    chart: dict = None
    data: dict = field(default_factory=dict)

    def goal(self, text, met):
        self.goals.append({"text": text, "met": bool(met)})

    def as_dict(self):
        return asdict(self)


def median_ratio(ones, others):
    """The median of the ratios of pairs that were measured one after the other."""
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


def ms(seconds):
    return f"{seconds * 1000:.2f}"


def wait_exit(pid):
    """Waits until the process @pid has ended; it need not be ours."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended = select.select([pidfd], [], [], PATIENCE_S)[0]
        assert ended, f"pid {pid} does not end"
    finally:
        os.close(pidfd)


class Probe:
    """Asks bench_worker one request after the other, each on a new connection."""

    REQUEST = b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"

    def __init__(self, address):
        self.address = address
        self.generation = self.pid = None

    def ask(self):
        """Asks once; generation and pid are then those of who answered. No answer is an error."""
        with socket.create_connection(self.address, PATIENCE_S) as connection:
            connection.sendall(self.REQUEST)
            answer = b""
            while data := connection.recv(4096):
                answer += data
        lines = answer.decode("ascii").split("\r\n")
        assert lines[0] == "HTTP/1.1 200 OK" and lines[-1] == "ok", answer
        fields = dict(line.split(": ") for line in lines[1:-2])
        self.generation, self.pid = int(fields["X-Generation"]), int(fields["X-Pid"])

    def until_next(self, between=lambda: None):
        """Asks until another generation answers than was asked last, before the command: the time
        of that, and the old worker's pid."""
        old, old_pid = self.generation, self.pid
        end_s = time.monotonic() + PATIENCE_S
        while self.generation == old:
            assert time.monotonic() < end_s, f"nobody but generation {old} answers"
            between()
            self.ask()
        return time.monotonic(), old_pid
