from dataclasses import replace

import pytest
from tests.jetson.doctor.made import changed, recorded, with_package

from edgesr.jetson.doctor import Findings
from edgesr.jetson.doctor.findings import Access, Argus
from edgesr.jetson.facts import Fact
from edgesr.jetson.software import PythonRuntime


@pytest.fixture
def orin() -> Findings:
    """The Orin Nano of the recorded trees as if it were this machine, and set up right."""
    found = recorded("orin-nano-jetpack-6.2")
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
    found = recorded("pc-with-geforce")
    return changed(found, machine__recorded_root=None, access=Access("me", False, frozenset({"me"}), ()))


@pytest.fixture
def plain(pc: Findings) -> Findings:
    """A PC without a GPU."""
    return changed(pc, machine__host__gpus=())
