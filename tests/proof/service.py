"""One handoverd and what is asked of it: shared by the demonstration, the soak and the bench."""

import os
import re
import signal
import statistics
import subprocess
import time
from pathlib import Path

from control import Connection
from paths import HANDOVERCTL, HANDOVERD
from supervisor_process import Log

PATIENCE_S = 20


class Service:
    """handoverd in @directory, out of reach of the terminal's Ctrl-C: who started it ends it."""

    def __init__(self, directory, arguments, name="demo"):
        self.runtime = Path(directory, "run")
        self.runtime.mkdir(exist_ok=True)
        self.socket_path = self.runtime / "control.sock"
        self.environment = {**os.environ, "RUNTIME_DIRECTORY": str(self.runtime)}
        self.environment.pop("NOTIFY_SOCKET", None)
        self.process = subprocess.Popen(
            [HANDOVERD, "--name", name, *map(str, arguments)], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env=self.environment, start_new_session=True)
        self.pid = self.process.pid
        self.log = Log(self.process.stderr)

    def wait_serving(self):
        self.log.wait(r"generation \d+ serves ")
        return self

    def ask(self, method, **parameters):
        connection = Connection(self.socket_path)
        try:
            return connection.ask(method, **parameters)
        finally:
            connection.close()

    def reload(self):
        """Returns the new generation's number and how long it took, in seconds."""
        begin = time.monotonic()
        number = self.ask("Reload")["generation"]
        return number, time.monotonic() - begin

    def control(self, *words):
        """Runs handoverctl as a person would."""
        return subprocess.run([HANDOVERCTL, *words], env=self.environment, text=True, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def shards(self):
        return self.ask("Listeners")["listeners"][0]["shards"]

    def target(self):
        return "tcp:" + self.shards()[0]["address"]

    def workers(self, **like):
        return [worker for worker in self.ask("Workers")["workers"]
                if all(worker[key] == value for key, value in like.items())]

    def stop(self):
        """Ends it, by force if it must, and returns its exit status."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
            try:
                return self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                pass
        return self.process.wait()


def memory_kib(pid):
    """What it has for itself alone: pages that no file backs."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"^RssAnon:\s+(\d+) kB", text, re.M)[1])


def switches(pid):
    """How often it went to sleep of its own will, and so was woken since."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])


def cpu_usec(pid):
    """Processor time it has had."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1000


def milliseconds(seconds):
    """As people read it: three digits that say something."""
    number = seconds * 1000
    return f"{number:.1f} ms" if number < 9.95 else f"{number:,.0f} ms"


def spread(seconds):
    """Median and slowest of many."""
    middle, slowest = statistics.median(seconds), max(seconds)
    return f"median {milliseconds(middle)}, slowest {milliseconds(slowest)}"
