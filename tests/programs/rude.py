#!/usr/bin/python3
"""Misbehaves as ACTIONS say, one after the other, then becomes PROGRAM: what is tested beside that
is how the service bears it, and the program serves well.

    rude.py ACTION... -- PROGRAM ARGUMENT...

With `&` before it an action is done by a child, beside the program, in its process group.
"""

import array
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import time

WORKER = "io.handover.Worker."


def channel():
    return socket.socket(fileno=os.dup(int(os.environ["HANDOVER_FD"])))


def send(*packets):
    with channel() as one:
        for packet in packets:
            one.send(packet if isinstance(packet, bytes) else json.dumps(packet).encode())


def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(os.environ["NOTIFY_SOCKET"])
        one.send(text if isinstance(text, bytes) else text.encode())


def garbage():
    send(b"\xff\xfe\x00", b"{", b"[]", b"null", b"5", b'"x"', b'{"method":5}', b'{"method":"Ready"}',
         {"method": WORKER + "Nonsense"}, {"method": WORKER + "Status", "parameters": {"status": 5}},
         {"method": WORKER + "Draining", "parameters": {"open": -1}}, {"method": WORKER + "Serve"},
         {"method": WORKER + "Drain"}, b"[" * 60000, {"parameters": {}})


def huge():
    with channel() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for size in (65536, 65537, 150000):
            one.send(b" " * size)


def descriptors():
    """253 of them beside each packet, the most that the kernel takes."""
    end, _ = os.pipe()
    with channel() as one:
        for _ in range(40):
            one.sendmsg([json.dumps({"method": WORKER + "Status",
                                     "parameters": {"status": "laden"}}).encode()],
                        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end] * 253))])


def notify_descriptors():
    end, _ = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(os.environ["NOTIFY_SOCKET"])
        for _ in range(20):
            one.sendmsg([b"STATUS=laden"],
                        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end] * 253))])


def statuses():
    """As fast as they are taken."""
    while True:
        send({"method": WORKER + "Status", "parameters": {"status": "busy"}})


def notifications():
    while True:
        say("STATUS=busy")


def become(*command):
    os.execvp(command[0], command)


def barrier():
    """See sd_notify_barrier(3): the pipe hangs up when all that was sent before has been handled."""
    say("READY=1\nSTATUS=before the barrier")
    end, other = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(os.environ["NOTIFY_SOCKET"])
        one.sendmsg([b"BARRIER=1"],
                    [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [other]))])
    os.close(other)
    poll = select.poll()
    poll.register(end, 0)
    print("the barrier is passed" if poll.poll(20000) else "the barrier holds", flush=True)


def listener_flags():
    print("listener is", "non-blocking" if fcntl.fcntl(3, fcntl.F_GETFL) & os.O_NONBLOCK
          else "blocking", flush=True)


ACTIONS = {
    "garbage": garbage,
    "huge": huge,
    "descriptors": descriptors,
    "notify-descriptors": notify_descriptors,
    "ready-twice": lambda: send({"method": WORKER + "Ready"}, {"method": WORKER + "Ready"}),
    "empty-packet": lambda: send(b""),
    "statuses": statuses,
    "notifications": notifications,
    "odd-status": lambda: say(b"STATUS=\xff\xfe \x1b[31mred\x07 \xc3\xa9\xe2\x82"),
    "odd-datagrams": lambda: [say(one) for one in (
        b"\xff" * 100, b"\0", b"READY=0", b"READY=11", b"STATUS", b"=", b"\n\n\n", b"x" * 60000,
        b"EXTEND_TIMEOUT_USEC=-1", b"WATCHDOG_USEC=99999999999999999999", b"MAINPID=1",
        b"ERRNO=zero", b"STATUS=a\0b", b"FDSTORE=1", b"STOPPING=2")],
    "flood": lambda: become("yes", "a line of a worker that says too much"),
    "endless-line": lambda: become("sh", "-c", "tr '\\0' x < /dev/zero"),
    "binary": lambda: os.write(1, os.urandom(60000) + b"\xff\xfe\x1b[2J\x07\n"),
    "extend": lambda: say("EXTEND_TIMEOUT_USEC=20000000"),
    "late": lambda: time.sleep(1.5),
    "barrier": barrier,
    "notify-ready": lambda: os.waitstatus_to_exitcode(
        os.system("systemd-notify --ready --status='by a helper'")) and sys.exit(77),
    "stranger": lambda: say("STATUS=a stranger's words\nSTOPPING=1"),
    "listener-flags": listener_flags,
    "few-descriptors": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)),
    "limits": lambda: print("limits", *resource.getrlimit(resource.RLIMIT_NOFILE), flush=True),
    "close-channel": lambda: os.close(int(os.environ["HANDOVER_FD"])),
}


def main():
    end = sys.argv.index("--")
    for word in sys.argv[1:end]:
        if not word.startswith("&"):
            ACTIONS[word]()
        elif os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ACTIONS[word[1:]]()
            os._exit(0)
    os.execv(sys.argv[end + 1], sys.argv[end + 1:])


if __name__ == "__main__":
    main()
