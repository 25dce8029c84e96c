"""Workers that spoil what they share: close, shut down, cut the backlog, clear O_NONBLOCK. Who can
be healed is healed, what was done is named, and generations of every kind follow each other."""

import ctypes
import os
import re
import socket

import pytest

import processes
from paths import HTTPD, PROGRAM
from rude import SHARDED, ask_until, lost_only, native, rude, storm

pytestmark = pytest.mark.load

SOMAXCONN = int(open("/proc/sys/net/core/somaxconn", encoding="ascii").read())
BLOCKING = r"accepts in blocking mode"
HURT = {"refused", "reset", "reset_connect", "closed_early"}


def is_nonblocking(pid):
    """What its descriptor 3 says, and with it everybody's on the same socket."""
    (flags,) = re.findall(rb"flags:\s+0(\d+)", processes.read(pid, "fdinfo/3"))
    return bool(int(flags, 8) & 0o4000)


@pytest.mark.parametrize("mode", ["poll", "native"])
def test_one_that_closed_its_listener(service, load, accounts, mode):
    """Its neighbours on the socket serve for it, and a reload is as ever."""
    web = service([PROGRAM, "--mode", mode, *accounts.arguments])
    accounts.go_wrong("ready:close", slot=0)
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 3)
        accounts.go_right(slot=0)
        storm(web, running, 2)


@pytest.mark.parametrize("mode", ["poll", "native"])
def test_one_that_closed_its_own_shard(service, load, accounts, mode):
    """Nobody accepts on its shard: what came there waits, and is answered by the next generation."""
    web = service([PROGRAM, "--mode", mode, *accounts.arguments], options=[SHARDED])
    accounts.go_wrong("ready:close", slot=0)
    with load(web.target(), "--rate", "500", "--timeout", "60") as running:
        web.reload()
        ask_until(lambda: web.shards()[0]["queue"] > 20)
        accounts.go_right(slot=0)
        web.reload()
        running.until_generation(3)
        ask_until(lambda: web.shards()[0]["queue"] == 0)


@pytest.mark.parametrize("options", [(), (SHARDED,)], ids=["shared", "sharded"])
@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
@pytest.mark.parametrize("mode", ["poll", "blocking", "native"])
def test_shutdown_on_a_tcp_listener_is_healed(service, load, accounts, mode, address, options):
    """shutdown() by a worker refuses everybody's connections: it is noticed at once, healed by
    listen() and named. Only what was in the queue and what came in between is lost; all later
    connections are served by all slots, and reloads lose nothing."""
    web = service([PROGRAM, "--mode", mode, *accounts.arguments], listen=address, options=options)
    web.expect(r"listener http: a worker.* called shutdown\(\) on .*: healed by listen\(\)")
    if mode == "blocking":
        web.expect(BLOCKING)
    accounts.go_wrong("start:shutdown", slot=0)
    with load(web.target(), "--clients", "8") as hurt:
        web.reload()
        web.log.wait("healed by listen")
        hurt.more_answers()
        lost_only(hurt, HURT)
    accounts.go_right(slot=0)
    with load(web.target(), "--clients", "8") as running:
        running.more_answers(500)
        storm(web, running, 5)
    assert {shard["queue_limit"] for shard in web.shards()} == {SOMAXCONN}
    assert not any(shard["parked"] for shard in web.shards())


def test_a_worker_that_shuts_down_over_and_over(service, load, accounts):
    """Every start of one slot shuts the sockets down: each time they are healed."""
    web = service([PROGRAM, *accounts.arguments], workers=4, options=[SHARDED])
    web.expect(r"healed by listen\(\)")
    accounts.go_wrong("start:shutdown", "ready:shutdown", "ready+10:shutdown", "ready+30:shutdown",
                      slot=1)
    with load(web.target(), "--clients", "8") as hurt:
        for _ in range(10):
            web.reload()
            hurt.more_answers()
        lost_only(hurt, HURT)
    accounts.go_right(slot=1)
    web.reload()
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 3)
    assert not any(shard["parked"] for shard in web.shards())


