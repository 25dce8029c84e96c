"""The load client held against a server that says exactly what it did wrong."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import termios
import threading
from pathlib import Path

import pytest

CHECK = Path(os.environ.get("BUILD", "build")).absolute() / "check"
LOAD, FAULTY = CHECK / "load", CHECK / "faulty"
BODY = "a body of some length"

# What each fault must be counted as. None: nothing is lost by it.
KINDS = {
    "reset": "reset",
    "reset-head": "reset",
    "reset-body": "reset",
    "early": "closed_early",
    "early-head": "closed_early",
    "early-body": "closed_early",
    "long-length": "closed_early",
    "stall": "timeout",
    "stall-head": "timeout",
    "stall-body": "timeout",
    "short-length": "bad_response",
    "bad-line": "bad_response",
    "bad-header": "bad_response",
    "bad-chunk": "bad_response",
    "wrong-body": "wrong_body",
    "bad-status": "bad_status",
    "no-length": None,
    "announce-close": None,
    "close-idle": None,
}
MODES = {
    "connection": ["--mode", "connection"],
    "keepalive": ["--mode", "keepalive"],
    "idle": ["--mode", "idle", "--idle-interval", "0.02"],
    "slow": ["--mode", "slow", "--slow-ms", "14"],
    "open-loop": ["--rate", "1000"],
    "open-loop-keepalive": ["--mode", "keepalive", "--rate", "1000"],
}


class Faulty:
    """The faulty server; after end() its own accounts are in `did`."""

    def __init__(self, *options, unix=None, host="127.0.0.1"):
        where = ["--unix", str(unix)] if unix else ["--host", host]
        self.process = subprocess.Popen(
            [FAULTY, *where, "--body", BODY, *options], stdout=subprocess.PIPE, text=True
        )
        address = self.process.stdout.readline().strip()
        assert address, "the faulty server did not start"
        bracketed = f"[{host}]" if ":" in host else host
        self.target = f"unix:{address}" if unix else f"tcp:{bracketed}:{address}"

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.did = json.loads(self.process.communicate(timeout=10)[0])
        assert self.process.returncode == 0
        return self.did


@contextlib.contextmanager
def faulty(*options, **where):
    server = Faulty(*options, **where)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.process.stdout.close()


def command(target, *options):
    return [str(LOAD), "--target", target, "--json", *options]


def check_sums(result):
    assert result["lost"] == sum(result["lost_by_kind"].values())
    assert result["issued"] == result["ok"] + result["lost"] + result["local"]


def load(target, *options, body=BODY):
    expect = ["--expect-body", body] if body else []
    done = subprocess.run(
        command(target, *expect, *options), capture_output=True, text=True, timeout=60
    )
    result = json.loads(done.stdout.splitlines()[-1])
    check_sums(result)
    clean = result["ok"] == result["issued"] and result["unsolicited"] == 0
    assert done.returncode == (0 if clean else 1)
    assert done.stderr == "" or result["local"]
    return result


def kinds(result):
    return {kind: count for kind, count in result["lost_by_kind"].items() if count}


def faults_against(mode, fault, *options, **where):
    """Runs 100 requests, each tenth of them faulty, and compares the two accounts."""
    with faulty("--fault", f"{fault}:10", *options, **where) as server:
        result = load(
            server.target, *MODES[mode], "--requests", "100", "--clients", "10", "--timeout", "1"
        )
        did = server.end()
    assert did["requests"] == result["issued"] == 100
    assert did["faults"][fault] == 10
    assert did["connections"] == result["connects"]
    assert result["local"] == result["unsolicited"] == result["reset_after"] == 0
    assert kinds(result) == ({KINDS[fault]: 10} if KINDS[fault] else {})
    reused = mode in ("keepalive", "idle", "open-loop-keepalive")
    assert result["closed_idle"] == (10 if reused and fault == "close-idle" else 0)
    return result


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", KINDS)
def test_each_fault_in_each_mode_is_counted_exactly(fault, mode):
    faults_against(mode, fault)


@pytest.mark.parametrize("fault", KINDS)
def test_each_fault_in_chunked_answers(fault):
    faults_against("keepalive", fault, "--chunked")


@pytest.mark.parametrize("fault", KINDS)
def test_each_fault_over_ipv6(fault):
    faults_against("connection", fault, host="::1")


@pytest.mark.parametrize("fault", KINDS)
def test_each_fault_over_a_unix_socket(fault, tmp_path):
    faults_against("connection", fault, unix=tmp_path / "socket")


@pytest.mark.parametrize("mode", ["connection", "slow", "open-loop"])
def test_reset_after_the_whole_answer_is_told_but_no_loss(mode):
    with faulty("--fault", "reset-after:20") as server:
        result = load(server.target, *MODES[mode], "--requests", "200")
        did = server.end()
    assert result["lost"] == 0
    assert result["reset_after"] == did["faults"]["reset-after"] == 10


@pytest.mark.parametrize("mode", MODES)
def test_many_faults_at_once_add_up(mode):
    lossy = [fault for fault, kind in KINDS.items() if kind and not fault.startswith("stall")]
    primes = [7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67]
    rules = [f"--fault={fault}:{every}" for fault, every in zip(lossy, primes)]
    with faulty(*rules) as server:
        result = load(server.target, *MODES[mode], "--requests", "600", "--clients", "20")
        did = server.end()
    expected = {}
    for fault, count in did["faults"].items():
        expected[KINDS[fault]] = expected.get(KINDS[fault], 0) + count
    assert kinds(result) == {kind: count for kind, count in expected.items() if count}
    assert did["requests"] == result["issued"] == 600


def test_an_announced_close_only_costs_a_new_connection():
    with faulty("--fault", "announce-close:10") as server:
        result = load(server.target, "--mode", "keepalive", "--clients", "4", "--requests", "200")
    assert result["lost"] == result["closed_idle"] == 0
    assert 20 <= result["connects"] <= 24


def test_a_keepalive_client_uses_its_connection_again():
    with faulty() as server:
        result = load(server.target, "--mode", "keepalive", "--clients", "4", "--requests", "500")
        did = server.end()
    assert result["connects"] == did["connections"] == 4


def test_idle_connections_are_all_opened_and_stay():
    with faulty() as server:
        result = load(
            server.target, *MODES["idle"], "--clients", "50", "--requests", "150"
        )
        did = server.end()
    assert result["ok"] == 150
    assert result["connects"] == did["connections"] == 50


def test_wrong_length_is_a_wrong_body():
    with faulty() as server:
        right = load(server.target, f"--expect-length={len(BODY)}", "--requests=20", body=None)
        wrong = load(server.target, f"--expect-length={len(BODY) + 1}", "--requests=20", body=None)
        part = load(server.target, "--requests=20", body=BODY[:-1])
    assert right["ok"] == 20
    assert kinds(wrong) == kinds(part) == {"wrong_body": 20}


def test_an_answer_larger_than_any_buffer():
    body = "0123456789abcdef" * 7000
    for chunked in ([], ["--chunked"]):
        with faulty("--body", body, *chunked) as server:
            result = load(server.target, "--requests", "50", "--clients", "3", body=body)
        assert result["ok"] == 50


def test_generations_are_counted():
    with faulty("--generation", 'seven "7"') as server:
        result = load(server.target, "--requests", "30")
        other = load(server.target, "--requests", "30", "--generation-header", "server")
    assert result["generations"] == {'seven "7"': 30}
    assert other["generations"] == {"faulty": 30}


@pytest.mark.parametrize("mode", MODES)
def test_nobody_listens(mode, tmp_path):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        for target in (f"tcp:127.0.0.1:{port}", f"unix:{tmp_path}/none", "unix:@nobody-is-here"):
            result = load(target, *MODES[mode], "--requests", "40", "--clients", "4")
            assert kinds(result) == {"refused": 40}


def test_a_server_deaf_for_a_while_refuses_and_nothing_else():
    with faulty("--deaf-at", "50:200") as server:
        result = load(server.target, "--clients", "1", "--duration", "1")
        did = server.end()
    assert set(kinds(result)) == {"refused"}
    assert result["ok"] == did["requests"] > 50


def test_a_queue_that_is_full_is_a_timeout_while_connecting():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        target = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        result = load(target, "--clients=6", "--requests=6", "--timeout=0.5", body=None)
    assert set(kinds(result)) == {"timeout", "timeout_connect"}
    assert result["lost"] == 6 and result["lost_by_kind"]["timeout_connect"] >= 4


def serve_one_by_one(server, count):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    for _ in range(count):
        connection, _ = server.accept()
        with connection:
            while b"\r\n\r\n" not in connection.recv(4096):
                pass
            connection.sendall(answer)


def test_a_full_queue_of_a_unix_socket_is_waited_for():
    with socket.socket(socket.AF_UNIX) as server:
        name = f"handover-load-test-{os.getpid()}"
        server.bind(f"\0{name}")
        server.listen(0)
        thread = threading.Thread(target=serve_one_by_one, args=(server, 30))
        thread.start()
        result = load(f"unix:@{name}", "--clients", "30", "--requests", "30", body="ok")
        thread.join()
    assert result["ok"] == 30


def test_our_own_shortage_of_descriptors_is_told_apart():
    with faulty("--fault", "stall:1") as server:
        limited = ["sh", "-c", 'ulimit -n 20; exec "$@"', "sh"]
        done = subprocess.run(
            limited + command(server.target, "--clients=50", "--requests=50", "--timeout=1"),
            capture_output=True, text=True, timeout=30,
        )
    result = json.loads(done.stdout)
    check_sums(result)
    assert result["local"] > 20 and result["local"] + result["lost_by_kind"]["timeout"] == 50
    assert "OUR side" in done.stderr and "Too many open files" in done.stderr
    assert done.returncode == 1


def test_what_was_due_but_never_sent_is_lost():
    with faulty("--fault", "stall:1") as server:
        result = load(
            server.target, "--rate=200", "--clients=2", "--requests=60", "--timeout=0.4"
        )
        did = server.end()
    assert result["issued"] == 60 and set(kinds(result)) == {"timeout", "unsent"}
    assert result["lost_by_kind"]["timeout"] == did["requests"]


PAUSE = ["--pause-at", "300:400"]


@pytest.mark.parametrize("clients", ["1", "1000"])
def test_open_loop_shows_a_pause_to_all_that_were_due_in_it(clients):
    """1,000/s and 400 ms: those due in its first 300 ms have waited over 100 ms."""
    with faulty(*PAUSE) as server:
        result = load(
            server.target, "--rate=1000", "--requests=1000", f"--clients={clients}",
            "--slow-threshold=100",
        )
    assert result["ok"] == 1000
    assert result["latency_usec"]["max"] >= 399_000
    assert result["slow"] >= 299
    assert result["latency_usec"]["p90"] >= 290_000
    assert result["seconds"] >= 0.998


def test_closed_loop_shows_the_same_pause_once():
    with faulty(*PAUSE) as server:
        result = load(server.target, "--requests=1000", "--clients=1", "--slow-threshold=100")
    assert result["ok"] == 1000 and result["latency_usec"]["max"] >= 399_000
    assert 1 <= result["slow"] < 50


def test_slow_requests_take_their_time_and_arrive_whole():
    with faulty() as server:
        result = load(server.target, "--mode=slow", "--slow-ms=140", "--requests=20")
    assert result["ok"] == 20 and result["latency_usec"]["p50"] >= 140_000


class Running:
    """A load client under way, with a line of progress often."""

    def __init__(self, target, *options):
        self.process = subprocess.Popen(
            command(target, "--progress", "20", *options),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def until(self, condition):
        for line in self.process.stdout:
            if condition(json.loads(line)):
                return json.loads(line)
        raise AssertionError("the load client ended early")

    def result(self):
        out, _ = self.process.communicate(timeout=30)
        result = json.loads(out.splitlines()[-1])
        check_sums(result)
        return result


@pytest.mark.parametrize("how", ["eof", "SIGTERM", "SIGINT"])
def test_the_end_waits_for_what_is_in_flight(how):
    """The server stands still in its 50th request, and only then the client is told to end."""
    with faulty("--pause-at", "50:500", "--generation", "3") as server:
        running = Running(server.target, "--clients=1", "--until-eof")
        first = running.until(lambda line: True)
        assert first["ok"] >= 1 and first["generations"]["3"] == first["ok"]
        running.until(lambda line: line["ok"] == 49)
        if how == "eof":
            running.process.stdin.close()
            running.process.stdin = None
        else:
            running.process.send_signal(getattr(signal, how))
        result = running.result()
        did = server.end()
    assert result["issued"] == result["ok"] == did["requests"] == 50
    assert running.process.returncode == 0


def test_progress_counts_generations_since_the_line_before():
    with faulty("--generation", "1") as server:
        running = Running(server.target, "--rate=500", "--duration=0.5")
        lines = [json.loads(line) for line in running.process.stdout]
        running.process.wait()
        running.process.stdin.close()
    *progress, result = lines
    assert len(progress) > 5 and "lost_by_kind" in result
    counted = 0
    for line in progress:
        counted += line["generations"].get("1", 0)
        assert counted == line["ok"] <= line["issued"]
    assert result["generations"] == {"1": 250}


def test_bytes_that_nobody_asked_for():
    def serve(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        running = Running(
            target, "--mode=idle", "--idle-interval=0.2", "--clients=1", "--until-eof"
        )
        connection, _ = server.accept()
        serve(connection)
        running.until(lambda line: line["ok"] == 1)
        connection.sendall(b"x")
        connection, _ = server.accept()
        running.until(lambda line: line["unsolicited"] == 1)
        running.process.stdin.close()
        running.process.stdin = None
        result = running.result()
    assert result["ok"] == 1 and result["unsolicited"] == 1 and running.process.returncode == 1


def test_a_byte_too_many_after_the_whole_answer_was_read(tmp_path):
    """It comes when the answer has been judged already: the verdict must wait for the end."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        running = Running(f"unix:{tmp_path}/socket", "--requests=1")
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            unread = b"more"
            while unread != bytes(4):
                unread = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
            connection.sendall(b"x")
        running.process.stdin.close()
        running.process.stdin = None
        result = running.result()
    assert kinds(result) == {"bad_response": 1}


