"""Findings made from others."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from edgesr.jetson.doctor import Findings, read_findings
from edgesr.jetson.facts import Fact
from edgesr.jetson.software import PythonPackage

BOARDS = Path(__file__).parent.parent / "boards"


@cache
def recorded(board: str) -> Findings:
    """Read once: findings never change."""
    return read_findings(BOARDS / board)


def changed(value: Any, **parts: Any) -> Any:
    """`replace` at any depth: changed(findings, machine__power__number=3)."""
    for path, new in parts.items():
        head, _, rest = path.partition("__")
        value = replace(value, **{head: changed(getattr(value, head), **{rest: new}) if rest else new})
    return value


def with_package(found: Findings, name: str, version: str | None, *distributions: str) -> Findings:
    """As if `import name` gave this one."""
    package = PythonPackage(name, Fact(version), distributions, (f"/site/{name}/__init__.py",) if version else ())
    others = tuple(one for one in found.machine.software.packages if one.name != name)
    return changed(found, machine__software__packages=(*others, package))
