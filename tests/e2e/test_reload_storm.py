"""Reload after reload under load: every request is answered, whatever the program, its way of
accepting, the kind of socket, and however long the generations before still drain."""

import pytest

from paths import HTTPD, PROGRAM, SANITIZED

pytestmark = pytest.mark.load

RELOADS = 10 if SANITIZED else 30
NATIVE = [HTTPD, "--generation-header", "X-Generation", "--allow-delay"]
PROGRAMS = {
    "native": NATIVE,
    "native-library": [PROGRAM, "--mode", "native"],
    "poll": [PROGRAM],
    "blocking": [PROGRAM, "--mode", "blocking"],
}
ADDRESSES = {"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": "{}/http.sock"}


def storm(web, running, n_reloads=RELOADS):
    """Back to back; after each, answers of the new generation are waited for."""
    first = web.status()["serving"]
    for number in range(first + 1, first + 1 + n_reloads):
        assert web.reload() == number
        running.until_generation(number)


def check_generations(running, first, last):
    generations = running.generations()
    assert sorted(generations) == list(range(first, last + 1)), generations


@pytest.mark.parametrize("reuse_port", ["no", "yes"])
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_request_is_lost(service, load, runtime, program, address, reuse_port):
    """Every kind of program on every kind of socket, a connection a request, at full speed: all
    requests are answered, and each generation in turn answers some of them."""
    web = service(PROGRAMS[program], listen=ADDRESSES[address].format(runtime),
                  options=[f"Listener http.ReusePort={reuse_port}"])
    expect_blocking(web, program)
    with load(web.target(), "--clients", "16") as running:
        storm(web, running)
    check_generations(running, 1, RELOADS + 1)


def expect_blocking(web, program):
    """Programs that share a socket and accept in blocking mode are told about; it is no harm where
    all of them do."""
    if program == "blocking":
        web.expect(r"accepts in blocking mode")


@pytest.mark.parametrize("options", [
    ("--mode", "keepalive", "--clients", "32"),
    ("--mode", "keepalive", "--clients", "32", "--rate", "2000"),
    ("--mode", "idle", "--clients", "200", "--idle-interval", "0.3"),
    ("--mode", "slow", "--clients", "50", "--slow-ms", "200"),
    ("--mode", "connection", "--rate", "1000"),
], ids=["keepalive", "keepalive-rate", "idle", "slow", "rate"])
@pytest.mark.parametrize("program", ["native", "poll"])
def test_no_way_of_asking_loses(service, load, program, options):
    """Connections that are kept, idle ones, slow ones and a fixed rate survive reloads alike."""
    web = service(PROGRAMS[program], options=["Listener http.ReusePort=yes",
                                              "Worker.MaxDraining=100"])
    with load(web.target(), *options) as running:
        storm(web, running, 10)
    assert max(running.generations()) == 11


@pytest.mark.parametrize("program", ["native", "poll"])
def test_drains_that_overlap_lose_nothing(service, load, program):
    """Reloads that do not wait for the drains before: several generations drain at once, each
    finishing requests of 400 ms, beside quick ones."""
    web = service(PROGRAMS[program], workers=4, options=["Worker.MaxDraining=100",
                                                         "Listener http.ReusePort=yes"])
    seen = 0
    with load(web.target(), "--path", "/?delay_ms=400", "--rate", "100") as slow, \
            load(web.target(), "--clients", "8") as quick:
        for _ in range(RELOADS):
            quick.until_generation(web.reload())
            seen = max(seen, sum(one["state"] == "draining"
                                 for one in web.status()["generations"]))
    assert seen >= 2
    assert len(slow.generations()) >= 3
    assert max(quick.generations()) == RELOADS + 1


@pytest.mark.parametrize("reuse_port", ["no", "yes"])
@pytest.mark.parametrize("program", ["native", "poll"])
def test_after_done_the_new_generation_answers(service, load, program, reuse_port):
    """Once the answer to Reload was `done` and the old workers have gone, no connection is ever
    answered by an old generation; load started then meets the new one only.

    While the old workers still drain this is not promised: a worker that was told to stop may have
    a connection in hand that it accepted a moment before it heard of it."""
    web = service(PROGRAMS[program], options=[f"Listener http.ReusePort={reuse_port}"])
    with load(web.target(), "--clients", "8") as running:
        for number in range(2, 8):
            assert web.reload() == number
            web.wait_gone(number - 1)
            with load(web.target(), "--clients", "4") as later:
                later.more_answers(50)
            assert set(later.generations()) == {number}


@pytest.mark.parametrize("reuse_port", ["no", "yes"])
def test_settling_serves_with_both_generations(service, load, reuse_port):
    """While a generation settles, old and new answer side by side; after it only the new one."""
    web = service(PROGRAMS["poll"], settle="300ms",
                  options=[f"Listener http.ReusePort={reuse_port}"])
    with load(web.target(), "--clients", "16") as running:
        for number in range(2, 5):
            reload = web.begin_reload()
            reload.until("settling")
            while not {str(number - 1), str(number)} <= set(running.progress()["generations"]):
                assert web.status()["transition"]["phase"] == "settling"
            assert reload.done() == number
    check_generations(running, 1, 4)


def test_hangups_in_a_row_end_in_one_more_reload(service, load):
    """SIGHUPs that come while a reload is under way are remembered as one, and nothing is lost."""
    web = service(PROGRAMS["native"])
    with load(web.target()) as running:
        for _ in range(50):
            web.signal(1)
        running.more_answers(10)
        web.wait_for(lambda: web.status()["transition"] is None
                     and web.status()["serving"] > 1)
    assert 2 <= web.status()["serving"] <= 51
