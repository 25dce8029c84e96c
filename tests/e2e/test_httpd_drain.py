"""handover-httpd under a supervisor, which is this test: serve, drain, resume, and its end."""

import contextlib
import socket
import time

import pytest

from alone import BUILD, Client, deadline_usec, listener, terminate, worker

HTTPD = f"{BUILD}/bin/handover-httpd"


@contextlib.contextmanager
def supervised(*options, serve=True, count=1):
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(listener()) for _ in range(count)]
        process = stack.enter_context(worker(
            [HTTPD, "--generation-header", "X-Generation", *options], listening, channel=True))
        process.listening = listening[0]
        process.all_listening = listening
        process.hear("Ready")
        if serve:
            process.tell("Serve")
        yield process


def wait_until_draining(process):
    return process.hear("Draining")["open"]


def test_no_answer_before_serve():
    with supervised(serve=False) as process, Client(process.listening) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.is_quiet(0.2)
        process.tell("Serve")
        status, fields, _ = client.answer()
        assert (status, fields["x-generation"]) == (200, "5")


def test_serves_all_its_sockets():
    with supervised(count=3) as process:
        for listening in process.all_listening:
            with Client(listening) as client:
                assert client.get()[0] == 200


def test_idle_connections_survive_a_drain():
    """Also one on which nothing was ever asked: its request may be on its way."""
    with supervised("--status-path", "/status") as process:
        with Client(process.listening) as used, Client(process.listening) as fresh, \
                Client(process.listening) as half:
            assert used.get()[0] == 200
            half.send(b"GET / HTTP/1.1\r\n")
            while b'"connections":3' not in used.get("/status")[2]:
                pass
            process.tell("Drain")
            assert wait_until_draining(process) == 3
            assert used.is_quiet() and fresh.is_quiet()
            half.send(b"Host: x\r\n\r\n")
            for client, answer in (half, half.answer()), (used, used.get()), (fresh, fresh.get()):
                assert answer[0] == 200
                assert answer[1]["connection"] == "close"
                client.expect_end()
        assert process.wait() == (0, "")


def test_pipelined_requests_are_all_answered():
    with supervised() as process, Client(process.listening) as client:
        assert client.get()[0] == 200
        process.tell("Drain")
        assert wait_until_draining(process) == 1
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        closing = [client.answer()[1].get("connection") for _ in range(5)]
        assert closing == [None] * 4 + ["close"]
        client.expect_end()
        client.close()
        assert process.wait() == (0, "")


