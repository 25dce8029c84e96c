"""The load client in the background: what it says as it goes, and its accounts at the end."""

import json
import subprocess
import threading

from paths import LOAD

# How people name the ways in which a request is lost; everything else is `wrong answer`.
LOSSES = {
    "refused": ["refused"],
    "reset": ["reset_connect", "reset"],
    "closed early": ["closed_early"],
    "timed out": ["timeout_connect", "timeout", "unsent"],
    "wrong answer": ["bad_status", "wrong_body", "bad_response"],
}
PATIENCE_S = 60


class LoadFailed(Exception):
    """The client itself could not go on: nothing is proven."""


class Load:
    """Requests to @target until finish(). Each line of progress is a sample; counts in it are
    totals, `generations` those who answered since the last."""

    def __init__(self, target, *options, progress_ms=100):
        self.command = [LOAD, "--target", target, "--json", "--until-eof", "--progress",
                        str(progress_ms), *map(str, options)]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        self.samples, self.result, self.ended = [], None, False
        self.news = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            sample = json.loads(line)
            with self.news:
                if "lost_by_kind" in sample:
                    self.result = sample
                else:
                    self.samples.append(sample)
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def next_sample(self):
        """Waits for the next line of progress and returns it."""
        with self.news:
            seen = len(self.samples)
            if not self.news.wait_for(lambda: self.ended or len(self.samples) > seen, PATIENCE_S):
                raise LoadFailed("the load client fell silent: is nothing answered?")
            if len(self.samples) == seen:
                raise LoadFailed("the load client ended before its time")
            return self.samples[-1]

    def until(self, condition):
        """Waits until @condition() holds; it is looked at with each sample."""
        for _ in range(PATIENCE_S * 10):
            if condition():
                return
            self.next_sample()
        raise LoadFailed("what was waited for never came")

    def total(self, name):
        return self.samples[-1][name] if self.samples else 0

    def finish(self):
        """Ends it, so that each request has its outcome, and returns the accounts."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        return self.wait(PATIENCE_S)

    def wait(self, timeout_s=None):
        self.process.wait(timeout_s)
        self.reader.join()
        self.process.stdout.close()
        if self.result is None:
            raise LoadFailed(f"the load client gave no account of itself: {self.command}")
        if self.result["local"] or self.result["unsolicited"]:
            raise LoadFailed(f"the load client ran out of something of its own: {self.result}")
        return self.result

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()


def losses(result):
    """The accounts' losses by people's names for them, all of them."""
    by_kind = result["lost_by_kind"]
    return {name: sum(by_kind[kind] for kind in kinds) for name, kinds in LOSSES.items()}


def losses_text(result):
    return ", ".join(f"{name} {count:,}" for name, count in losses(result).items())


def check_names(result):
    """That no kind of loss goes without a name here."""
    named = {kind for kinds in LOSSES.values() for kind in kinds}
    assert named == set(result["lost_by_kind"]), set(result["lost_by_kind"]) ^ named
