"""The doctor as a whole: what it reads, on trees with faults planted in them, and what its command says."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.jetson.doctor.made import BOARDS

import edgesr.jetson.__main__ as command
from edgesr.jetson.doctor import Check, Findings, Verdict, examine, read_findings, worst
from edgesr.jetson.doctor.findings import Camera, Fan, Swap, parse_swaps

Write = Callable[[str, str | bytes], Path]

# Heading and form: proc(5); five zram devices of 635 MB are what JetPack makes on an Orin Nano (lsblk in public notes).
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/edgesr.swap file 4194300 1048576 -2\n" + "".join(
    f"/dev/zram{number} partition 650236 0 5\n" for number in range(5)
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of a recorded board, to plant faults in."""
    shutil.copytree(BOARDS / "orin-nano-jetpack-6.2", tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


def verdicts(root: Path) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in examine(read_findings(root))}


def test_a_board_that_is_set_up_right_has_no_complaint(orin: Findings) -> None:
    complaints = [check for check in examine(orin) if check.verdict in (Verdict.WARN, Verdict.FAIL)]
    assert [check.name for check in complaints] == ["hardware encoder"]  # an Orin Nano has none


def test_a_pc_without_a_gpu_has_no_complaint(plain: Findings) -> None:
    assert worst(examine(plain)) is Verdict.OK


def test_names_are_told_apart_and_every_complaint_has_a_fix() -> None:
    for board in BOARDS.iterdir():
        if board.is_dir():
            checks = examine(read_findings(board))
            assert len({check.name for check in checks}) == len(checks)
            assert all(bool(check.fix) == (check.verdict in (Verdict.WARN, Verdict.FAIL)) for check in checks)
            assert all(check.reason for check in checks)


def test_planted_faults_are_found(tree: Path, write: Write) -> None:
    before = verdicts(BOARDS / "orin-nano-jetpack-6.2")
    site = "/usr/local/lib/python3.10/dist-packages"
    write(f"{site}/numpy/__init__.py", "")
    write(f"{site}/numpy-2.2.6.dist-info/METADATA", "Metadata-Version: 2.1\nName: numpy\nVersion: 2.2.6\n")
    write(f"{site}/cv2/__init__.py", "")
    write(f"{site}/opencv_python-4.12.0.88.dist-info/METADATA", "Name: opencv-python\nVersion: 4.12.0.88\n")
    write("/var/lib/nvpmodel/status", "pmode:0003")
    write("/proc/meminfo", "MemTotal: 7802880 kB\nMemAvailable: 500000 kB\n")
    write("/sys/class/hwmon/hwmon0/name", "pwmfan")
    write("/sys/class/hwmon/hwmon0/pwm1", "0")
    write("/sys/class/thermal/thermal_zone0/type", "tj-thermal")
    write("/sys/class/thermal/thermal_zone0/temp", "81000")
    (tree / "usr/local/cuda").unlink()
    after = verdicts(tree)
    assert {name: verdict for name, verdict in after.items() if verdict is not before[name]} == {
        "CUDA": Verdict.WARN,  # the runtime package is left
        "NumPy": Verdict.FAIL,
        "OpenCV": Verdict.WARN,
        "power mode": Verdict.WARN,
        "fan and heat": Verdict.FAIL,
        "memory for a build": Verdict.FAIL,
    }


def test_findings_of_a_tree(tree: Path, write: Write) -> None:
    write("/proc/swaps", SWAPS)
    write("/sys/class/video4linux/video10/name", "HD Webcam\n")
    write("/sys/class/video4linux/video2/name", "vi-output, imx219 9-0010\n")
    write("/sys/class/video4linux/v4l-subdev0/name", "imx219 9-0010\n")
    write("/sys/class/hwmon/hwmon0/name", "pwmfan")
    write("/sys/class/hwmon/hwmon0/pwm1", "62")
    write("/sys/class/hwmon/hwmon2/name", "pwm_tach")
    write("/sys/class/hwmon/hwmon2/rpm", "2140")
    write("/usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so", "")
    found = read_findings(tree)
    assert found.cameras == (Camera("/dev/video2", "vi-output, imx219 9-0010"), Camera("/dev/video10", "HD Webcam"))
    assert [camera.is_csi for camera in found.cameras] == [True, False]
    assert found.fan == Fan(62, 2140)
    assert found.swap == Swap(disk_mib=3071, zram_mib=5 * 634)
    assert found.has_camera_plugin
    assert (found.argus.alive, found.free_disk_mib, found.access) == (None, None, None)


def test_swaps() -> None:
    assert parse_swaps("") == parse_swaps("Filename Type Size Used Priority\n") == Swap()
    with pytest.raises(ValueError, match="expected rows"):
        parse_swaps("Filename Type Size Used Priority\n/swap file lots 0 -2\n")


def test_this_machine_is_examined() -> None:
    found = read_findings()
    assert found.access is not None and found.access.is_root == (os.geteuid() == 0)
    assert found.free_disk_mib is not None
    assert found.argus.alive is False or found.is_board
    assert len(examine(found)) == 19


def test_page_and_exit_code(tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert command.main(["doctor", "--root", str(tree)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("Jetson Orin Nano 8GB (developer kit module), JetPack 6.2, L4T 36.4.3\n")
    assert '→ PATH="/usr/local/cuda/bin:$PATH" pip install pycuda' in out
    assert out.rstrip().endswith("do not apply")


def test_json_and_exit_code_of_warnings(tree: Path, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("/usr/local/lib/python3.10/dist-packages/pycuda/__init__.py", "")
    assert command.main(["doctor", "--json", "--root", str(tree)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["verdict"]) == (1, "warn")
    assert {"name": "power mode", "verdict": "ok", "reason": "MAXN_SUPER", "fix": ""} in told["checks"]


def test_markup_in_a_cameras_name_is_shown_as_it_is(
    tree: Path, write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write("/sys/class/video4linux/video0/name", "Cam [bold]x[/nonsense]")
    command.main(["doctor", "--root", str(tree)])
    assert "Cam [bold]x[/nonsense]" in capsys.readouterr().out


def test_missing_root_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["doctor", "--root", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_complaint_without_a_fix_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="no fix"):
        Check("x", Verdict.FAIL, "because")
