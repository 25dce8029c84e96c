"""Runs the load client beside what a test does, and accounts for what it lost."""

import json
import subprocess

from paths import LOAD

DEADLINE_S = 60

# How a client sees that whoever had accepted its connection is gone.
CUT_KINDS = {"reset", "reset_connect", "closed_early"}


class Load:
    """Requests without end against @target, from the first answer on (start()) until finish().

    Nothing may be lost unless the test says exactly what: `expected` maps kinds of loss to counts,
    or expect_cut() says how many connections somebody was killed with.
    """

    def __init__(self, target, *options, progress_ms=20, generation_header="X-Generation"):
        self.expected = {}
        self.cut = None
        self.result = None
        self.process = subprocess.Popen(
            [LOAD, "--target", target, "--json", "--until-eof", "--progress", str(progress_ms),
             "--generation-header", generation_header, *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def progress(self):
        """The next line of progress, all counts but `generations` being totals."""
        line = self.process.stdout.readline()
        assert line, f"the load client ended: {self.process.stderr.read()}"
        return json.loads(line)

    def start(self):
        while self.progress()["ok"] == 0:
            pass
        return self

    def until_generation(self, number):
        """Waits until generation @number has answered."""
        while str(number) not in self.progress()["generations"]:
            pass

    def more_answers(self, count=50):
        """Waits until @count more requests were answered than by now."""
        begin = self.progress()["ok"]
        while self.progress()["ok"] < begin + count:
            pass

    def finish(self):
        """Ends it: each request gets its outcome. Returns the result."""
        if self.result is None:
            output, errors = self.process.communicate(timeout=DEADLINE_S)
            lines = output.splitlines()
            assert lines, f"the load client said nothing: {errors}"
            self.result = json.loads(lines[-1])
            assert "lost_by_kind" in self.result, f"no result: {lines[-1]} {errors}"
        return self.result

    def lost(self):
        return {kind: count for kind, count in self.finish()["lost_by_kind"].items() if count}

    def generations(self):
        return {int(name): count for name, count in self.finish()["generations"].items()}

    def expect_cut(self, at_least, at_most):
        """So many requests are lost with a worker that had accepted them, and no other way."""
        self.cut = (at_least, at_most)

    def is_as_expected(self):
        lost = self.lost()
        if self.cut:
            least, most = self.cut
            return set(lost) <= CUT_KINDS and least <= sum(lost.values()) <= most
        return lost == self.expected

    def problems(self):
        """What the test did not say would happen."""
        result = self.finish()
        if not self.is_as_expected():
            yield f"lost {self.lost()}, not {self.cut or self.expected}, of {result['issued']} requests"
        for word in ("local", "unsolicited"):
            if result[word]:
                yield f"{word}: {result[word]}"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
