"""On what, with what, and beside what else it was measured."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import av
import numpy
import onnxruntime

from edgesr.jetson.info import as_json, read_machine

__all__ = ["Machine", "cores", "load_averages", "this_machine", "without_places"]

BUSY_LOAD = 0.5
"""From this many runnable tasks in the last minute on, something else counts as running."""


@dataclass(frozen=True)
class Machine:
    """name: the board's where it is one, else the CPU's. load: averages over 1, 5 and 15 minutes before the start;
    empty where the system does not tell. facts: all that `edgesr-jetson info --json` tells, but for
    where things lie: results are shared."""

    name: str
    cores: int
    load: tuple[float, ...]
    versions: dict[str, str]
    facts: dict[str, Any]

    @property
    def is_busy(self) -> bool:
        return bool(self.load) and self.load[0] >= BUSY_LOAD

    @property
    def load_text(self) -> str:
        if not self.load:
            return "other load before unknown"
        return f"load before {self.load[0]:.2f}" + (": something else was running" if self.is_busy else "")


def this_machine() -> Machine:
    """Reads files, starts nothing. Called before any work of ours, so that the load is that of others (and of
    whatever we ran in the minutes before)."""
    load = load_averages()
    found = read_machine()
    cpu = found.host.cpu.value or platform.machine()
    return Machine(
        name=f"{found.board.model.value}, {cpu}" if found.board.model.value else cpu,
        cores=cores(),
        load=load,
        versions={
            "edgesr": _own_version(),
            "onnxruntime": onnxruntime.__version__,
            "numpy": numpy.__version__,
            "av": av.__version__,
            "python": platform.python_version(),
        },
        facts=without_places(as_json(found)),
    )


def without_places(
    facts: dict[str, Any], environment: str = sys.prefix, home: str = str(Path.home())
) -> dict[str, Any]:
    """The same with `<environment>` and `~` in the place of these two folders."""

    def cut(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(environment, "<environment>").replace(home, "~")
        if isinstance(value, dict):
            return {key: cut(member) for key, member in value.items()}
        return [cut(member) for member in value] if isinstance(value, (list, tuple)) else value

    return {key: cut(value) for key, value in facts.items()}


def _own_version() -> str:
    try:
        return version("edgesr")
    except PackageNotFoundError:  # run from our folder, where nothing may be installed
        return "(not installed)"


def load_averages() -> tuple[float, ...]:
    """Over 1, 5 and 15 minutes; empty where the system does not tell."""
    try:
        return os.getloadavg()
    except OSError:
        return ()


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
