"""Where the things are that are tested."""

import os
from pathlib import Path

BUILD = Path(os.environ.get("BUILD", "build")).resolve()
HANDOVERD = str(BUILD / "bin" / "handoverd")
HANDOVERCTL = str(BUILD / "bin" / "handoverctl")
HTTPD = str(BUILD / "bin" / "handover-httpd")
LOAD = str(BUILD / "check" / "load")
PROGRAM = str(BUILD / "check" / "programs" / "program")
EXAMPLES = BUILD / "examples"
SANITIZED = BUILD.name.startswith("san-")
