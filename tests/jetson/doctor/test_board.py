from dataclasses import replace

import pytest
from tests.jetson.doctor.made import changed

from edgesr.jetson.doctor import Findings, Verdict
from edgesr.jetson.doctor.board import (
    argus,
    cameras,
    clocks,
    disk,
    encoder,
    fan,
    fastest_mode,
    memory,
    permissions,
    power_mode,
    throttling,
)
from edgesr.jetson.doctor.findings import Access, Argus, Camera, Fan, Swap
from edgesr.jetson.facts import Fact
from edgesr.jetson.known import known
from edgesr.jetson.power import PowerMode

CSI = Camera("/dev/video0", "vi-output, imx219 9-0010")


@pytest.mark.parametrize(
    ("names", "fastest"),
    [
        (("15W", "25W", "MAXN_SUPER", "7W"), "MAXN_SUPER"),
        (("MAXN", "MODE_15W", "MODE_30W"), "MAXN"),
        (("15W", "7W"), "15W"),
        (("MODE_15W_6CORE", "MODE_20W_2CORE", "MODE_20W_4CORE", "MODE_20W_6CORE"), "MODE_20W_6CORE"),
        (("120W", "90W"), "120W"),
        (("QUIET", "LOUD"), None),
        ((), None),
    ],
)
def test_fastest_mode_by_name(names: tuple[str, ...], fastest: str | None) -> None:
    found = fastest_mode([PowerMode(number, name) for number, name in enumerate(names)])
    assert (found.name if found else None) == fastest


def test_power_mode(orin: Findings) -> None:
    assert power_mode(orin).verdict is Verdict.OK
    check = power_mode(changed(orin, machine__power__number=0, machine__power__mode=Fact("15W")))
    assert (check.verdict, check.fix) == (Verdict.WARN, "sudo nvpmodel -m 2")


def test_power_mode_that_cannot_be_told(orin: Findings) -> None:
    check = power_mode(changed(orin, machine__power__mode=Fact(problem="/etc/nvpmodel.conf: garbage")))
    assert (check.verdict, check.reason) == (Verdict.WARN, "/etc/nvpmodel.conf: garbage")


def test_cores_that_are_off_are_told(orin: Findings) -> None:
    check = power_mode(changed(orin, machine__host__cores_online=Fact("4"), machine__host__cores_present=Fact("6")))
    assert check.reason == "MAXN_SUPER, 4 of 6 cores on"


def test_clocks(orin: Findings) -> None:
    assert clocks(orin).verdict is Verdict.OK
    first, *others = orin.machine.power.clocks
    check = clocks(changed(orin, machine__power__clocks=(replace(first, low_mhz=100.0), *others)))
    assert check.verdict is Verdict.WARN
    assert check.reason.startswith("those of the CPU follow")
    assert clocks(changed(orin, machine__power__clocks=())).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("state", "hottest", "verdict"),
    [
        (Fan(62, 2140), 48.0, Verdict.OK),
        (Fan(0, 0), 40.0, Verdict.OK),
        (Fan(0, None), 71.0, Verdict.FAIL),
        (Fan(120, 0), 48.0, Verdict.FAIL),
        (Fan(255, 6000), 90.0, Verdict.WARN),
        (Fan(62, None), None, Verdict.OK),
        (None, 48.0, Verdict.NOT_HERE),
        (None, 90.0, Verdict.WARN),
        (None, None, Verdict.NOT_HERE),
    ],
)
def test_fan(orin: Findings, state: Fan | None, hottest: float | None, verdict: Verdict) -> None:
    assert fan(changed(orin, fan=state, hottest=hottest)).verdict is verdict


@pytest.mark.parametrize(("events", "verdict"), [(0, Verdict.OK), (37, Verdict.WARN), (None, Verdict.NOT_HERE)])
def test_throttling(orin: Findings, events: int | None, verdict: Verdict) -> None:
    assert throttling(changed(orin, throttle_events=events)).verdict is verdict


