"""The examples, as they are, behind the real supervisor and under load: reload after reload, and
nothing is lost."""

from pathlib import Path

import pytest

from paths import EXAMPLES
from rude import storm

pytestmark = pytest.mark.load

SOURCES = Path(__file__).resolve().parents[2] / "worker" / "examples"
COMMANDS = {
    "echo_poll": [str(EXAMPLES / "echo_poll")],
    "python_http": ["/usr/bin/python3", str(SOURCES / "python_http.py")],
    "shell": [str(SOURCES / "shell.sh")],
}
KINDS = {"echo_poll": "native", "python_http": "notify", "shell": "notify"}
RATES = {"echo_poll": 1000, "python_http": 200, "shell": 20}
N_RELOADS = {"echo_poll": 20, "python_http": 8, "shell": 4}


def test_none_is_forgotten():
    """Every example is run here."""
    names = {path.stem for path in SOURCES.iterdir() if path.suffix in (".c", ".py", ".sh")}
    assert names == set(COMMANDS)


@pytest.mark.parametrize("reuse_port", ["no", "yes"])
@pytest.mark.parametrize("example", COMMANDS)
def test_an_example_reloaded_under_load(service, load, example, reuse_port):
    """Requests at a fixed rate across reloads back to back: each is answered, the last ones by the
    last generation, and it turned out to be what it is meant to show."""
    web = service(COMMANDS[example], options=[f"Listener http.ReusePort={reuse_port}"])
    with load(web.target(), "--rate", RATES[example], "--timeout", 20) as running:
        if example == "echo_poll":
            for _ in range(N_RELOADS[example]):
                web.reload()
                running.more_answers(5)
        else:
            storm(web, running, N_RELOADS[example])
        running.more_answers(10)
    assert len(web.workers(kind=KINDS[example], state="serving")) == 2
    assert web.status()["serving"] == N_RELOADS[example] + 1
