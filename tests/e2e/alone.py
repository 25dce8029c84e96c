"""Runs one worker by itself, as a supervisor or systemd would start it.

It gets exactly the descriptors it is meant to get, from 3 on, and LISTEN_PID is its own number:
both can only be arranged in the child, so a few lines of Python there become the worker by exec.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

BUILD = os.environ.get("BUILD", "build")
DEADLINE_S = 20

BECOME = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
high = [os.dup(fd) for fd in fds]
high = [os.dup2(fd, 200 + i) for i, fd in enumerate(high)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(fds), 1000)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Worker:
    """A started program; `listeners` are its sockets from descriptor 3 on."""

    def __init__(self, argv, listeners=(), names=None, channel=False, environment=None):
        self.supervisor = None
        fds = [listener.fileno() for listener in listeners]
        env = dict(os.environ, **(environment or {}))
        if listeners:
            env["LISTEN_FDS"] = str(len(fds))
            env["LISTEN_FDNAMES"] = ":".join(names or ["http"] * len(fds))
        other = None
        if channel:
            self.supervisor, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.supervisor.settimeout(DEADLINE_S)
            env["HANDOVER_FD"] = str(3 + len(fds))
            env.setdefault("HANDOVER_GENERATION", "5")
            fds.append(other.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-c", BECOME, ",".join(map(str, fds)), *argv],
            pass_fds=fds, env=env, stderr=subprocess.PIPE,
            start_new_session=True)
        if other:
            other.close()

    def tell(self, method, **parameters):
        self.supervisor.send(json.dumps(
            {"method": "io.handover.Worker." + method, "parameters": parameters}).encode())

    def hear(self, method):
        """The parameters of the next message that is a `method`; others are passed over."""
        while True:
            packet = self.supervisor.recv(65536)
            assert packet, "the worker closed its channel"
            message = json.loads(packet)
            if message["method"] == "io.handover.Worker." + method:
                return message.get("parameters", {})

    def wait(self):
        """Its exit status, and what it wrote to stderr."""
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, errors.decode()

    def end(self):
        """Ends it with all its children, before they can hold our pipe open."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        if self.supervisor:
            self.supervisor.close()


@contextlib.contextmanager
def worker(*args, **kwargs):
    one = Worker(*args, **kwargs)
    try:
        yield one
    finally:
        one.end()


def listener(family=socket.AF_INET, blocking=True):
    one = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_UNIX:
        one.bind("\0handover-test-%d-%d" % (os.getpid(), one.fileno()))
    else:
        one.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    one.listen(1024)
    one.setblocking(blocking)
    return one


class Client:
    """A raw connection to `listening`."""

    def __init__(self, listening):
        self.socket = socket.socket(listening.family, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(listening.getsockname())
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def get(self, path="/", extra="", method="GET"):
        self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())
        return self.answer(method == "HEAD")

    def fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def answer(self, is_head=False):
        """The next answer: status, header fields (names in lower case), body."""
        while b"\r\n\r\n" not in self.buffer:
            assert self.fill(), f"the connection ended after {self.buffer!r}"
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        fields = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            assert name.lower() not in fields, line
            fields[name.lower()] = value.strip()
        status = int(lines[0].split(" ")[1])
        length = 0 if is_head or status < 200 else int(fields["content-length"])
        while len(self.buffer) < length:
            assert self.fill(), "the connection ended within a body"
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, fields, body

    def expect_end(self):
        """The peer closes, cleanly, and says nothing more."""
        while self.fill():
            pass
        assert self.buffer == b""

    def is_quiet(self, seconds=0.05):
        """Neither closed nor written to, as far as can be seen within `seconds`."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def deadline_usec(after_s):
    return int((time.monotonic() + after_s) * 1e6)


def terminate(process):
    process.send_signal(signal.SIGTERM)