@pytest.mark.parametrize("address", ["{}/http.sock", "@handover-test-{}"])
def test_shutdown_on_a_unix_listener_is_told(service, load, runtime, address):
    """A Unix socket cannot be healed: that is said with what to do. The others serve on."""
    web = service([PROGRAM], listen=["http=127.0.0.1:0", "app=" + address.format(runtime)])
    web.expect(r"error: listener app: a worker called shutdown\(\) on .*, which cannot be healed: "
               r"restart the service")
    with load(web.target(0), "--clients", "8") as running:
        end = taken_from(web.pids(slot=0)[0], 4)
        end.shutdown(socket.SHUT_RDWR)
        end.close()
        web.log.wait("cannot be healed")
        storm(web, running, 3)
        assert web.log.count("cannot be healed") == 1
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as client:
        client.connect(address.format(runtime).replace("@", "\0"))


def taken_from(pid, number):
    """A copy of its descriptor @number."""
    pidfd = os.pidfd_open(pid)
    fd = ctypes.CDLL(None).syscall(438, pidfd, number, 0)  # pidfd_getfd(2)
    os.close(pidfd)
    return socket.socket(fileno=fd)


@pytest.mark.parametrize("options", [(), (SHARDED,)], ids=["shared", "sharded"])
def test_the_backlog_is_put_back(service, load, accounts, options):
    """A worker that calls listen(1) cuts everybody's queue: the limit is back when it is ready,
    and later ones are mended by the next reload."""
    web = service([PROGRAM, *accounts.arguments], options=options)
    with load(web.target(), "--clients", "8") as running:
        accounts.go_wrong("start:listen=1")
        storm(web, running, 1)
        assert {shard["queue_limit"] for shard in web.shards()} == {SOMAXCONN}
        accounts.go_wrong("ready+500:listen=1")
        web.reload()
        ask_until(lambda: 1 in {shard["queue_limit"] for shard in web.shards()})
        accounts.go_right()
        storm(web, running, 2)
    assert {shard["queue_limit"] for shard in web.shards()} == {SOMAXCONN}


def test_nonblocking_is_put_back_among_native_workers(service, load, accounts):
    """A native worker that clears O_NONBLOCK is reported, and it is set again: none of them
    depends on its being cleared. (A neighbour may have got stuck in accept() meanwhile, until the
    next connection: so these come at a rate.)"""
    web = service(native(*accounts.arguments))
    # All slots share the socket: it is found out at whichever worker's turn comes first.
    web.expect(r"O_NONBLOCK was cleared on a shared socket of slot \d: put back")
    accounts.go_wrong("start:block", slot=0)
    with load(web.target(), "--rate", "500") as running:
        storm(web, running, 3)
        assert all(is_nonblocking(pid) for pid in web.pids(state="serving"))
        accounts.go_right(slot=0)
        storm(web, running, 2)


@pytest.mark.parametrize("value", ["yes", "no"])
def test_nonblocking_as_configured(service, load, value):
    """NonBlocking=yes and no are kept to, whatever workers do to it."""
    web = service([PROGRAM, "--mode", "blocking"], options=[f"Listener http.NonBlocking={value}"])
    if value == "yes":
        web.expect(BLOCKING)
    with load(web.target(), "--clients", "8") as running:
        storm(web, running, 3)
        assert all(is_nonblocking(pid) == (value == "yes") for pid in web.pids(state="serving"))


KINDS = {
    "native": native(),
    "httpd": [HTTPD, "--generation-header", "X-Generation"],
    "poll": [PROGRAM],
    "blocking": [PROGRAM, "--mode", "blocking"],
    "rude": rude("garbage", "odd-datagrams", "binary"),
}


@pytest.mark.parametrize("reuse_port", ["no", "yes"])
def test_generations_of_every_kind_in_turn(configured, load, reuse_port):
    """Each kind of program is followed by each other kind once: blocking after polling, native
    after both, nothing hangs and nothing is lost."""
    web = configured(KINDS["poll"], listen="127.0.0.1:0\nReusePort=" + reuse_port)
    web.expect(BLOCKING)
    web.expect("no JSON object|only a supervisor|unknown message|is missing|Expected string")
    web.expect("was not believed")
    with load(web.target(), "--rate", "500") as running:
        for kind in all_pairs(list(KINDS)):
            web.configuration.run(KINDS[kind])
            storm(web, running, 1)
        web.wait_settled()  # a poller beside a blocking one drains with its next connection


def all_pairs(names):
    """A walk in which each of @names follows each other one."""
    walk, left = [names[0]], {(a, b) for a in names for b in names}
    while left:
        follow = [b for a, b in sorted(left) if a == walk[-1]]
        walk.append(follow[-1] if follow else sorted(left)[0][0])
        left.discard((walk[-2], walk[-1]))
    return walk
