"""The harness: fixtures that start supervisors and load, and what must hold after every test.

    def test_x(service, load):
        web = service(PROGRAM, workers=2)       a supervisor that serves; see Service
        with load(web.target()) as running:     requests all the while
            web.reload()

After it, and without a word in the test: the supervisor holds no more descriptors than at its start,
has no zombies, ends with status 0 and leaves no process; nothing but what the test expected
(web.expect()) was logged as a warning or an error, no sanitizer spoke, and no request was lost but
those that the test says (running.expected).
"""

import contextlib
import glob
import os
import re
import resource
import shutil
import tempfile

import pytest

from accounts import Accounts
from configuration import Configuration
from load_client import Load
from supervisor_process import SANITIZER, Supervisor

MARKERS = (
    "load: under load, for long",
    "needs_root: root's rights are needed",
    "needs_namespaces: the rights to make namespaces are needed",
)


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    # Workers are killed by each signal there is; their cores are of no use.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def pytest_runtest_setup(item):
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root")


def sanitizer_files():
    """The reports that sanitizers write where their log_path says."""
    found = set()
    for options in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if where := re.search(r"log_path=([^:]+)", os.environ.get(options, "")):
            found.update(glob.glob(glob.escape(where[1]) + ".*"))
    return found


class House:
    """All that one test started."""

    def __init__(self):
        self.supervisors, self.loads, self.directories = [], [], []
        self.sanitizer_files = sanitizer_files()

    def directory(self):
        """A new one whose path is short enough for a socket's."""
        path = tempfile.mkdtemp(prefix="ho-", dir="/tmp")
        os.chmod(path, 0o755)
        self.directories.append(path)
        return path

    def problems(self):
        for load in self.loads:
            yield from load.problems()
        for one in self.supervisors:
            yield from one.running_problems()
            one.stop()
            yield from one.final_problems()
        for path in sanitizer_files() - self.sanitizer_files:
            with open(path, encoding="utf-8", errors="replace") as report:
                text = report.read()
            if SANITIZER.search(text):
                yield f"sanitizer: {path}: {text[:2000]}"

    def tear_down(self):
        for load in self.loads:
            load.kill()
        for one in self.supervisors:
            one.destroy()
        for path in self.directories:
            shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    house = item.funcargs.get("house") if hasattr(item, "funcargs") else None
    if call.when == "call":
        item.has_failed = report.failed
    if house and report.failed:
        for one in house.supervisors:
            report.sections.append((f"log of {one.name}", one.log.text()[-20000:]))


@pytest.fixture(autouse=True)
def house(request):
    one = House()
    problems = []
    try:
        yield one
        # What is wrong after a test that failed for itself would only hide why it did.
        if not getattr(request.node, "has_failed", False):
            problems = list(one.problems())
    finally:
        one.tear_down()
    assert not problems, "\n".join(problems)


@pytest.fixture
def runtime(house):
    return house.directory()


@pytest.fixture
def handoverd(house):
    """A function that starts handoverd with these arguments and does not wait for it."""
    def start(*arguments, directory=None, **options):
        one = Supervisor(directory or house.directory(), arguments, **options)
        house.supervisors.append(one)
        return one
    return start


def service_arguments(program, workers, listen, options):
    arguments = ["--workers", workers]
    for address in [listen] if isinstance(listen, str) else listen:
        arguments += ["--listen", address if "=" in address else f"http={address}"]
    for option in options:
        arguments += ["-o", option]
    return [*arguments, "--", *([program] if isinstance(program, (str, os.PathLike)) else program)]


@pytest.fixture
def service(handoverd):
    """A function that starts a supervisor with @program and waits until it serves.

    @listen: an address, or NAME=ADDRESS, or several; @options: as for -o; @settle: SettleSec=, None
    for the default.
    """
    def start(program, workers=2, listen="127.0.0.1:0", options=(), settle="0", **kwargs):
        options = [*options, *([f"Worker.SettleSec={settle}"] if settle is not None else [])]
        return handoverd(*service_arguments(program, workers, listen, options),
                         **kwargs).wait_started()
    return start


@pytest.fixture
def load(house):
    """A context manager: requests from before its body until after it."""
    @contextlib.contextmanager
    def run(target, *options, **kwargs):
        one = Load(target, *options, **kwargs)
        house.loads.append(one)
        yield one.start()
        one.finish()
    return run


@pytest.fixture
def accounts(house):
    """See accounts.py."""
    return Accounts(house.directory())


@pytest.fixture
def configured(house, handoverd):
    """A function that starts a supervisor with a configuration file, `configuration` of it, and
    waits until it serves."""
    def start(program, **keys):
        configuration = Configuration(house.directory(), program, **keys)
        one = handoverd("--config", configuration.path)
        one.configuration = configuration
        return one.wait_started()
    return start
