"""e: what a reload costs as slots grow."""

import contextlib
import math
import statistics
import tempfile

from measure import Outcome, ms
from paths import PROGRAM
from service import Service, cpu_usec

COUNTS = [1, 2, 4, 8, 16, 32, 64]
FROM = 4  # below, what a reload costs as such is most of it
SLOPE_MAX = 1.1
ABOUT = """\
Reloads of a small native worker, sharded, with 1 to 64 slots, each size in turn: from the call to
its answer, and the processor time of the supervisor until the old generation was gone."""


class Subject:
    """A service with so many slots."""

    def __init__(self, count):
        self.directory = tempfile.TemporaryDirectory(prefix="handover-bench-")
        self.count = count
        self.service = Service(self.directory.name, [
            "--listen", "http=127.0.0.1:0", "--workers", count, "-o", "Listener http.ReusePort=yes",
            "--", PROGRAM, "--mode", "native"], "bench").wait_serving()
        self.took_s, self.cpus_s = [], []

    def reload(self):
        cpu, n_lines = cpu_usec(self.service.pid), len(self.service.log.lines)
        number, took_s = self.service.reload()
        self.service.log.wait(rf"generation {number - 1} is gone", n_lines)
        self.took_s.append(took_s)
        self.cpus_s.append((cpu_usec(self.service.pid) - cpu) / 1e6)

    def stop(self):
        self.service.stop()
        self.directory.cleanup()


def slope(points):
    """By which power of the slots it grows, from FROM slots to the most."""
    (few, least), (many, most) = next(one for one in points if one[0] == FROM), points[-1]
    return math.log(most / least) / math.log(many / few)


def run(quick):
    rounds = 3 if quick else 15
    with contextlib.ExitStack() as stack:
        subjects = []
        for count in COUNTS:
            subjects.append(Subject(count))
            stack.callback(subjects[-1].stop)
        for _ in range(rounds):
            for subject in subjects:
                subject.reload()
    outcome = Outcome("A reload as slots grow", ABOUT,
                      ["slots", "reload ms", "a slot", "supervisor's CPU ms", "a slot"])
    took = [(one.count, statistics.median(one.took_s)) for one in subjects]
    cpus = [(one.count, statistics.median(one.cpus_s)) for one in subjects]
    for (count, took_s), (_, cpu_s) in zip(took, cpus):
        outcome.rows.append([str(count), ms(took_s), ms(took_s / count), ms(cpu_s),
                             ms(cpu_s / count)])
    for name, points in (("time", took), ("supervisor's CPU", cpus)):
        power = slope(points)
        outcome.goal(f"{name} grows by slots to the power of {power:.2f} from {FROM} to "
                     f"{COUNTS[-1]} slots (linear: {SLOPE_MAX} or less)", power <= SLOPE_MAX)
    outcome.chart = {"kind": "lines", "unit": "ms", "axis": "slots", "series": {
        "reload": [(count, value * 1000) for count, value in took],
        "supervisor's CPU": [(count, value * 1000) for count, value in cpus]}}
    outcome.data = {str(one.count): {"took_s": one.took_s, "cpu_s": one.cpus_s} for one in subjects}
    return outcome
