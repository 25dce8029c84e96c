"""c: what SO_REUSEPORT gives beyond SO_REUSEADDR: a shard for each worker, or one socket."""

import statistics
import tempfile

from load import Load
from measure import BENCH_WORKER, Outcome, median_ratio
from service import Service, cpu_usec, switches

RATE = 3000
CLIENTS = 64
COUNTS = [1, 2, 4]
ABOUT = f"""\
The same workers (epoll, accept until EAGAIN) behind one listening socket that all share
(SO_REUSEADDR alone) and behind one SO_REUSEPORT shard each. Saturated: {CLIENTS} clients, each at
once again. Paced: {RATE:,} new connections/s; of these how many the least and the most busy
worker got, what a connection cost the workers in processor time, and how often it woke one of
them. The client runs on the same processors and takes its part of them."""
WORDS = {False: "shared", True: "shards"}


class Subject:
    """A service with so many workers, sharded or not."""

    def __init__(self, count, sharded):
        self.directory = tempfile.TemporaryDirectory(prefix="handover-bench-")
        self.count = count
        self.service = Service(self.directory.name, [
            "--listen", "http=127.0.0.1:0", "--workers", count,
            "-o", f"Listener http.ReusePort={'yes' if sharded else 'no'}",
            "-o", "Worker.SettleSec=0", "--", BENCH_WORKER], "bench").wait_serving()
        self.rates, self.shares, self.cpus, self.wakes = [], [], [], []

    def load(self, *options):
        load = Load(self.service.target(), "--generation-header", "X-Slot", *options)
        try:
            result = load.wait()
        finally:
            load.kill()
        assert result["lost"] == 0, result
        return result

    def saturate(self, seconds):
        self.rates.append(self.load("--clients", CLIENTS, "--duration", seconds)["rate"])

    def pace(self, seconds):
        pids = [worker["pid"] for worker in self.service.workers()]
        cpu, wakes = sum(map(cpu_usec, pids)), sum(map(switches, pids))
        result = self.load("--rate", RATE, "--duration", seconds)
        self.cpus.append((sum(map(cpu_usec, pids)) - cpu) / result["ok"])
        self.wakes.append((sum(map(switches, pids)) - wakes) / result["ok"])
        slots = result["generations"]
        self.shares.append([slots.get(str(slot), 0) / result["ok"] for slot in range(self.count)])

    def row(self, sharded):
        least = statistics.median(min(one) for one in self.shares)
        most = statistics.median(max(one) for one in self.shares)
        return [str(self.count), WORDS[sharded], f"{statistics.median(self.rates):,.0f}",
                f"{least:.1%} – {most:.1%}", f"{statistics.median(self.cpus):.0f}",
                f"{statistics.median(self.wakes):.2f}"]

    def stop(self):
        self.service.stop()
        self.directory.cleanup()


def run(quick):
    rounds, seconds = (2, 1) if quick else (5, 2)
    outcome = Outcome("Sharded beside unsharded", ABOUT,
                      ["workers", "", "saturated /s", "share of a worker", "CPU µs a connection",
                       "wake-ups a connection"])
    bars = {}
    for count in COUNTS:
        subjects = {sharded: Subject(count, sharded) for sharded in WORDS}
        try:
            for number in range(rounds):
                order = list(subjects.values())[::1 if number % 2 else -1]
                for subject in order:
                    subject.saturate(seconds)
                for subject in order:
                    subject.pace(seconds)
        finally:
            for subject in subjects.values():
                subject.stop()
        compare(outcome, count, subjects)
        bars[f"{count} workers" if count > 1 else "1 worker"] = {
            word: 100 * statistics.median(max(one) for one in subjects[sharded].shares)
            for sharded, word in WORDS.items()}
    outcome.chart = {"kind": "bars", "unit": "% of the connections to the busiest", "groups": bars}
    return outcome


def compare(outcome, count, subjects):
    outcome.rows.extend(subject.row(sharded) for sharded, subject in subjects.items())
    shards, shared = subjects[True], subjects[False]
    ratios = {name: median_ratio(getattr(shards, name), getattr(shared, name))
              for name in ("rates", "cpus", "wakes")}
    outcome.rows.append([str(count), "ratio", f"{ratios['rates']:.2f}", "", f"{ratios['cpus']:.2f}",
                         f"{ratios['wakes']:.2f}"])
    outcome.data[str(count)] = {"ratios": ratios, **{
        WORDS[sharded]: {"rates": one.rates, "shares": one.shares, "cpu_usec": one.cpus,
                         "wakes": one.wakes} for sharded, one in subjects.items()}}
    if count > 1:
        uneven = statistics.median(max(one) - min(one) for one in shards.shares)
        outcome.goal(f"{count} shards are even: {uneven:.1%} between the least and the most busy "
                     "(5 % or less)", uneven <= 0.05)
