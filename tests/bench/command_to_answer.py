"""a: from the command to the first answer of the new generation, beside Server::Starter."""

import json
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time

from measure import BENCH_WORKER, Outcome, Probe, median_ratio, ms, wait_exit
from service import Service
from supervisor_process import Log

ABOUT = """\
One worker, the same program under both, both running all along; a client asks one request after
the other, SIGHUP goes to one supervisor, then to the other, in turns. handover: `SettleSec=0`, so
that neither watches the new worker. Server::Starter: `--interval=0`, the smallest it takes (1 s
is usual): it then ends the old worker at once, without knowing whether the new one lives, while
handover waits for READY=1. New and old share the socket; either may answer while both are there."""
STEPS = ["spec", "started", "ready", "serving", "draining", "done"]


class ServerStarter:
    """start_server with one worker on a port of its own."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        self.process = subprocess.Popen(
            ["start_server", "--interval=0", f"--port=127.0.0.1:{self.address[1]}", "--",
             BENCH_WORKER], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True)
        self.pid = self.process.pid
        self.log = Log(self.process.stderr)
        self.log.wait("starting new worker")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def start_handover(directory):
    service = Service(directory, ["--listen", "http=127.0.0.1:0", "-o", "Worker.SettleSec=0", "--",
                                  BENCH_WORKER], "bench").wait_serving()
    host, port = service.shards()[0]["address"].rsplit(":", 1)
    service.address = (host, int(port))
    return service


def measure(subject):
    """Seconds from SIGHUP to the new generation's first answer."""
    probe = Probe(subject.address)
    probe.ask()
    begin_s = time.monotonic()
    os.kill(subject.pid, signal.SIGHUP)
    answered_s, old_pid = probe.until_next()
    # Not before the old one has gone is the next reload like this one.
    wait_exit(old_pid)
    return answered_s - begin_s


def break_down(service):
    """Seconds from a Reload with `more` to each of its steps and to the first answer."""
    times = {}
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(service.socket_path))
        call = {"method": "io.handover.Control.Reload", "more": True}
        buffer = bytearray()

        def look():
            try:
                buffer.extend(control.recv(65536, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return
            while b"\0" in buffer:
                message, _, rest = buffer.partition(b"\0")
                buffer[:] = rest
                times.setdefault(json.loads(message)["parameters"]["step"], time.monotonic())

        probe = Probe(service.address)
        probe.ask()
        begin_s = time.monotonic()
        control.sendall(json.dumps(call).encode() + b"\0")
        answered_s, old_pid = probe.until_next(look)
        while "done" not in times:
            look()
        wait_exit(old_pid)
    times["first answer"] = answered_s
    return {name: at_s - begin_s for name, at_s in times.items()}


def run(quick):
    pairs = 5 if quick else 40
    with tempfile.TemporaryDirectory(prefix="handover-bench-") as directory:
        subjects = {"handover": start_handover(directory), "Server::Starter": ServerStarter()}
        times = {name: [] for name in subjects}
        try:
            for subject in subjects.values():
                measure(subject)
            for number in range(pairs):
                order = list(subjects) if number % 2 else list(reversed(subjects))
                for name in order:
                    times[name].append(measure(subjects[name]))
            steps = [break_down(subjects["handover"]) for _ in range(pairs)]
        finally:
            for subject in subjects.values():
                subject.stop()
    return report(times, steps)


def report(times, steps):
    outcome = Outcome("Command to first answer of the new generation", ABOUT,
                      ["", "median ms", "p90 ms", "slowest ms"])
    for name, values in times.items():
        deciles = statistics.quantiles(values, n=10, method="inclusive")
        outcome.rows.append([name, ms(statistics.median(values)), ms(deciles[-1]), ms(max(values))])
    ratio = median_ratio(times["handover"], times["Server::Starter"])
    outcome.goal(f"no later than Server::Starter: median ratio of {len(steps)} pairs {ratio:.2f} "
                 "(1 or less)", ratio <= 1)
    medians = {name: statistics.median(one[name] for one in steps if name in one)
               for name in [*STEPS[:4], "first answer", *STEPS[4:]]}
    outcome.notes.append(
        "Where handover's time goes (medians, ms after a `Reload` call, as its replies tell, seen "
        "between two requests): " + ", ".join(f"{name} {ms(at)}" for name, at in medians.items())
        + ".")
    outcome.chart = {"kind": "strips", "unit": "ms",
                     "series": {name: [value * 1000 for value in values]
                                for name, values in times.items()}}
    outcome.data = {"times_s": times, "steps_s": steps, "ratio": ratio}
    return outcome
