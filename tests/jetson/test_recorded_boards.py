"""The trees in boards/, whose README says which lines are published by owners of such boards and which are made up."""

import json
import sys
from pathlib import Path

import pytest

from edgesr.jetson.facts import path_below
from edgesr.jetson.info import MachineInfo, as_json, read_machine
from edgesr.jetson.report import rows, verdict

BOARDS = Path(__file__).with_name("boards")

EXPECTED: dict[str, dict[str, str]] = {
    "orin-nano-jetpack-6.2": {
        "verdict": "Jetson Orin Nano 8GB (developer kit module), JetPack 6.2, L4T 36.4.3",
        "board": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        "GPU": "Ampere, 1024 CUDA cores, 32 tensor cores, compute capability 8.7, 0 DLA, no video encoder",
        "CPU": "Cortex-A78AE",
        "memory": "7620 MiB, 5120 MiB available; swap 3810 MiB",
        "NVIDIA driver": "540.4.0",
        "power mode": "MAXN_SUPER; offered: 15W, 25W, MAXN_SUPER, 7W",
        "GPU clock": "nvhost_podgov, 306 to 1020 MHz, now 306 MHz",
        "CUDA": "12.6.11",
        "TensorRT": "10.3.0.30",
        "Python (the system's)": "3.10.12",
        "Python: TensorRT": "10.3.0",
        "Python: OpenCV": "unknown: it is there, but no file beside it says which version",
        "OpenCV of the system": "4.8.0",
    },
    "agx-orin-jetpack-6.0": {
        "verdict": "Jetson AGX Orin 64GB, JetPack 6.0, L4T 36.3.0",
        "cores": "8 of 12 online",
        "power mode": "MODE_30W; offered: MAXN, MODE_15W, MODE_30W, MODE_50W",
        "CPU clock": "performance, 2202 to 2202 MHz, now 2202 MHz, locked",
        "CUDA": "12.2.140",
        "TensorRT": "8.6.2.3",
        "Python: OpenCV": "4.10.0.84",
        "Python: ONNX Runtime": "1.23.2",
        "OpenCV of the system": "4.8.0",
    },
    "xavier-nx-jetpack-5.1.2": {
        "verdict": "Jetson Xavier NX (developer kit module), JetPack 5.1.2, L4T 35.4.1",
        "device tree": "tegra194-p3668-0000-p3509-0000.dts",
        "CPU": "NVIDIA Carmel",
        "CUDA": "11.4.298",
        "TensorRT": "8.5.2",
        "Python: TensorRT": "8.5.2.2",
        "Python: PyCUDA": "2022.2.2",
        "GPU clock": "nvhost_podgov, 115 to 1109 MHz, now 115 MHz",
    },
    "thor-jetpack-7.0": {
        "verdict": "Jetson T5000 (AGX Thor), JetPack 7.0, L4T 38.2.0",
        "CPU": "Neoverse-V3AE",
        "JetPack": "7.0",
        "power mode": "MAXN; offered: MAXN, 120W, 90W, 70W",
        "GPU clock": "nvhost_podgov, 315 to 1575 MHz, now 315 MHz",
        "CUDA": "13.0.0",
        "TensorRT": "10.13.3",
        "Python (the system's)": "3.12.3",
        "Python: OpenCV": "not found",
    },
    "pc-with-geforce": {
        "verdict": "This is no Jetson: no Tegra chip in the device tree, no /etc/nv_tegra_release.",
        "board": "Dell Inc. Precision 3660",
        "CPU": "12th Gen Intel(R) Core(TM) i7-12700",
        "NVIDIA driver": "535.104.05",
        "power mode": "not found",
        "TensorRT": "not found",
        "Python: OpenCV": "4.6.0",
    },
}


def told(info: MachineInfo) -> dict[str, str]:
    return {"verdict": verdict(info), **{name: value for name, value, _ in rows(info)}}


def test_every_tree_is_expected() -> None:
    assert {folder.name for folder in BOARDS.iterdir() if folder.is_dir()} == set(EXPECTED)


@pytest.mark.parametrize("board", EXPECTED)
def test_recorded_board(board: str) -> None:
    found = told(read_machine(BOARDS / board))
    assert {name: found.get(name) for name in EXPECTED[board]} == EXPECTED[board]


@pytest.mark.parametrize("board", EXPECTED)
def test_nothing_of_this_machine_is_in_a_recorded_board(board: str) -> None:
    """Every file named as a source lies in the tree, and no value leads into this Python."""
    info = read_machine(BOARDS / board)
    for name, _, source in rows(info):
        if source.startswith("/"):
            assert path_below(BOARDS / board, source.split(", ")[0]).is_file(), f"{name}: {source}"
    assert sys.prefix not in json.dumps(as_json(info))


@pytest.mark.parametrize("board", EXPECTED)
def test_device_tree_files_end_with_nul(board: str) -> None:
    for name in ("model", "compatible"):
        for file in (BOARDS / board).rglob(name):
            assert file.read_bytes().endswith(b"\0"), file


def test_shadowed_opencv_shows_both_files() -> None:
    package = read_machine(BOARDS / "agx-orin-jetpack-6.0").software.opencv.package
    assert package.files == (
        "/usr/local/lib/python3.10/dist-packages/cv2/__init__.py",
        "/usr/lib/python3.10/dist-packages/cv2/__init__.py",
    )


def test_pc_names_every_gpu() -> None:
    gpus = [value for name, value, _ in rows(read_machine(BOARDS / "pc-with-geforce")) if name == "NVIDIA GPU"]
    assert gpus == ["NVIDIA GeForce RTX 5090", "NVIDIA GeForce RTX 3080"]
