"""The Debian packages of a machine, from dpkg's own list."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgesr.jetson.facts import Fact, read_text

__all__ = ["STATUS", "Packages", "parse_status", "read_packages"]

STATUS = "/var/lib/dpkg/status"


@dataclass(frozen=True)
class Packages:
    """Installed packages only, name to full version; `problem` where the list itself could not be read."""

    versions: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    def fact(self, name: str) -> Fact:
        """The upstream version: `10.3.0.30-1+cuda12.5` gives 10.3.0.30, `6.2+b77` gives 6.2, `1:3.2-1` gives 3.2."""
        if name not in self.versions:
            return Fact(None, "", self.problem)
        full = self.versions[name]
        upstream = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", full)
        if upstream is None:
            return Fact(None, f"dpkg {name}", f"{STATUS}: {name} has the version {full!r}; expected one such as 1.2-3")
        return Fact(upstream[1], f"dpkg {name} {full}")

    def facts(self, pattern: str) -> list[Fact]:
        """Of all whose whole name matches, the highest number first: libnvinfer10 before libnvinfer8."""
        names = [name for name in self.versions if re.fullmatch(pattern, name)]
        names.sort(key=lambda name: [int(number) for number in re.findall(r"\d+", name)], reverse=True)
        return [self.fact(name) for name in names] or [Fact(problem=self.problem)]


def parse_status(text: str) -> dict[str, str]:
    """Name to version of every package whose state is installed. Raises ValueError where no package is found at all."""
    versions: dict[str, str] = {}
    entries = re.split(r"\n\s*\n", text)
    for entry in entries:
        fields = dict(re.findall(r"^(Package|Status|Version):[ \t]*(.*?)[ \t]*$", entry, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed") and {"Package", "Version"} <= fields.keys():
            versions.setdefault(fields["Package"], fields["Version"])
    if not versions:
        raise ValueError(f"expected dpkg's list of installed packages, found {text[:60]!r}")
    return versions


def read_packages(root: Path) -> Packages:
    try:
        text = read_text(root, STATUS)
        return Packages() if text is None else Packages(parse_status(text))
    except OSError as error:
        return Packages(problem=f"{STATUS}: {error.strerror}")
    except ValueError as error:
        return Packages(problem=f"{STATUS}: {error}")
