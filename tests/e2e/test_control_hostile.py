"""The control socket and those who abuse it: nobody is slowed down by them, reloads go on under
load with nothing lost, and whoever asks in earnest is answered."""

import contextlib
import json
import os
import re
import socket
import subprocess

import pytest

import processes
from control import Connection, ControlError
from paths import HANDOVERCTL, PROGRAM, SANITIZED
from rude import QUICK_S, ask_until, native, storm

pytestmark = pytest.mark.load

PING = b'{"method":"io.handover.Control.Ping"}\0'
STATUS = b'{"method":"io.handover.Control.Status"}\0'
N_PINGS = 50_000 if SANITIZED else 1_000_000
CONNECTIONS_MAX = 128


def raw(web):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(60)
    one.connect(web.socket_path)
    return one


def push(client, data):
    """Sends as much as is taken without waiting; whether all of it was."""
    client.setblocking(False)
    try:
        while data:
            data = data[client.send(data):]
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        return False
    finally:
        client.settimeout(60)
    return True


def read_to_the_end(client):
    with contextlib.suppress(ConnectionResetError):
        while client.recv(1 << 16):
            pass


def stay_quiet(client):
    """Half a message, and then nothing."""
    push(client, b'{"method":"io.handover.Contr')


def never_read(client):
    """Calls without end, no answer of which is ever read."""
    while push(client, STATUS * 1000):
        pass


def push_until_closed(data):
    def rude(client):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                client.sendall(data)
        read_to_the_end(client)
    return rude


HOSTILE = {
    "quiet": (stay_quiet, None),
    "never-reads": (never_read, None),
    "ten-megabytes": (push_until_closed(b'{"method":"' + b"x" * 10_000_000), "more than 1048576 bytes"),
    "garbage": (push_until_closed(b"\xff\x00GET / HTTP/1.1\r\n\r\n"), "no Varlink call|not an object"),
    "deep": (push_until_closed(b'{"a":' * 1000), "not an object, or nested too deep"),
    "deep-array": (push_until_closed(b"[" * 100_000), "not an object, or nested too deep"),
    "not-a-call": (push_until_closed(b'{"x":1}\0'), "no Varlink call"),
    "twice": (push_until_closed(b'{"method":"a.B","method":"a.B"}\0'), "no Varlink call"),
    "oneway-more": (push_until_closed(PING[:-2] + b',"oneway":true,"more":true}\0'),
                    "no Varlink call"),
    "not-utf-8": (push_until_closed(b'{"method":"\xff"}\0'), "no Varlink call"),
}


