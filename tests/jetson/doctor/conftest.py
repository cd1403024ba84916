from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgesr.jetson.doctor import Findings, read_findings
from edgesr.jetson.doctor.findings import Access, Argus
from edgesr.jetson.facts import Fact
from edgesr.jetson.software import PythonPackage, PythonRuntime

BOARDS = Path(__file__).parent.parent / "boards"


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
    return changed(found, machine__software__packages=(*others, package))  # type: ignore[no-any-return]


@pytest.fixture
def orin() -> Findings:
    """The Orin Nano of the recorded trees as if it were this machine, and set up right."""
    found = read_findings(BOARDS / "orin-nano-jetpack-6.2")
    found = changed(
        found,
        machine__recorded_root=None,
        machine__software__python=PythonRuntime(
            Fact("3.10.12"), "/home/me/edgesr/bin/python", "aarch64", "/home/me/edgesr", True
        ),
        machine__software__opencv__gstreamer=Fact("yes (1.20.3)"),
        machine__power__clocks=tuple(replace(clock, low_mhz=clock.high_mhz) for clock in found.machine.power.clocks),
        argus=Argus(True, True),
        has_camera_plugin=True,
        free_disk_mib=20_000,
        access=Access("me", False, frozenset({"me", "video"}), ()),
    )
    return with_package(found, "pycuda", "2026.1", "pycuda")


@pytest.fixture
def pc() -> Findings:
    found = read_findings(BOARDS / "pc-with-geforce")
    return changed(found, machine__recorded_root=None, access=Access("me", False, frozenset({"me"}), ()))  # type: ignore[no-any-return]


@pytest.fixture
def plain(pc: Findings) -> Findings:
    """A PC without a GPU."""
    return changed(pc, machine__host__gpus=())  # type: ignore[no-any-return]