@pytest.mark.parametrize(
    ("available", "swap", "verdict"),
    [
        (5120, Swap(), Verdict.OK),
        (900, Swap(4096, 0), Verdict.WARN),
        (900, Swap(0, 3810), Verdict.FAIL),
        (None, Swap(), Verdict.WARN),
    ],
)
def test_memory_counts_disks_and_not_zram(orin: Findings, available: int | None, swap: Swap, verdict: Verdict) -> None:
    check = memory(changed(orin, machine__host__memory__available_mib=available, swap=swap))
    assert check.verdict is verdict
    assert ("zram" in check.reason) == (swap.zram_mib > 0)
    assert ("fallocate" in check.fix) == (verdict is Verdict.FAIL)


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(20_000, Verdict.OK), (3000, Verdict.WARN), (500, Verdict.FAIL), (None, Verdict.NOT_HERE)],
)
def test_disk(orin: Findings, free: int | None, verdict: Verdict) -> None:
    assert disk(changed(orin, free_disk_mib=free)).verdict is verdict


def test_cameras(orin: Findings, pc: Findings) -> None:
    check = cameras(changed(orin, cameras=(CSI, Camera("/dev/video1", "HD Webcam"))))
    assert check.verdict is Verdict.OK
    assert check.reason == "/dev/video0 (vi-output, imx219 9-0010), /dev/video1 (HD Webcam)"
    assert "jetson-io" in cameras(orin).reason
    assert "jetson-io" not in cameras(pc).reason


@pytest.mark.parametrize(
    ("seen", "daemon", "verdict"),
    [
        ((CSI,), Argus(True, True), Verdict.OK),
        ((CSI,), Argus(True, False), Verdict.FAIL),
        ((CSI,), Argus(False, False), Verdict.FAIL),
        ((Camera("/dev/video0", "HD Webcam"),), Argus(True, False), Verdict.NOT_HERE),
        ((CSI,), Argus(True, None), Verdict.NOT_HERE),
    ],
)
def test_argus_matters_to_csi_cameras(
    orin: Findings, seen: tuple[Camera, ...], daemon: Argus, verdict: Verdict
) -> None:
    assert argus(changed(orin, cameras=seen, argus=daemon)).verdict is verdict


@pytest.mark.parametrize(
    ("module", "verdict"), [("p3767-0005", Verdict.WARN), ("p3767-0000", Verdict.OK), (None, Verdict.WARN)]
)
def test_encoder(orin: Findings, module: str | None, verdict: Verdict) -> None:
    board = changed(orin, machine__board__module=known().modules.get(module or ""))
    assert encoder(board).verdict is verdict


@pytest.mark.parametrize(
    ("access", "verdict", "fix"),
    [
        (Access("me", False, frozenset({"video"}), ()), Verdict.OK, ""),
        (Access("root", True, frozenset({"root"}), ()), Verdict.OK, ""),
        (
            Access("me", False, frozenset({"me"}), ()),
            Verdict.WARN,
            "sudo usermod -aG video me, then log out and in again",
        ),
        (
            Access(
                "me", False, frozenset(), (("/dev/video0", "video"), ("/dev/video1", "video"), ("/dev/nvmap", "render"))
            ),
            Verdict.FAIL,
            "sudo usermod -aG video,render me, then log out and in again",
        ),
        (
            Access("me", False, frozenset(), (("/dev/nvmap", "root"),)),
            Verdict.FAIL,
            "run it as root, or add a udev rule that gives the node a group",
        ),
        (
            Access("root", True, frozenset(), missing=("/dev/video0",)),
            Verdict.FAIL,
            "start the container with --device /dev/video0",
        ),
        (None, Verdict.NOT_HERE, ""),
    ],
)
def test_permissions(orin: Findings, access: Access | None, verdict: Verdict, fix: str) -> None:
    check = permissions(changed(orin, access=access))
    assert (check.verdict, check.fix) == (verdict, fix)


def test_nothing_of_a_board_is_asked_of_a_pc(plain: Findings) -> None:
    for check in (power_mode, clocks, fan, throttling, memory, argus, encoder):
        assert check(plain).verdict is Verdict.NOT_HERE
    assert permissions(plain).verdict is Verdict.OK