def ask_honestly(web):
    """What handoverctl prints for it, soon."""
    done = subprocess.run([HANDOVERCTL, "--socket", web.socket_path, "--json", "status"],
                          capture_output=True, text=True, timeout=QUICK_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_client(service, load, how):
    """Five of them at it while the service is reloaded under load: nothing is lost, no reload and
    no honest question waits for them, and those that break the rules are cut off and named."""
    hostile, words = HOSTILE[how]
    web = service(native())
    if words:
        web.expect(rf"control: pid {os.getpid()} \(uid {os.geteuid()}\): .*({words})")
    with load(web.target(), "--clients", "8") as running, contextlib.ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(raw(web))
            hostile(client)
            storm(web, running, 1)
            assert ask_honestly(web)["slots_serving"] == 2
    # Whoever has gone is heard out first: thousands of calls, some at a time.
    ask_until(lambda: len(web.count_descriptors()) <= len(web.baseline))


def test_pings_without_end(service, load):
    """A million calls in a row, written as fast as they are taken and all answered in order, while
    the service is reloaded; honest questions are answered between them."""
    web = service(native())
    answer = re.compile(rb'\{"parameters":\s*\{"time_usec":\s*\d+\}\}\Z')
    with load(web.target(), "--clients", "4") as running, raw(web) as client:
        client.settimeout(None)  # it would be the pinger's as well
        pinger = subprocess.Popen(
            ["/usr/bin/python3", "-IS", "-c",
             f"import sys\nfor _ in range({N_PINGS} // 1000): sys.stdout.buffer.write({PING!r} * 1000)"],
            stdout=client.fileno())
        n_answers, rest = 0, b""
        while n_answers < N_PINGS:
            data = client.recv(1 << 20)
            assert data
            *whole, rest = (rest + data).split(b"\0")
            if whole:
                assert answer.match(whole[0]), whole[0]
            if n_answers * 4 // N_PINGS != (n_answers + len(whole)) * 4 // N_PINGS:
                assert ask_honestly(web)["slots_serving"] == 2
                storm(web, running, 1)
            n_answers += len(whole)
        assert pinger.wait() == 0 and not rest


def test_two_hundred_idle_connections(service, load):
    """More connections than there is room for: the longest idle are closed for new ones, which is
    said once; honest questions and reloads are answered."""
    web = service(native())
    web.expect("128 control connections are the most")
    with load(web.target(), "--clients", "8") as running, contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(raw(web))
        storm(web, running, 5)
        assert ask_honestly(web)["slots_serving"] == 2
        assert len(processes.descriptors(web.pid)) < len(web.baseline) + CONNECTIONS_MAX + 10
    assert web.log.count("are the most") == 1


def test_callers_of_a_reload_that_go_away(service, load):
    """Callers that all go away while it is under way, or queue behind it: each is carried out."""
    web = service(PROGRAM, settle="100ms")
    with load(web.target(), "--clients", "8") as running:
        reload = web.begin_reload()
        reload.until("settling")
        others = [web.begin_reload(wait=True) for _ in range(5)]
        for other in others:
            assert other.next()["step"] == "queued"
            other.end()
        reload.end()
        with pytest.raises(ControlError) as caught:
            web.ask("Reload", timeout_usec=1000, wait=True)
        assert (caught.value.reason, caught.value.phase) == ("timeout", "waiting")
        running.until_generation(7)
        web.wait_settled()
    assert web.status()["serving"] == 7


@pytest.mark.parametrize("terminator", ["", "\n"])
def test_a_shell_and_socat(service, load, terminator):
    """`echo … | socat` is answered by a line each, though it half-closes at once."""
    web = service(PROGRAM)
    calls = "".join(f'{{"method":"io.handover.Control.{name}"}}\n'
                    for name in ("Status", "Ping", "Workers", "Reload")) + terminator
    with load(web.target(), "--clients", "4"):
        done = subprocess.run(["socat", "-t", "60", "-", f"UNIX-CONNECT:{web.socket_path}"],
                              input=calls, capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    replies = [json.loads(line)["parameters"] for line in lines]
    assert "\0" not in done.stdout and len(replies) == 4
    assert replies[0]["slots_serving"] == 2 and replies[1]["time_usec"] > 0
    assert len(replies[2]["workers"]) == 2 and replies[3]["step"] == "done"


def test_one_line_of_a_shell(service):
    """What the manual shows works word for word, without a newline at its end as well."""
    web = service(PROGRAM)
    for echo in ("echo", "printf %s"):
        done = subprocess.run(
            f"""{echo} '{{"method":"io.handover.Control.Status"}}' | """
            f"socat -t 60 - UNIX-CONNECT:{web.socket_path}", shell=True, capture_output=True,
            text=True, timeout=60, check=True)
        if echo == "echo":
            (line,) = done.stdout.splitlines()
            assert json.loads(line)["parameters"]["state"] == "serving"


@pytest.mark.needs_root
def test_another_user_is_refused(service, load):
    """Somebody else's connection is not permitted to the socket; where its mode lets him in, he is
    refused by his identity, and handoverctl says so with status 4."""
    web = service(PROGRAM)
    web.expect(r"control: pid \d+ \(uid 65534\): not permitted")
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
               HANDOVERCTL, "--socket", web.socket_path]
    with load(web.target(), "--clients", "4") as running:
        for mode in (0o600, 0o666):
            os.chmod(web.socket_path, mode)
            for words in (["status"], ["--json", "status"], ["reload"], ["stop"], ["ping"]):
                done = subprocess.run([*command, *words], capture_output=True, text=True,
                                      timeout=30, check=False)
                assert done.returncode == 4, done
                assert re.search("not permitted|PermissionDenied|NotPermitted", done.stderr + done.stdout), done
        running.more_answers()
    assert web.status()["serving"] == 1 and web.status()["state"] == "serving"


def test_oneway_and_errors(service):
    """A oneway call is never answered, with an error neither; each wrong call has its own error."""
    web = service(PROGRAM)
    with web.connect() as one:
        one.call("Nonsense", oneway=True).call("Ping", oneway=True, x=1).call("Ping")
        assert list(one.receive()[0]) == ["time_usec"]
        for method, parameters, error in (
                ("Nonsense", {}, "MethodNotFound"),
                ("org.nobody.X", {}, "InterfaceNotFound"),
                ("Ping", {"x": 1}, "InvalidParameter"),
                ("Reload", {"wait": 5}, "InvalidParameter"),
                ("Reload", {"timeout_usec": -1}, "InvalidParameter"),
                ("Reload", {"timeout_usec": "soon"}, "InvalidParameter"),
                ("Stop", {"now": "yes"}, "InvalidParameter"),
                ("org.varlink.service.GetInterfaceDescription", {"interface": "a.b"},
                 "InterfaceNotFound")):
            with pytest.raises(ControlError) as caught:
                one.ask(method, **parameters)
            assert caught.value.name == error
    assert web.status()["serving"] == 1


def test_a_flood_of_new_connections(service, load):
    """Connections that are made and dropped as fast as can be leave nothing behind."""
    web = service(native())
    with load(web.target(), "--clients", "8") as running:
        for number in range(2000):
            with raw(web) as client:
                if number % 3 == 0:
                    client.send(PING)
                elif number % 3 == 1:
                    client.send(PING[:10])
        storm(web, running, 2)
        assert ask_honestly(web)["slots_serving"] == 2
    with Connection(web.socket_path) as one:
        assert one.ask("Ping")["time_usec"] > 0