def test_an_answer_before_the_question_is_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        running = Running(target, "--mode=slow", "--slow-ms=5000", "--requests=1")
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            running.process.stdin.close()
            running.process.stdin = None
            result = running.result()
    assert kinds(result) == {"bad_response": 1} and result["seconds"] < 4


def test_an_unannounced_close_that_races_is_counted_once(tmp_path):
    """On a Unix socket the close follows the answer by some microseconds, at times too late: it is
    then a lost request, and otherwise a connection closed idle; never both and never neither."""
    with faulty("--fault", "close-idle:7", unix=tmp_path / "socket") as server:
        result = load(server.target, "--mode=keepalive", "--clients=4", "--requests=5000")
        did = server.end()
    seen = result["closed_idle"] + result["lost"]
    assert did["faults"]["close-idle"] - 4 <= seen <= did["faults"]["close-idle"]
    assert set(kinds(result)) <= {"closed_early", "reset"}
    assert did["requests"] == result["ok"]


REFUSED = [
    "tcp:10.0.0.1:80", "tcp:0.0.0.0:80", "tcp:192.0.2.7:8080", "tcp:[2001:db8::1]:80", "tcp:[::]:80",
    "tcp:[::ffff:10.0.0.1]:80", "tcp:128.0.0.1:80",
]
MALFORMED = [
    "tcp:localhost:80", "tcp:127.0.0.1", "tcp:127.0.0.1:0", "tcp:127.0.0.1:65536", "tcp:::1:80",
    "tcp:127.0.0.1:80x", "tcp:[::1]", "unix:relative", "unix:", "unix:@", "udp:127.0.0.1:80", "",
    "unix:/" + "x" * 120,
]


