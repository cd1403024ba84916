from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.jetson.board import module_of, parse_compatible, parse_l4t, read_board, soc_of
from edgesr.jetson.facts import Fact
from edgesr.jetson.packages import Packages

Write = Callable[[str, str | bytes], Path]

ORIN_NANO = b"nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0"
RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"


@pytest.mark.parametrize(
    ("line", "l4t"),
    [  # published by owners of such boards
        (RELEASE, "36.4.3"),
        ("# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic, EABI: aarch64", "36.4.0"),
        ("# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64", "35.4.1"),
        ("# R32 (release), REVISION: 7.1, GCID: 29689809, BOARD: t186ref, EABI: aarch64", "32.7.1"),
        ("# R39 (release), REVISION: 2.0, GCID: 45755727, BOARD: generic, EABI: aarch64", "39.2.0"),
        ("# R40 (release), REVISION: 1, GCID: 1", "40.1.0"),
    ],
)
def test_l4t_line(line: str, l4t: str) -> None:
    assert parse_l4t(line) == l4t


@pytest.mark.parametrize("damaged", ["", "\0", "# R36", "R36 (release)", "# R (release), REVISION: 4.3"])
def test_damaged_l4t_line_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="expected a line such as"):
        parse_l4t(damaged)


@pytest.mark.parametrize(
    ("names", "number"),
    [  # the device trees of real boards, as their owners published them
        (("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"), "p3767-0005"),
        (
            ("nvidia,p3768-0000+p3767-0003", "nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0003", "nvidia,tegra234"),
            "p3767-0003",
        ),
        (("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234", "nvidia,tegra23x"), "p3701-0005"),
        (("nvidia,p3668-0000", "nvidia,p3509-0000+p3668-0000", "nvidia,tegra194"), "p3668-0000"),
        (("nvidia,p2972-0000", "nvidia,tegra194"), "p2972-0000"),
        (("nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210"), "p3448-0000"),
        (("nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"), "p3834-0008"),
    ],
)
def test_module_is_told_from_its_carrier(names: tuple[str, ...], number: str) -> None:
    module = module_of(names)
    assert module is not None
    assert module.number == number
    assert module.soc == soc_of(names)


def test_unknown_module_has_no_entry() -> None:
    assert module_of(("nvidia,p9999-0000+p9998-0001", "nvidia,tegra234")) is None


def test_names_are_split_at_nul() -> None:
    assert parse_compatible("a,b\0c\0") == ("a,b", "c")


@pytest.mark.parametrize("damaged", ["", "\0\0", "nvidia,tegra234\ufffd\0", "with space\0"])
def test_damaged_names_are_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="expected names such as"):
        parse_compatible(damaged)


def test_empty_machine_is_no_jetson(tmp_path: Path) -> None:
    board = read_board(tmp_path, Packages())
    assert not board.is_jetson
    assert (board.model, board.l4t, board.jetpack, board.module, board.tegra) == (Fact(), Fact(), Fact(), None, None)


def test_device_tree_of_another_maker_is_no_jetson(tmp_path: Path, write: Write) -> None:
    write("/proc/device-tree/model", b"Raspberry Pi 5 Model B Rev 1.0\0")
    write("/proc/device-tree/compatible", b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    board = read_board(tmp_path, Packages())
    assert not board.is_jetson
    assert board.model.value == "Raspberry Pi 5 Model B Rev 1.0"


def test_damaged_package_list_makes_no_jetson_of_a_pc(tmp_path: Path) -> None:
    assert not read_board(tmp_path, Packages(problem="damaged")).is_jetson


def test_container_on_a_jetson_shows_only_the_release(tmp_path: Path, write: Write) -> None:
    write("/etc/nv_tegra_release", RELEASE)
    board = read_board(tmp_path, Packages())
    assert board.is_jetson
    assert (board.module, board.l4t.value) == (None, "36.4.3")
    assert board.jetpack == Fact("6.2", "boards.json, by L4T 36.4.3")


def test_damaged_release_is_still_a_jetson_and_dpkg_steps_in(tmp_path: Path, write: Write) -> None:
    write("/etc/nv_tegra_release", "garbage")
    assert read_board(tmp_path, Packages()).is_jetson
    l4t = read_board(tmp_path, Packages({"nvidia-l4t-core": "36.4.3-20250107174145"})).l4t
    assert (l4t.value, l4t.source) == ("36.4.3", "dpkg nvidia-l4t-core 36.4.3-20250107174145")
    assert "found 'garbage'" in l4t.problem


def test_unknown_release_says_so(tmp_path: Path, write: Write) -> None:
    write("/etc/nv_tegra_release", "# R41 (release), REVISION: 9.9, GCID: 1\n")
    board = read_board(tmp_path, Packages())
    assert (board.l4t.value, board.release, board.jetpack.value) == ("41.9.9", None, None)
    assert "L4T 41.9.9 is not in boards.json" in board.jetpack.problem


def test_unknown_release_with_the_metapackage_has_its_jetpack(tmp_path: Path, write: Write) -> None:
    write("/etc/nv_tegra_release", "# R41 (release), REVISION: 9.9, GCID: 1\n")
    assert read_board(tmp_path, Packages({"nvidia-jetpack": "9.1-b3"})).jetpack == Fact(
        "9.1", "dpkg nvidia-jetpack 9.1-b3"
    )


def test_unknown_board_keeps_the_raw_names(tmp_path: Path, write: Write) -> None:
    write("/proc/device-tree/compatible", b"nvidia,p9999-0000+p9998-0001\0nvidia,tegra999\0")
    board = read_board(tmp_path, Packages())
    assert board.is_jetson
    assert (board.module, board.soc, board.tegra) == (None, None, "tegra999")
    assert board.compatible == ("nvidia,p9999-0000+p9998-0001", "nvidia,tegra999")


def test_damaged_device_tree_is_said(tmp_path: Path, write: Write) -> None:
    write("/proc/device-tree/compatible", b"\xff\x00\xfe")
    write("/proc/device-tree/model", b"\xff\xff")
    board = read_board(tmp_path, Packages())
    assert board.compatible_problem.startswith("/proc/device-tree/compatible: expected names such as")
    assert board.model.problem.startswith("/proc/device-tree/model: expected one line of text")


def test_second_place_of_the_device_tree_is_read(tmp_path: Path, write: Write) -> None:
    write("/proc/device-tree/compatible/oops", "")
    write("/sys/firmware/devicetree/base/compatible", ORIN_NANO)
    board = read_board(tmp_path, Packages())
    assert board.module is not None
    assert board.compatible_problem == "/proc/device-tree/compatible: not a regular file"


def test_dts_file_is_shown_without_the_path_of_the_build_server(tmp_path: Path, write: Write) -> None:
    path = b"/dvs/git/dirty/git-master_linux/kernel/kernel-5.10/arch/arm64/boot/dts/../../../../../../hardware/nvidia/"
    write(
        "/proc/device-tree/nvidia,dtsfilename",
        path + b"platform/t23x/p3768/kernel-dts/tegra234-p3767-0003-p3768-0000-a0.dts\0",
    )
    assert read_board(tmp_path, Packages()).dts_file.value == "tegra234-p3767-0003-p3768-0000-a0.dts"


def test_pc_has_its_firmwares_name(tmp_path: Path, write: Write) -> None:
    write("/sys/class/dmi/id/product_name", "Precision 3660\n")
    assert read_board(tmp_path, Packages()).model.value == "Precision 3660"
    write("/sys/class/dmi/id/sys_vendor", "Dell Inc.\n")
    assert read_board(tmp_path, Packages()).model.value == "Dell Inc. Precision 3660"
