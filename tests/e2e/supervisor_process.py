"""Starts handoverd, waits for it without sleeping, and says afterwards what it left behind."""

import collections
import contextlib
import fcntl
import os
import re
import signal
import subprocess
import threading
import time

import processes
from control import Connection, Reload
from paths import HANDOVERD

DEADLINE_S = 60
PIPE_BYTES = 1 << 20
GRUMBLE = re.compile(r"^[-\d]+ [:.\d]+ \S+: (warning|error): ")
SANITIZER = re.compile(r"(ERROR|WARNING|SUMMARY): \w+Sanitizer|: runtime error: ")
serial = iter(range(1, 1 << 30))


class Log:
    """What a process writes to stderr, a line at a time; waiting is for the next line."""

    def __init__(self, stream):
        self.lines = []
        self.ended = False
        self.news = threading.Condition()
        with contextlib.suppress(PermissionError):  # the log loses lines when the pipe is full
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.thread = threading.Thread(target=self.read, args=(stream,), daemon=True)
        self.thread.start()

    def read(self, stream):
        with stream:
            for line in stream:
                with self.news:
                    self.lines.append(line.decode(errors="replace").rstrip("\n"))
                    self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def wait(self, pattern, start=0):
        """The first match of @pattern in a line from number @start on."""
        deadline = time.monotonic() + DEADLINE_S
        with self.news:
            while True:
                for start, line in enumerate(self.lines[start:], start):
                    if found := re.search(pattern, line):
                        return found
                start = len(self.lines)
                left = deadline - time.monotonic()
                assert not self.ended and left > 0, f"no line matches {pattern}:\n{self.text()}"
                self.news.wait(left)

    def wait_news(self, n_seen, timeout_s):
        """Waits until there are more than @n_seen lines, or the log has ended."""
        with self.news:
            self.news.wait_for(lambda: self.ended or len(self.lines) > n_seen, timeout_s)

    def count(self, pattern):
        return sum(1 for line in self.lines if re.search(pattern, line))

    def text(self):
        return "\n".join(self.lines)


class Supervisor:
    """One handoverd. All that it logs as a warning or an error must be expected (expect())."""

    def __init__(self, directory, arguments, environment=None, pass_fds=(), become=()):
        """@become: a command line that starts handoverd by exec, such as systemd-socket-activate's."""
        self.name = f"t{os.getpid()}n{next(serial)}"
        self.directory = directory
        self.socket_path = f"{directory}/control.sock"
        self.expected = []
        self.expected_status = 0
        self.baseline = None
        self.stopped = False
        self.environment = {**os.environ, "RUNTIME_DIRECTORY": str(directory),
                            **(environment or {})}
        self.environment.pop("NOTIFY_SOCKET", None)
        self.process = subprocess.Popen(
            [*become, HANDOVERD, "--name", self.name, "--verbose", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.environment,
            pass_fds=pass_fds)
        self.pid = self.process.pid
        self.log = Log(self.process.stderr)

    def variable(self):
        """What each of its workers has in its environment, and whatever they start."""
        return f"HANDOVER_NAME={self.name}"

    # Asking.

    def connect(self):
        return Connection(self.socket_path)

    def ask(self, method, **parameters):
        with self.connect() as connection:
            return connection.ask(method, **parameters)

    def status(self):
        return self.ask("Status")

    def workers(self, **like):
        """Its workers with these values, such as state="serving"."""
        return [worker for worker in self.ask("Workers")["workers"]
                if all(worker[key] == value for key, value in like.items())]

    def pids(self, **like):
        return [worker["pid"] for worker in self.workers(**like)]

    def shards(self, listener=None):
        return [shard for one in self.ask("Listeners")["listeners"]
                if listener in (None, one["name"]) for shard in one["shards"]]

    def target(self, index=0):
        """The load client's word for address number @index."""
        addresses = list(dict.fromkeys(shard["address"] for shard in self.shards()))
        address = addresses[index]
        return f"unix:{address}" if address[0] in "/@" else f"tcp:{address}"

    def reload(self, **parameters):
        """Reloads and returns the new generation's number; raises ControlError."""
        return self.ask("Reload", **parameters)["generation"]

    def begin_reload(self, **parameters):
        return Reload(self.socket_path, **parameters)

    # Waiting.

    def wait_started(self):
        """Waits until the first generation serves; its descriptors are counted from then on."""
        self.log.wait(r"control socket ")
        self.log.wait(r"generation \d+ serves ")
        self.baseline = self.count_descriptors()
        return self

    def wait_for(self, condition):
        """Waits until @condition() holds. It is looked at whenever something was logged: with
        --verbose each change of state is."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            n_seen = len(self.log.lines)
            if result := condition():
                return result
            left = deadline - time.monotonic()
            assert left > 0 and not self.log.ended, f"it never came:\n{self.log.text()}"
            self.log.wait_news(n_seen, left)

    def wait_settled(self):
        """Waits until nothing is under way and only the serving generation is left, whole."""
        def settled():
            status = self.status()
            return (status["transition"] is None and len(status["generations"]) == 1
                    and status["slots_serving"] == status["slots"]
                    and len(self.workers()) == len(self.workers(state="serving")))
        self.wait_for(settled)

    def wait_gone(self, generation):
        self.log.wait(rf"generation {generation} is gone")

    def expect(self, pattern):
        """Warnings and errors that match are as they should be."""
        self.expected.append(pattern)

    # Ending, and what is found then.

    def count_descriptors(self):
        with self.connect() as connection:
            connection.ask("Ping")
            return processes.descriptors(self.pid)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Ends it and returns its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        self.process.wait(DEADLINE_S)
        self.log.thread.join(DEADLINE_S)
        self.stopped = True
        return self.process.returncode

    def running_problems(self):
        """While it still runs: descriptors and zombies."""
        if self.baseline is None or self.process.poll() is not None:
            return
        self.wait_settled()
        # Connections that were closed just now are noticed within a turn or two of its loop.
        for _ in range(50):
            now = self.count_descriptors()
            if len(now) <= len(self.baseline):
                break
        else:
            before = collections.Counter(kinds(self.baseline))
            grown = collections.Counter(kinds(now)) - before
            yield f"{len(now) - len(self.baseline)} descriptors leaked: {dict(grown)}"
        if zombies := processes.zombies_of(self.pid):
            yield f"zombies: {zombies}"
        # Whoever does not have it could not be found among the left-overs either.
        if unnamed := set(self.pids()) - set(processes.with_variable(self.variable())):
            yield f"workers without {self.variable()}: {unnamed}"

    def final_problems(self):
        """After it has ended: its exit status, its log, and what it left running."""
        if self.process.returncode != self.expected_status:
            yield f"exit status {self.process.returncode}, not {self.expected_status}"
        for line in self.log.lines:
            if GRUMBLE.match(line) and not any(re.search(e, line) for e in self.expected):
                yield f"unexpected: {line}"
            if SANITIZER.search(line):
                yield f"sanitizer: {line}"
        for pattern in self.expected:
            if not self.log.count(pattern):
                yield f"expected in its log, and not there: {pattern}"
        left = processes.with_variable(self.variable())
        if left:
            yield f"still running: {[(pid, processes.command(pid)) for pid in left]}"

    def destroy(self):
        """Ends whatever is left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in processes.with_variable(self.variable()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def kinds(descriptors):
    """What they are, without the numbers that tell one socket from another."""
    return [re.sub(r"\d+", "N", what) for what in descriptors.values()]
