"""Stand-ins for a board's programs: shell scripts in a folder that tests put in front of PATH. What they print is what the
real ones print, as their owners published it:

- nvpmodel: "NV Power Mode: 15W", "0" (environment report of an Orin Nano on L4T 39.2); the question about a restart and
  what follows when it is not answered yes (notes on an AGX Thor, and on an AGX Orin whose owner declined).
- jetson_clocks: "Error: Run this script(...) as a root user"; "File ... already exists" (the script, in public copies).
"""

import os
from pathlib import Path

import pytest

__all__ = ["FakeBoard"]

NVPMODEL = """#!/bin/sh
echo "nvpmodel $*" >> "{log}"
case "$1" in
-q)
    [ "{broken}" = query ] && {{ echo "NVPM ERROR: something"; exit 1; }}
    echo "NV Power Mode: whatever"
    cat "{state}/mode" ;;
-m)
    [ "$2" = 3 ] && {{
        echo "NVPM WARN: Golden image context is already created"
        echo "NVPM WARN: Reboot required for changing to this power mode: 3"
        echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:"
        read answer
        [ "$answer" = yes ] && echo rebooted > "{state}/mode"
        echo "NVPM ERROR: optMask is 1, no request for power mode"
        exit 1
    }}
    [ -e "{state}/stuck" ] && {{ echo "NVPM ERROR: request for bad power mode $2"; exit 0; }}
    echo "$2" > "{state}/mode" ;;
esac
"""

JETSON_CLOCKS = """#!/bin/sh
echo "jetson_clocks $1" >> "{log}"
case "$1" in
--store)
    [ -e "$2" ] && {{ echo "File $2 already exists. Can I overwrite it? Y/N:"; read answer; exit 1; }}
    cp "{state}/clocks" "$2" ;;
--restore)
    [ -e "$2" ] || {{ echo "Error: $2 file not found !"; exit 1; }}
    [ -e "{state}/stuck" ] && {{ echo "Error: cannot restore"; exit 1; }}
    cp "$2" "{state}/clocks" ;;
"") echo locked > "{state}/clocks" ;;
esac
"""


class FakeBoard:
    """`mode` and `clocks` are what a real board's would be; `log` every call, in order."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, broken: str = "") -> None:
        self.state, self.programs = folder / "state", folder / "programs"
        self._log = folder / "log"
        for made in (self.state, self.programs):
            made.mkdir(parents=True)
        self._log.touch()
        (self.state / "mode").write_text("0\n")
        (self.state / "clocks").write_text("free\n")
        names = {"log": self._log, "state": self.state, "broken": broken}
        self.put("nvpmodel", NVPMODEL.format(**names))
        self.put("jetson_clocks", JETSON_CLOCKS.format(**names))
        monkeypatch.setenv("PATH", str(self.programs), prepend=os.pathsep)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.delenv("SUDO_UID", raising=False)

    def put(self, name: str, script: str) -> None:
        program = self.programs / name
        program.write_text(script)
        program.chmod(0o755)

    @property
    def mode(self) -> str:
        return (self.state / "mode").read_text().strip()

    @property
    def clocks(self) -> str:
        return (self.state / "clocks").read_text().strip()

    @property
    def log(self) -> list[str]:
        return self._log.read_text().split("\n")[:-1]

    def get_stuck(self) -> None:
        """From now on nothing can be set any more."""
        (self.state / "stuck").touch()
