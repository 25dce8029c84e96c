"""What there is, is in the manual pages; what they list, there is."""

import re
import subprocess
from pathlib import Path

import pytest

from control import INTERFACE
from paths import HANDOVERCTL, HANDOVERD, HTTPD

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.name.removesuffix(".scd"): path.read_text(encoding="utf-8")
         for folder in ("supervisor", "worker", "proto") for path in (ROOT / folder).glob("*.scd")}


def plain(page):
    """A page without its marks of emphasis, and so without underscores."""
    return re.sub(r"[*_\\]", "", PAGES[page])


def source(path):
    return (ROOT / path).read_text(encoding="utf-8")


def table():
    """Section, key, default of each row of config_directives."""
    rows = re.findall(r'\{ "(\w+)", "(\w+)", "([^"]*)",', source("supervisor/config_directives.c"))
    assert len(rows) > 20
    return rows


def listed_directives():
    """Section and key of each directive that handover.conf(5) describes."""
    found, section = [], None
    for line in PAGES["handover.conf.5"].splitlines():
        if head := re.match(r"# \[(\w+).*\] SECTION", line):
            section = head[1].capitalize()
        elif line.startswith("# "):
            section = None
        elif section and (key := re.match(r"\*(\w+)=\*$", line)):
            found.append((section, key[1]))
    return found


def test_every_directive_is_described_once_and_no_other():
    """handover.conf(5) has each key of the table in its section, in no other and only once."""
    assert sorted(listed_directives()) == sorted((section, key) for section, key, _ in table())


def test_every_default_is_told():
    """The description of each directive names its default as the table has it."""
    page = PAGES["handover.conf.5"]
    for _, key, default in table():
        (text,) = re.findall(rf"^\*{key}=\*\n(.*?)(?=^\*\w+=\*$|^# )", page, re.M | re.S)
        told = re.sub(r"[_*\\]", "", text[text.index("Default:"):])
        if default:
            assert default.replace("_", "") in told or (default, "off") == ("0", told), f"{key}={default}: {told}"


def test_print_config_prints_every_directive():
    """--print-config leaves none out that has a value."""
    done = subprocess.run([HANDOVERD, "--name", "t", "--listen", "http=1", "--print-config", "--",
                           "/bin/true"], capture_output=True, text=True, check=True)
    keys = set(re.findall(r"^#?(\w+)=", done.stdout, re.M))
    with_default = {key for _, key, default in table() if default}
    assert with_default <= keys, with_default - keys
    assert keys <= {key for _, key, _ in table()}


HELPS = [
    ("handoverd.8", [HANDOVERD, "--help"]), ("handover-httpd.8", [HTTPD, "--help"]),
    *(("handoverctl.1", [HANDOVERCTL, *words, "--help"])
      for words in ([], *([one] for one in
                          "status workers listeners reload abort stop ping list".split()))),
]


@pytest.mark.parametrize("page, command", HELPS, ids=lambda value: " ".join(value[1:])
                         if isinstance(value, list) else value)
def test_every_flag_is_described(page, command):
    """Each flag of --help is in the page, and the page has none that is not in some --help."""
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", text)) - {"-"}
    assert flags
    described = plain(page)
    missing = {flag for flag in flags
               if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", described)}
    assert not missing


@pytest.mark.parametrize("page", sorted({page for page, _ in HELPS}))
def test_no_flag_is_described_that_is_not_there(page):
    """What the page lists as an option, some --help of the program has."""
    helps = "".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout
                    for one, command in HELPS if one == page)
    listed = [flag for line in PAGES[page].splitlines() if re.match(r"\t*\*-", line)
              for flag in re.findall(r"\*(--?[a-zA-Z][\w-]*)\*", line)]
    assert listed
    known = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", helps))
    assert set(listed) <= known | {"--"}, set(listed) - known


def test_every_command_is_described():
    """Each command of handoverctl has its paragraph."""
    text = subprocess.run([HANDOVERCTL, "--help"], capture_output=True, text=True,
                          check=True).stdout
    for command in ("status", "workers", "listeners", "reload", "abort", "stop", "ping", "list"):
        assert re.search(rf"\b{command}\b", text)
        assert re.search(rf"^\*{command}\*", PAGES["handoverctl.1"], re.M)


def test_every_method_error_and_step_is_described():
    """handover-protocol(7) names each method and error of the interface, each step of a reload,
    each reason, and each message of a worker's channel."""
    page = plain("handover-protocol.7")
    names = [*INTERFACE.methods, *INTERFACE.errors, *INTERFACE.types["Step"][1],
             *re.findall(r'INTERFACE "(\w+)"', source("proto/worker_message.c"))]
    missing = [name for name in names if not re.search(rf"\b{name}\b", page)]
    assert not missing


def private_variables():
    text = source("supervisor/spec.c")
    (block,) = re.findall(r"spec_private_variables\[\] = \{(.*?)\};", text, re.S)
    return re.findall(r'"(\w+)', block)


def test_every_variable_is_described():
    """Each variable that is withheld from workers, and each that they get, is in handoverd(8)."""
    page = plain("handoverd.8")
    given = set(re.findall(r'"((?:HANDOVER|WATCHDOG|LISTEN|NOTIFY)_[A-Z]+)=',
                           source("supervisor/worker.c") + source("supervisor/spawn.c")))
    assert {"HANDOVER_FD", "LISTEN_PID"} & given or given
    missing = [name for name in {*private_variables(), *given, "HANDOVER_FD"}
               if name.replace("_", "") not in page]
    assert not missing


def test_every_signal_is_described():
    """Each signal that handoverd takes is in handoverd(8)."""
    signals = re.findall(r"\{ (SIG\w+), ", source("supervisor/signals.c"))
    assert len(signals) == 7
    assert not [name for name in signals if f"*{name}*" not in PAGES["handoverd.8"]]


@pytest.mark.parametrize("page, header", [("handoverd.8", "supervisor/handoverd.c"),
                                          ("handoverctl.1", "supervisor/ctl_error.h")])
def test_every_exit_status_is_described(page, header):
    """Each exit status that the sources name is in the page, and the page has no other."""
    statuses = set(re.findall(r"EXIT_\w+ = (\d+)", source(header))) | {"0"}
    assert len(statuses) >= 4
    (section,) = re.findall(r"^# EXIT STATUS\n(.*?)^# ", PAGES[page], re.M | re.S)
    assert set(re.findall(r"^\*(\d+)\*$", section, re.M)) == statuses


def test_the_examples_of_the_configuration_are_good(tmp_path):
    """Each example of handover.conf(5) that is a whole file passes --print-config."""
    examples = re.findall(r"^```\n(\[Listener.*?)^```", PAGES["handover.conf.5"], re.M | re.S)
    assert examples
    for example in examples:
        file = tmp_path / "web.conf"
        file.write_text(example)
        done = subprocess.run([HANDOVERD, "--config", file, "--print-config"], check=False,
                              capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_the_interface_is_documented_where_it_is_defined():
    """Each method and type of the .varlink file has a comment before it, or says it all itself."""
    text = source("proto/io.handover.Control.varlink")
    assert text.startswith("#")
    bare = [name for comment, name in re.findall(r"(#[^\n]*\n)?(?:method|error) (\w+)", text)
            if not comment]
    assert set(bare) <= {"Workers", "Listeners", "Ping"}
