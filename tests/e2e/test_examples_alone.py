"""Each example started with a listening socket by LISTEN_FDS: answers, drains on SIGTERM."""

import contextlib
import os
import socket
import time

import pytest

from alone import BUILD, Client, DEADLINE_S, listener, terminate, worker

SOURCES = os.path.join(os.path.dirname(__file__), "..", "..", "worker", "examples")
EXAMPLES = {
    "echo_poll": [os.path.abspath(f"{BUILD}/examples/echo_poll")],
    "python_http": ["/usr/bin/python3", os.path.abspath(f"{SOURCES}/python_http.py")],
    "shell": ["/bin/sh", os.path.abspath(f"{SOURCES}/shell.sh")],
}


@contextlib.contextmanager
def notify_socket():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(f"\0handover-example-{os.getpid()}")
        one.settimeout(DEADLINE_S)
        yield one


def expect_notification(notify, text):
    while text not in notify.recv(4096).decode().split("\n"):
        pass


@pytest.fixture(params=EXAMPLES)
def example(request):
    with listener() as listening, notify_socket() as notify, \
            worker(EXAMPLES[request.param], [listening],
                   environment={"NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode(),
                                "HANDOVER_GENERATION": "3"}) as process:
        process.listening = listening
        process.notify = notify
        expect_notification(notify, "READY=1")
        yield process


def test_answers(example):
    for _ in range(20):
        with Client(example.listening) as client:
            status, fields, body = client.get("/path", "Connection: close\r\n")
            assert (status, fields["x-generation"]) == (200, "3")
            assert body.endswith(b"\n")
            client.expect_end()


def test_drains(example):
    """The request in flight is answered, the next connection is left in the queue."""
    with Client(example.listening) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        wait_until_accepted(example.listening)
        terminate(example.process)
        expect_notification(example.notify, "STOPPING=1")
        client.send(b"Host: x\r\nConnection: close\r\n\r\n")
        assert client.answer()[0] == 200
        client.expect_end()
    status, errors = example.wait()
    assert (status, errors) == (0, "")
    with Client(example.listening) as late:
        late.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert late.is_quiet()


def wait_until_accepted(listening):
    """tcpi_unacked of a listener is its queue, tcp(7); byte 24 of struct tcp_info."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        if int.from_bytes(info[24:28], "little") == 0:
            return
    raise AssertionError("nobody accepts")


def test_python_answers_idle_connections_once_more():
    with listener() as listening, worker(EXAMPLES["python_http"], [listening]) as process:
        with Client(listening) as client:
            assert client.get()[1]["connection"] == "keep-alive"
            terminate(process.process)
            while client.get()[1]["connection"] != "close":
                pass
            client.expect_end()
        assert process.wait() == (0, "")


def test_echo_under_a_supervisor():
    """Serve, drain with a deadline, resume: the whole of libhandover in a loop of its own."""
    with listener() as listening, \
            worker(EXAMPLES["echo_poll"], [listening], channel=True) as process:
        process.hear("Ready")
        with Client(listening) as client:
            client.send(b"GET /early HTTP/1.0\r\n\r\n")
            assert client.is_quiet()
            process.tell("Serve")
            assert client.answer()[2] == b"GET /early HTTP/1.0\n"
        with Client(listening) as pending:
            wait_until_accepted(listening)
            process.tell("Drain", deadline_usec=int((time.monotonic() + DEADLINE_S) * 1e6))
            assert process.hear("Draining")["open"] == 1
            with Client(listening) as client:
                client.send(b"GET /late HTTP/1.0\r\n\r\n")
                assert client.is_quiet()
                process.tell("Resume")
                assert client.answer()[0] == 200
            process.tell("Drain", deadline_usec=0)
            pending.expect_end()
        assert process.wait() == (0, "")


def test_echo_ends_when_nobody_can_tell_it_to_serve_any_more():
    with listener() as listening, \
            worker(EXAMPLES["echo_poll"], [listening], channel=True) as process:
        process.hear("Ready")
        process.supervisor.close()
        assert process.wait() == (0, "")
