"""Where sockets come from, and what is in their way: socket activation, TIME_WAIT, strays, stale
files; and 64 slots."""

import os
import re
import socket
import time
from pathlib import Path

import pytest

import processes
from paths import HTTPD, PROGRAM, SANITIZED
from rude import SHARDED, ask_until, native, storm

pytestmark = pytest.mark.load

HTTPD_COMMAND = [HTTPD, "--generation-header", "X-Generation"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def activated(*addresses, names=None):
    """The command that passes these sockets as systemd would, to the program that follows."""
    name = [f"--fdname={':'.join(names)}"] if names else []
    return ["systemd-socket-activate", *name, "-E", "PATH", "-E", "RUNTIME_DIRECTORY",
            *(word for one in addresses for word in ("-l", one))]


def knock(address):
    """systemd-socket-activate starts its program at the first connection: which waits in the queue
    until its program answers. Returns it."""
    family = socket.AF_UNIX if address.startswith("/") else socket.AF_INET
    def connect():
        one = socket.socket(family)
        try:
            one.connect(address if family == socket.AF_UNIX
                        else ("127.0.0.1", int(address.rsplit(":", 1)[1])))
            return one
        except (ConnectionRefusedError, FileNotFoundError):
            one.close()
            return None
    return ask_until(connect)


def answered(client):
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    client.settimeout(60)
    with client:
        return client.recv(4096).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("reuse_port", ["no", "yes"])
@pytest.mark.parametrize("program", ["native", "poll"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_activated_with_one_socket(handoverd, load, runtime, kind, program, reuse_port):
    """The socket comes from systemd: also the connection that waited in it is answered; reloads
    lose nothing, and a Unix socket's file is left to systemd."""
    address = f"{runtime}/http.sock" if kind == "unix" else f"127.0.0.1:{free_port()}"
    web = handoverd("--listen", f"http={address}", "-w", "2", "-o", "Worker.SettleSec=0",
                    "-o", f"Listener http.ReusePort={reuse_port}", "--",
                    *(native() if program == "native" else [PROGRAM]),
                    become=activated(address, names=["http"]))
    first = knock(address)
    web.wait_started()
    assert answered(first)
    assert web.ask("Listeners")["listeners"][0]["source"] == "systemd"
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 10)
    assert web.stop() == 0
    if kind == "unix":
        assert os.path.exists(address)


def test_activated_with_several(handoverd, load, runtime):
    """Several sockets under two names, in another order than configured: each goes to its
    listener; one that nobody configured is closed and named, one that was not passed is bound."""
    ports = [free_port() for _ in range(4)]
    unix = f"{runtime}/app.sock"
    addresses = [f"127.0.0.1:{port}" for port in ports]
    web = handoverd("--listen", f"http={addresses[0]}", "--listen", f"http={addresses[1]}",
                    "--listen", f"app={unix}", "--listen", f"own={addresses[3]}", "-w", "2",
                    "-o", "Worker.SettleSec=0", "--", PROGRAM,
                    become=activated(unix, addresses[2], addresses[1], addresses[0],
                                     names=["app", "left", "http", "http"]))
    first = knock(addresses[1])
    web.wait_started()
    assert answered(first)
    sources = {one["name"]: one["source"] for one in web.ask("Listeners")["listeners"]}
    assert sources == {"http": "systemd", "app": "systemd", "own": "bound"}
    assert web.log.count(re.escape(addresses[2]))
    with load(f"unix:{unix}", "--clients", "4") as running, \
            load(f"tcp:{addresses[0]}", "--clients", "4"), \
            load(f"tcp:{addresses[1]}", "--clients", "4"), \
            load(f"tcp:{addresses[3]}", "--clients", "4"):
        storm(web, running, 10)


def test_restart_over_time_wait(handoverd, load):
    """A service that was stopped binds its port again at once, though connections that it closed
    are in TIME_WAIT: SO_REUSEADDR is for that, without it the same bind fails."""
    port = free_port()
    arguments = ("--listen", f"http=127.0.0.1:{port}", "-w", "2", "-o", "Worker.SettleSec=0", "--",
                 *HTTPD_COMMAND)
    wait_room_for_time_wait()
    for _ in range(3):
        web = handoverd(*arguments).wait_started()
        with load(web.target(), "--requests", "500", "--clients", "8") as running:
            running.finish()
        assert web.stop() == 0
        assert time_wait(port), "nothing is in TIME_WAIT: this would prove nothing"
        with socket.socket() as without, pytest.raises(OSError, match="in use"):
            without.bind(("127.0.0.1", port))


def wait_room_for_time_wait():
    """The tests before may have filled the kernel's table (tcp_max_tw_buckets, tcp(7)), beyond which
    a connection closes without TIME_WAIT. Each entry goes after a minute, and nobody is told."""
    most = int(Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").read_text(encoding="ascii"))
    end = time.monotonic() + 70
    while int(re.search(r" tw (\d+)", Path("/proc/net/sockstat").read_text(encoding="ascii"))[1]) \
            > most - 5000 and time.monotonic() < end:
        time.sleep(0.5)


def time_wait(port):
    """How many connections of the local @port are in TIME_WAIT, see proc(5)."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return sum(1 for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "06")


@pytest.mark.parametrize("shares", [False, True], ids=["plain", "SO_REUSEPORT"])
@pytest.mark.parametrize("reuse_port", ["no", "yes"])
def test_a_stray_process_on_the_port(handoverd, shares, reuse_port):
    """Whoever has the port is named with pid and program, also one that would share it; status 1,
    and he is not hurt."""
    with socket.socket() as stray:
        if shares:
            stray.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stray.bind(("127.0.0.1", 0))
        stray.listen()
        port = stray.getsockname()[1]
        web = handoverd("--listen", f"http=127.0.0.1:{port}", "-o",
                        f"Listener http.ReusePort={reuse_port}", "--", PROGRAM)
        web.expected_status = 1
        web.expect(rf"127\.0\.0\.1:{port}.*in use by pid {os.getpid()} \(.*python3?[\d.]*\)")
        assert web.wait() == 1
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_stale_unix_socket(handoverd, load, runtime):
    """The file of a socket whose owner died is replaced; the file is removed at the end."""
    path = f"{runtime}/http.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        dead.listen()
    web = handoverd("--listen", f"http={path}", "--", HTTPD).wait_started()
    with load(f"unix:{path}", "--clients", "4", generation_header="Server") as running:
        running.more_answers()
    assert web.stop() == 0 and not os.path.exists(path)


def test_a_live_unix_socket(service, handoverd, load, runtime):
    """The file of a living service is refused to a second one, under load of the first."""
    path = f"{runtime}/http.sock"
    web = service(native(), listen=path)
    with load(web.target(), "--clients", "4") as running:
        other = handoverd("--listen", f"http={path}", "--", PROGRAM)
        other.expected_status = 1
        other.expect(rf"http\.sock.*in use by pid {web.pid} \(handoverd\)")
        assert other.wait() == 1
        storm(web, running, 3)


@pytest.mark.parametrize("what", ["file", "directory", "dangling"])
def test_what_is_no_socket_is_never_removed(handoverd, runtime, what):
    """A file, a directory or a symbolic link in the place of a socket stays, and is an error."""
    path = f"{runtime}/http.sock"
    if what == "file":
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
    elif what == "directory":
        os.mkdir(path)
    else:
        os.symlink("/nowhere", path)
    web = handoverd("--listen", f"http={path}", "--", PROGRAM)
    web.expected_status = 1
    web.expect("no socket, which handoverd does not remove")
    assert web.wait() == 1
    assert os.path.lexists(path) and os.listdir(runtime) == ["http.sock"]


@pytest.mark.parametrize("reuse_port", ["no", "yes"])
def test_sixty_four_slots(service, load, reuse_port):
    """64 native workers reloaded under load: nothing lost, every slot served, none parked."""
    web = service(HTTPD_COMMAND, workers=64, options=[f"Listener http.ReusePort={reuse_port}"])
    with load(web.target(), "--clients", "64") as running:
        for _ in range(2 if SANITIZED else 5):
            running.until_generation(web.reload())
        assert web.status()["slots_serving"] == 64
        web.wait_settled()
    assert len(web.shards()) == (64 if reuse_port == "yes" else 1)
    assert not any(shard["parked"] for shard in web.shards())


def test_stopped_under_load(service, load):
    """SIGTERM drains: whoever was accepted is answered. What comes later is refused, and what was
    in the queue when the last socket closed is reset; nothing is cut within an answer."""
    web = service(HTTPD_COMMAND, options=[SHARDED])
    with load(web.target(), "--mode", "keepalive", "--clients", "8") as kept, \
            load(web.target(), "--clients", "8") as running:
        assert web.stop() == 0
        for one in (kept, running):
            one.finish()
            lost = one.lost()
            assert set(lost) <= {"refused", "reset_connect", "reset"}, lost
            assert lost["refused"]
            one.expected = lost
    assert not processes.with_variable(web.variable())