@pytest.mark.parametrize("target", REFUSED + MALFORMED)
def test_only_loopback_is_a_target(target):
    done = subprocess.run(command(target, "--requests=1"), capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"load: --target {target}: ")
    if target in REFUSED:
        assert "not a loopback address" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        [], ["--target=unix:/x", "--mode=fast"], ["--target=unix:/x", "--requests=0"],
        ["--target=unix:/x", "--rate=-1"], ["--target=unix:/x", "--clients=1.5"],
        ["--target=unix:/x", "--path=a"], ["--target=unix:/x", "--path=/a b"],
        ["--target=unix:/x", "--nonsense"], ["--target=unix:/x", "more"],
        ["--target=unix:/x", "--mode=idle", "--rate=5"], ["--target=unix:/x", "--timeout=nan"],
    ],
)
def test_wrong_use(options):
    done = subprocess.run([LOAD, *options], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and done.stderr


def test_help_names_every_option():
    done = subprocess.run([LOAD, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    for option in ("target", "mode", "rate", "until-eof", "generation-header", "progress", "json"):
        assert f"--{option}" in done.stdout


def test_the_summary_for_people():
    with faulty("--fault", "early:10", "--generation", "4") as server:
        done = subprocess.run(
            [LOAD, "--target", server.target, "--requests=100"], capture_output=True, text=True
        )
    assert done.returncode == 1
    assert "ok 90, lost 10\n  closed_early     10\n" in done.stdout
    assert "generation 4     90" in done.stdout