def test_pipelined_requests_that_are_still_in_the_socket_are_answered():
    """What is read at a time, 16 KiB, ends with a request; and what comes while one is delayed."""
    with supervised("--allow-delay") as process, Client(process.listening) as many, \
            Client(process.listening) as slow:
        assert many.get()[0] == slow.get()[0] == 200
        process.tell("Drain")
        assert wait_until_draining(process) == 2
        request = b"GET / HTTP/1.1\r\nHost: xxxxxx\r\nX: " + 27 * b"x" + b"\r\n\r\n"
        assert 16384 % len(request) == 0
        count = 24576 // len(request)
        many.send(request * count)
        for _ in range(count - 1):
            assert many.answer()[1].get("connection") is None
        slow.send(b"GET /?delay_ms=300 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.is_quiet(0.1)
        slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.answer()[1].get("connection") is None
        for client in many, slow:
            assert client.answer()[1]["connection"] == "close"
            client.expect_end()
            client.close()
        assert process.wait() == (0, "")


def test_deadline_closes_what_is_idle_and_nothing_else():
    with supervised("--allow-delay") as process:
        with Client(process.listening) as idle, Client(process.listening) as busy, \
                Client(process.listening) as half:
            assert idle.get()[0] == 200
            assert busy.get()[0] == 200
            assert half.get()[0] == 200
            busy.send(b"GET /?delay_ms=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
            half.send(b"GET / HTTP/1.1\r\n")
            process.tell("Drain", deadline_usec=deadline_usec(0.3))
            assert wait_until_draining(process) == 3
            began = time.monotonic()
            idle.expect_end()
            assert time.monotonic() - began < 0.9
            assert half.is_quiet()
            half.send(b"Host: x\r\n\r\n")
            assert half.answer()[1]["connection"] == "close"
            assert busy.answer()[1]["connection"] == "close"
        assert process.wait() == (0, "")


def test_a_drain_can_be_hurried():
    with supervised() as process, Client(process.listening) as idle:
        assert idle.get()[0] == 200
        process.tell("Drain")
        assert wait_until_draining(process) == 1
        assert idle.is_quiet()
        process.tell("Drain", deadline_usec=deadline_usec(0))
        idle.expect_end()
        assert process.wait() == (0, "")


def test_resume():
    with supervised() as process, Client(process.listening) as old:
        assert old.get()[0] == 200
        process.tell("Drain", deadline_usec=deadline_usec(0.3))
        assert wait_until_draining(process) == 1
        with Client(process.listening) as new:
            new.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert new.is_quiet()
            process.tell("Resume")
            assert "connection" not in new.answer()[1]
            assert old.is_quiet(0.5)  # the deadline was taken back too
            assert "connection" not in old.get()[1]


@pytest.mark.parametrize("told", ["Drain", "Serve"])
def test_drained_without_connections(told):
    with supervised(serve=told == "Serve") as process:
        process.tell("Drain")
        assert wait_until_draining(process) == 0
        assert process.wait() == (0, "")


def test_reports_what_is_still_open():
    with supervised() as process:
        clients = [Client(process.listening) for _ in range(50)]
        for client in clients:
            assert client.get()[0] == 200
        process.tell("Drain")
        reports = [wait_until_draining(process)]
        assert reports == [50]
        for client in clients:
            client.close()
        assert process.wait() == (0, "")
        process.supervisor.setblocking(False)
        with contextlib.suppress(AssertionError, BlockingIOError):
            while True:
                reports.append(wait_until_draining(process))
        assert reports == sorted(reports, reverse=True)
        assert len(reports) < 10


def test_supervisor_gone_while_serving():
    with supervised() as process, Client(process.listening) as client:
        assert client.get()[0] == 200
        process.supervisor.close()
        assert b"going on" in process.process.stderr.readline()
        with Client(process.listening) as other:
            assert other.get()[0] == client.get()[0] == 200
        client.close()
        terminate(process.process)
        assert process.process.wait(20) == 0


def test_supervisor_gone_before_serve():
    with supervised(serve=False) as process:
        process.supervisor.close()
        status, errors = process.wait()
        assert status == 1 and "before it said serve" in errors


def test_sigterm_alone():
    """Without a supervisor SIGTERM drains, and the drain has a deadline of its own."""
    with listener() as listening, \
            worker([HTTPD, "--drain-timeout", "0.3"], [listening]) as process:
        with Client(listening) as used, Client(listening) as idle:
            assert used.get()[0] == idle.get()[0] == 200
            terminate(process.process)
            while "connection" not in used.get()[1]:
                pass
            began = time.monotonic()
            idle.expect_end()
            assert time.monotonic() - began < 5
        assert process.wait() == (0, "")


def test_what_turns_idle_after_the_deadline_is_closed():
    """It once stayed for the keep-alive timeout: its answers were made before the drain."""
    body, count = "y" * 120000, 60
    with listener() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        with worker([HTTPD, "--drain-timeout", "0.2", "--body", body], [listening]) as process:
            with Client(listening) as slow, Client(listening) as idle:
                slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count)
                assert slow.fill() and idle.get()[0] == 200
                terminate(process.process)
                idle.expect_end()
                for _ in range(count):
                    assert "connection" not in slow.answer()[1]
                began = time.monotonic()
                slow.expect_end()
                assert time.monotonic() - began < 5
            assert process.wait() == (0, "")
