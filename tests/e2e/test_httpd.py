"""handover-httpd by itself: HTTP as RFC 9112 wants it, slow and rude clients, every limit."""

import os
import resource
import socket
import time

import pytest

from alone import BUILD, Client, DEADLINE_S, listener, terminate, worker

HTTPD = f"{BUILD}/bin/handover-httpd"
BODY = b"Hello from handover-httpd\n"


@pytest.fixture
def server(request):
    options = getattr(request, "param", [])
    with listener() as listening, worker([HTTPD, *options], [listening]) as process:
        process.listening = listening
        yield process
        terminate(process.process)
        status, errors = process.wait()
        assert (status, errors) == (0, "")


@pytest.mark.parametrize("request_bytes, status", [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"nonsense\r\n\r\n", 400),
    (b"\x16\x03\x01\x00\xa5\x01\x00\x00", 400),
    (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", 417),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40000 + b"\r\n\r\n", 431),
    (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n", 501),
    (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
])
def test_refusals(server, request_bytes, status):
    with Client(server.listening) as client:
        client.send(request_bytes)
        got, fields, body = client.answer()
        assert got == status
        assert fields["connection"] == "close"
        assert body.startswith(str(status).encode())
        client.expect_end()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
@pytest.mark.parametrize("blocking", [True, False])
def test_keep_alive(family, blocking):
    with listener(family, blocking) as listening, worker([HTTPD], [listening]):
        with Client(listening) as client:
            for _ in range(3):
                status, fields, body = client.get()
                assert (status, body) == (200, BODY)
                assert "connection" not in fields and "date" in fields
            assert client.get(extra="Connection: close\r\n")[1]["connection"] == "close"
            client.expect_end()


@pytest.mark.parametrize("server", [["--body", "x" * 100000]], indirect=True)
def test_head_and_post(server):
    with Client(server.listening) as client:
        status, fields, body = client.get(method="HEAD")
        assert (status, fields["content-length"], body) == (200, "100000", b"")
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde")
        assert client.answer()[2] == b"x" * 100000
        assert client.get()[0] == 200


@pytest.mark.parametrize("server", [[], ["--allow-delay"]], indirect=True)
@pytest.mark.parametrize("body", [
    b"5\r\nabcde\r\n0\r\n\r\n",
    b"5\r\nabcdeXX0\r\n\r\n",  # the parser reads any two bytes as the end of a chunk
    b"5;a\nb\r\nabcde\r\n0\r\n\r\n",
])
def test_nothing_is_read_behind_a_body_in_chunks(server, body):
    with Client(server.listening) as client:
        client.send(b"POST /?delay_ms=50 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                    b"\r\n" + body + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        status, fields, _ = client.answer()
        assert (status, fields["connection"]) == (200, "close")
        client.expect_end()


def test_http10(server):
    with Client(server.listening) as client:
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert client.answer()[1]["connection"] == "keep-alive"
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.answer()[1]["connection"] == "close"
        client.expect_end()


def test_continue(server):
    with Client(server.listening) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                    b"Content-Length: 3\r\n\r\n")
        assert client.answer()[0] == 100
        client.send(b"ab")
        assert client.is_quiet()
        client.send(b"c")
        assert client.answer()[0] == 200


def test_byte_by_byte(server):
    with Client(server.listening) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab":
            client.send(bytes([byte]))
        assert client.answer()[0] == 200


def test_pipelining(server):
    """More answers than go out at once, to a client that reads only when it has sent all."""
    count = 20000
    with Client(server.listening) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        for _ in range(count):
            assert client.answer()[2] == BODY


@pytest.mark.parametrize("server", [["--body", "y" * 120000]], indirect=True)
def test_reader_slower_than_the_answers(server):
    with Client(server.listening) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        assert not client.is_quiet(DEADLINE_S)
        for _ in range(200):
            assert client.answer()[2] == b"y" * 120000


@pytest.mark.parametrize("server", [["--allow-delay"]], indirect=True)
def test_delay_keeps_the_order(server):
    with Client(server.listening) as client, Client(server.listening) as other:
        began = time.monotonic()
        client.send(b"HEAD /1 HTTP/1.1\r\nHost: x\r\n\r\n"
                    b"GET /?delay_ms=300 HTTP/1.1\r\nHost: x\r\n\r\n"
                    b"HEAD /2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.answer(is_head=True)[0] == 200
        assert time.monotonic() - began < 0.3
        assert other.get()[0] == 200
        assert client.answer()[2] == BODY
        assert time.monotonic() - began >= 0.3
        assert client.answer(is_head=True)[0] == 200


def test_delay_needs_its_flag(server):
    with Client(server.listening) as client:
        began = time.monotonic()
        assert client.get("/?delay_ms=5000")[0] == 200
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("server", [["--header-timeout", "0.2"]], indirect=True)
def test_slow_loris(server):
    """Neither silence nor a byte now and then keeps a request open."""
    with Client(server.listening) as silent, Client(server.listening) as dripping:
        silent.send(b"GET / HT")
        dripping.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        while dripping.is_quiet(0.02) and time.monotonic() - began < DEADLINE_S:
            dripping.send(b"A: b\r\n")
        assert time.monotonic() - began < DEADLINE_S
        for client in silent, dripping:
            status, fields, _ = client.answer()
            assert (status, fields["connection"]) == (408, "close")
            client.expect_end()


@pytest.mark.parametrize("server", [["--keepalive-timeout", "0.2"]], indirect=True)
def test_keepalive_timeout(server):
    with Client(server.listening) as fresh, Client(server.listening) as used:
        assert used.get()[0] == 200
        assert used.is_quiet(0.1)
        assert used.get()[0] == 200  # it counts from the last answer
        for client in fresh, used:
            began = time.monotonic()
            client.expect_end()
            assert time.monotonic() - began < DEADLINE_S / 2


def test_refusal_reaches_a_client_that_still_sends(server):
    """Closing at once would be RST, and the RST would eat the 413."""
    with Client(server.listening) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n")
        client.send(b"z" * 4000000)
        assert client.answer()[0] == 413
        client.expect_end()


def test_half_closed_client_is_answered(server):
    with Client(server.listening) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer()[0] == 200
        client.expect_end()


@pytest.mark.parametrize(
    "server", [["--status-path", "/status", "--generation-header", "X-Generation"]], indirect=True)
def test_status_and_generation(server):
    with Client(server.listening) as client:
        status, fields, body = client.get("/status?x")
        assert (status, fields["content-type"]) == (200, "application/json")
        assert b'"state":"serving"' in body and b'"connections":1' in body
        assert fields["x-generation"] == "0"
        assert client.get("/none")[1]["x-generation"] == "0"


def test_out_of_descriptors():
    """Accepting pauses and comes back; it neither spins nor gives up, and says so once."""
    def few(path):
        return ["/bin/sh", "-c", 'ulimit -n 40; exec "$@"', "sh", path]

    with listener() as listening, worker(few(HTTPD), [listening]) as process:
        clients = [Client(listening) for _ in range(60)]
        assert clients[0].get()[0] == 200
        errors = process.process.stderr.readline()
        assert b"accept pauses: Too many open files" in errors
        before = cpu_seconds(process.process.pid)
        assert clients[59].is_quiet(0.5)
        assert cpu_seconds(process.process.pid) - before < 0.2
        for client in clients[:30]:
            client.close()
        assert clients[59].get()[0] == 200
        for client in clients[30:]:
            client.close()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_raises_its_descriptor_limit(server):
    with Client(server.listening) as client:
        client.get()
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard


@pytest.mark.parametrize("argv, status, text", [
    (["--help"], 0, ""),
    (["--version"], 0, ""),
    (["--nonsense"], 2, "--nonsense"),
    (["--keepalive-timeout", "soon"], 2, "soon"),
    ([], 1, "no socket"),
    (["--listen", "tcp:nowhere:1"], 1, "tcp:nowhere:1"),
])
def test_command_line(argv, status, text):
    with worker([HTTPD, *argv]) as process:
        got, errors = process.wait()
        assert got == status
        assert text in errors and errors.count("\n") <= 1
