"""What the demonstration does, step by step, and what must hold at each."""

import os
import signal
import time
from pathlib import Path

import processes
from load import Load
from paths import HTTPD
from service import Service, milliseconds, spread

WORKERS = 4
REQUESTS_PER_S = 2000
RELOADS = 300
STORM_S = 15  # a slow machine makes fewer reloads in it
RELOADS_LEAST = 30
QUEUED = 60
COMPLAINT = "cannot open /srv/web/catalogue.db: no such table: prices"

CONFIGURATION = """\
[Listener http]
ListenStream=127.0.0.1:0
ReusePort=yes

[Worker]
ExecStart="{directory}/current/server" --generation-header X-Generation --body hello
Count={workers}
TimeoutStopSec=5
"""
BROKEN = f"""\
#!/bin/sh
sleep 0.7  # a release that takes its time to find out
echo "{COMPLAINT}" >&2
exit 3
"""


class Failed(Exception):
    """Something did not go as it was told."""


def insist(condition, text):
    if not condition:
        raise Failed(text)


class Step:
    """A line of the checklist."""

    def __init__(self, title, run):
        self.title, self.run = title, run
        self.state, self.detail, self.fraction = "waiting", "", None
        self.quotation = []  # what was printed by another program


class Story:
    """Runs its steps in order, and meanwhile lets others look at how far it is."""

    def __init__(self, directory, tell, pause_samples=0):
        self.directory, self.tell, self.pause_samples = Path(directory), tell, pause_samples
        self.service = self.load = self.result = None
        self.generation, self.serving, self.address = 0, 0, ""
        self.reload_s, self.broken, self.killed = [], 0, 0
        self.queued = 0
        self.idle_descriptors = 0
        self.begin_s = time.monotonic()
        self.steps = [
            Step(f"start {WORKERS} workers, an SO_REUSEPORT shard each", self.start),
            Step("reload again and again, without a pause", self.storm),
            Step("a release that cannot start", self.break_release),
            Step("the mended release", self.mend_release),
            Step("kill -9 a worker, requests in its queue", self.kill_worker),
            Step("drain, stop, and count", self.finish),
        ]

    def run(self):
        for step in self.steps:
            step.state = "running"
            self.tell(step)
            try:
                step.run(step)
            except Exception:
                step.state = "failed"
                raise
            step.state = "done"
            self.tell(step)
            for _ in range(self.pause_samples if step is not self.steps[-1] else 0):
                self.load.next_sample()

    def release(self, name):
        """Points `current` at a release, as deploy scripts do."""
        new = self.directory / "next"
        new.symlink_to(f"releases/{name}")
        new.rename(self.directory / "current")

    def start(self, step):
        for name in ("good", "broken"):
            (self.directory / "releases" / name).mkdir(parents=True)
        (self.directory / "releases/good/server").symlink_to(HTTPD)
        broken = self.directory / "releases/broken/server"
        broken.write_text(BROKEN, encoding="utf-8")
        broken.chmod(0o755)
        self.release("good")
        configuration = self.directory / "web.conf"
        configuration.write_text(
            CONFIGURATION.format(directory=self.directory, workers=WORKERS), encoding="utf-8")
        self.service = Service(self.directory, ["--config", configuration], "web").wait_serving()
        self.look()
        self.address = self.service.shards()[0]["address"]
        self.idle_descriptors = self.descriptors(self.service.workers(slot=0)[0])
        self.load = Load(f"tcp:{self.address}", "--rate", REQUESTS_PER_S, "--expect-body", "hello")
        self.load.next_sample()
        step.detail = f"{self.address}, {REQUESTS_PER_S:,} new connections/s from now on"

    def look(self):
        status = self.service.ask("Status")
        self.generation, self.serving = status["serving"], status["slots_serving"]
        return status

    def reload(self):
        self.generation, took_s = self.service.reload()
        self.reload_s.append(took_s)

    def storm(self, step):
        end_s = time.monotonic() + STORM_S
        while len(self.reload_s) < RELOADS and time.monotonic() < end_s:
            self.reload()
            step.fraction = len(self.reload_s) / RELOADS
            step.detail = f"{len(self.reload_s)}, {milliseconds(self.reload_s[-1])}"
        insist(len(self.reload_s) >= RELOADS_LEAST,
               f"only {len(self.reload_s)} reloads in {STORM_S} s")
        insist(self.look()["crashes"] == 0, "a worker ended unasked")
        self.check_lost()
        step.detail = f"{len(self.reload_s)} reloads, {spread(self.reload_s)}"

    def break_release(self, step):
        before, answered = self.generation, self.load.total("ok")
        self.release("broken")
        step.detail = "handoverctl reload …"
        done = self.service.control("reload")
        step.quotation = done.stderr.splitlines()
        insist(done.returncode == 1, f"handoverctl said {done.returncode}, not 1: {done.stderr}")
        insist(COMPLAINT in done.stderr, f"it did not say why: {done.stderr}")
        self.broken = 1
        self.load.next_sample()
        meanwhile = self.load.total("ok") - answered
        insist(meanwhile >= REQUESTS_PER_S / 4, f"only {meanwhile} answers while it failed")
        insist(self.look()["serving"] == before, "another generation serves than before")
        self.check_lost()
        step.detail = (f"reload said 1 and why; generation {before} answered {meanwhile:,} "
                       "meanwhile")

    def mend_release(self, step):
        self.release("good")
        self.reload()
        self.load.until(lambda: str(self.generation) in self.load.samples[-1]["generations"])
        self.check_lost()
        step.detail = (f"generation {self.generation} serves after "
                       f"{milliseconds(self.reload_s[-1])}")

    def kill_worker(self, step):
        """What a worker has accepted dies with it, and nobody can give it back. What waits in its
        queue does not, and that is shown: it is stopped at a moment when it holds no connection,
        its queue fills, and then it is killed. So nothing at all may be lost."""
        worker = self.stop_worker_without_connection()
        slot = worker["slot"]
        try:
            self.load.until(lambda: self.queue_of(slot) >= QUEUED)
            self.queued = self.queue_of(slot)
        finally:
            os.kill(worker["pid"], signal.SIGKILL)
        self.killed = 1
        killed_s = time.time()
        self.load.until(lambda: self.successor(worker))
        took_s = self.successor(worker)["since_usec"] / 1e6 - killed_s
        self.load.until(lambda: self.queue_of(slot) < QUEUED / 2)
        insist(self.look()["crashes"] == 1, "the supervisor counts no crash")
        self.check_lost()
        step.detail = (f"slot {slot} is back within {milliseconds(took_s)} and answers the "
                       f"{self.queued} that waited")

    def stop_worker_without_connection(self):
        for _ in range(50):
            for worker in self.service.workers(state="serving"):
                os.kill(worker["pid"], signal.SIGSTOP)
                while processes.status(worker["pid"])[0] != "T":
                    pass
                if self.descriptors(worker) == self.idle_descriptors:
                    return worker
                os.kill(worker["pid"], signal.SIGCONT)
        raise Failed("no worker was ever without a connection")

    def successor(self, worker):
        return next((new for new in self.service.workers(slot=worker["slot"], state="serving")
                     if new["pid"] != worker["pid"]), None)

    @staticmethod
    def descriptors(worker):
        """How many it has: a connection is one more than before the first request came."""
        return len(processes.descriptors(worker["pid"]))

    def queue_of(self, slot):
        return next(shard["queue"] for shard in self.service.shards() if shard["slot"] == slot)

    def finish(self, step):
        self.result = self.load.finish()
        status = self.service.stop()
        insist(status == 0, f"handoverd ended with status {status}")
        lost = self.result["lost"]
        insist(lost == 0, f"{lost} requests were lost")
        self.serving = 0
        answered = len(self.result["generations"])
        step.detail = f"{answered} generations answered {self.result['ok']:,} requests"

    def check_lost(self):
        lost = self.load.total("lost")
        insist(lost == 0, f"{lost} requests were lost")

    def clean_up(self):
        """Whatever happened: ends what was started here, and nothing else."""
        if self.load:
            self.load.kill()
        if self.service:
            self.service.stop()
