"""b: latency across reloads beside that of a steady state."""

import statistics
import tempfile
import time

from load import Load
from measure import BENCH_WORKER, Outcome, median_ratio
from paths import HTTPD
from service import Service

RATE = 2000
INTERVAL_S = 0.25
ABOUT = f"""\
4 workers, a shard each, {RATE:,} new connections/s due at fixed times (latency counts from when a
request was due), with a reload each {INTERVAL_S} s, and without, in turns. Client and service share
the machine, so what a reload costs in processor time is in it."""
KINDS = {"native": [HTTPD, "--generation-header", "X-Generation"], "program": [BENCH_WORKER]}
QUANTILES = ["p50", "p99", "p99.9"]


def one_run(service, seconds, reloading):
    load = Load(service.target(), "--rate", RATE, "--requests", int(RATE * seconds))
    try:
        load.next_sample()
        n_reloads = 0
        begin_s = time.monotonic()
        while reloading and not load.ended:
            service.reload()
            n_reloads += 1
            time.sleep(max(0, begin_s + n_reloads * INTERVAL_S - time.monotonic()))
        return load.wait()
    finally:
        load.kill()


def run_kind(kind, quick):
    pairs, seconds = (2, 2) if quick else (7, 4)
    results = {True: [], False: []}
    with tempfile.TemporaryDirectory(prefix="handover-bench-") as directory:
        service = Service(directory, [
            "--listen", "http=127.0.0.1:0", "--workers", "4", "-o", "Listener http.ReusePort=yes",
            "-o", "Worker.SettleSec=0", "--", *KINDS[kind]], "bench").wait_serving()
        try:
            one_run(service, 1, False)
            for number in range(pairs):
                for reloading in (False, True) if number % 2 else (True, False):
                    results[reloading].append(one_run(service, seconds, reloading))
        finally:
            service.stop()
    return results


def run(quick):
    outcome = Outcome("Latency across reloads beside a steady state", ABOUT,
                      ["", "", *(f"{name} ms" for name in QUANTILES), "lost"])
    bars = {}
    for kind in KINDS:
        results = run_kind(kind, quick)
        values = {(name, reloading): [one["latency_usec"][name] / 1000 for one in runs]
                  for name in QUANTILES for reloading, runs in results.items()}
        for reloading, word in ((False, "steady"), (True, "reloading")):
            medians = [statistics.median(values[name, reloading]) for name in QUANTILES]
            lost = sum(one["lost"] for one in results[reloading])
            outcome.rows.append([kind, word, *(f"{value:.2f}" for value in medians), str(lost)])
            outcome.goal(f"{kind}, {word}: nothing lost ({lost})", lost == 0)
        ratios = [median_ratio(values[name, True], values[name, False]) for name in QUANTILES]
        outcome.rows.append([kind, "ratio", *(f"{ratio:.2f}" for ratio in ratios), ""])
        for name in QUANTILES[1:]:
            bars[f"{kind} {name}"] = {"steady": statistics.median(values[name, False]),
                                      "reloading": statistics.median(values[name, True])}
        outcome.data[kind] = {word: [one["latency_usec"] for one in results[reloading]]
                              for reloading, word in ((False, "steady"), (True, "reloading"))}
        outcome.data[kind]["ratios"] = dict(zip(QUANTILES, ratios))
    outcome.notes.append("Ratios are medians of pairs.")
    outcome.chart = {"kind": "bars", "unit": "ms", "groups": bars}
    return outcome
