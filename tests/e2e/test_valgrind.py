"""What the sanitizers do not see, valgrind does: reads of memory that was never written."""

import os
import signal

import pytest

from paths import HTTPD, PROGRAM, SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="built with sanitizers, which valgrind cannot run")


@pytest.mark.parametrize("command", [[HTTPD, "--generation-header", "X-Generation"], [PROGRAM]],
                         ids=["native", "program"])
def test_a_life_under_valgrind(service, load, tmp_path, command):
    """A start, reloads, a crash and a stop of the supervisor: no error, and nothing is left
    unfreed."""
    report = tmp_path / "report"
    web = service(command, options=["Listener http.ReusePort=yes"],
                  become=["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite,"
                          "indirect,possible", "--errors-for-leak-kinds=definite,indirect,possible",
                          "--error-exitcode=99", "--trace-children=no", f"--log-file={report}"])
    with load(web.target(), "--rate", "50") as running:
        for generation in range(2, 5):
            assert web.reload() == generation
            running.until_generation(generation)
        running.finish()
    web.expect("killed by SIGKILL")
    web.wait_gone(3)
    pid = web.pids(state="serving")[0]
    os.kill(pid, signal.SIGKILL)
    web.log.wait(r"replaces the one that was lost")
    assert web.stop() == 0, report.read_text()
    assert report.read_text() == ""
