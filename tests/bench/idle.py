"""d: what a supervisor costs when nothing happens."""

import tempfile
import time

from measure import Outcome
from paths import HTTPD
from service import Service, cpu_usec, memory_kib, switches

WORKERS = 4
MEMORY_LIMIT_KIB = 1024
ABOUT = """\
handoverd with 4 native workers, nobody asking: how often it woke, what processor time it took, and
the memory that is its own (RssAnon), at the start and after 20 reloads."""


def run(quick):
    seconds = 5 if quick else 75
    with tempfile.TemporaryDirectory(prefix="handover-bench-") as directory:
        service = Service(directory, ["--listen", "http=127.0.0.1:0", "--workers", WORKERS, "-o",
                                      "Listener http.ReusePort=yes", "--", HTTPD],
                          "bench").wait_serving()
        try:
            memory = memory_kib(service.pid)
            last = [service.reload()[0] for _ in range(20)][-1]
            service.log.wait(rf"generation {last - 1} is gone")
            # Connections that were closed just now, and its own back-off timers, are over by then.
            time.sleep(4)
            wakes, cpu = switches(service.pid), cpu_usec(service.pid)
            time.sleep(seconds)
            wakes, cpu = switches(service.pid) - wakes, cpu_usec(service.pid) - cpu
            memory_later = memory_kib(service.pid)
        finally:
            service.stop()
    outcome = Outcome("Idle", ABOUT, ["", ""], [
        [f"wake-ups in {seconds} s", str(wakes)],
        ["processor time, µs", f"{cpu:.0f}"],
        ["RssAnon at the start, KiB", f"{memory:,}"],
        ["RssAnon after 20 reloads, KiB", f"{memory_later:,}"],
    ])
    outcome.goal(f"it does not wake: {wakes} in {seconds} s (0)", wakes == 0)
    outcome.goal(f"less than 1 MiB of its own with 4 workers: {memory:,} KiB, {memory_later:,} KiB "
                 "after reloads", max(memory, memory_later) < MEMORY_LIMIT_KIB)
    outcome.data = {"wakes": wakes, "cpu_usec": cpu, "memory_kib": [memory, memory_later]}
    return outcome
