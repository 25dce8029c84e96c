"""Workers that misbehave, and what a service that bears them is asked all the while."""

import time
from pathlib import Path

from paths import PROGRAM, SANITIZED

RUDE = ["/usr/bin/python3", "-IS",
        str(Path(__file__).resolve().parents[1] / "programs" / "rude.py")]
QUICK_S = 60 if SANITIZED else 5
SHARDED = "Listener http.ReusePort=yes"


def rude(*actions, program=(PROGRAM,)):
    """The command line of a worker that does these actions of tests/programs/rude.py first."""
    return [*RUDE, *actions, "--", *program]


def native(*arguments):
    return [PROGRAM, "--mode", "native", *arguments]


def storm(web, running, n_reloads=5):
    """Reloads back to back, none of them slow; after each, its answers are waited for."""
    for _ in range(n_reloads):
        begin = time.monotonic()
        number = web.reload()
        took_s = time.monotonic() - begin
        assert took_s < QUICK_S, f"the reload took {took_s:.1f} s"
        running.until_generation(number)


def lost_only(running, kinds):
    """What was lost is of these kinds, and is as it should be. Returns how many."""
    lost = running.lost()
    assert set(lost) <= set(kinds), lost
    running.expected = lost
    return sum(lost.values())


def ask_until(condition, deadline_s=60):
    """Asks until @condition() holds: for what is not logged, so that wait_for() would not wake."""
    deadline = time.monotonic() + deadline_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never came"
    return result
