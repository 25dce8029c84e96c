"""A configuration file that a test writes, and changes before a reload."""

from pathlib import Path


class Configuration:
    """Sections of keys; every change is written at once. A key that is None is left out, one that
    is a list is there several times."""

    def __init__(self, directory, program, listen="127.0.0.1:0", reuse_port=None, **worker):
        self.path = Path(directory, "web.conf")
        self.sections = {"Listener http": {"ListenStream": listen, "ReusePort": reuse_port},
                         "Worker": {"ExecStart": command(program), "Count": 2, "SettleSec": 0,
                                    **worker}}
        self.write()

    def set(self, section="Worker", **keys):
        self.sections.setdefault(section, {}).update(keys)
        self.write()

    def run(self, program):
        self.set(ExecStart=command(program))

    def write(self):
        lines = []
        for section, keys in self.sections.items():
            lines.append(f"[{section}]")
            for key, value in keys.items():
                values = value if isinstance(value, list) else [value]
                lines += [f"{key}={one}" for one in values if one is not None]
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def command(program):
    return program if isinstance(program, str) else " ".join(map(str, program))
