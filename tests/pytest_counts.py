"""For tests/check: counts of a pytest run into the file $CHECK_COUNTS; and with CI=true, a test that
was skipped because the machine lacks root or namespaces has failed: it would never run at all."""

import os

import pytest

NEEDED_IN_CI = ("needs_root", "needs_namespaces")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    lacking = [name for name in NEEDED_IN_CI if item.get_closest_marker(name)]
    if os.environ.get("CI") == "true" and report.skipped and lacking:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {', '.join(lacking)}, which CI must have: {report.longrepr}"


def pytest_terminal_summary(terminalreporter):
    def count(*outcomes):
        return sum(len(terminalreporter.stats.get(outcome, [])) for outcome in outcomes)

    with open(os.environ["CHECK_COUNTS"], "w", encoding="ascii") as counts:
        print(count("passed", "xpassed"), count("failed", "error"), count("skipped", "xfailed"),
              file=counts)
