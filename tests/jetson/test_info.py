"""The command, from arguments to exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import edgesr.jetson.__main__ as command
from edgesr.jetson import info_command
from edgesr.jetson.errors import JetsonError, MissingRoot
from edgesr.jetson.info import as_json, read_machine
from edgesr.jetson.report import NOT_FOUND, rows, verdict

Write = Callable[[str, str | bytes], Path]

ORIN = Path(__file__).with_name("boards") / "orin-nano-jetpack-6.2"


def test_table_of_a_recorded_board(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert command.main(["info", "--root", str(ORIN)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Jetson Orin Nano 8GB (developer kit module), JetPack 6.2, L4T 36.4.3")
    assert "/etc/nv_tegra_release" in out
    assert f"A recorded board: the files below {ORIN}." in out
    assert sys.executable not in out


def test_json_of_a_recorded_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["info", "--json", "--root", str(ORIN)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["is_jetson"], told["recorded_root"]) == (1, True, str(ORIN))
    assert told["board"]["module"]["number"] == "p3767-0005"
    assert told["board"]["l4t"] == {"value": "36.4.3", "source": "/etc/nv_tegra_release", "problem": ""}
    assert told["host"]["memory"]["total_mib"] == 7620
    assert told["power"]["number"] == 2
    assert told["software"]["python"]["executable"] is None


def test_this_machine_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["info", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["recorded_root"] is None
    assert told["software"]["python"]["executable"] == sys.executable
    assert told["host"]["kernel"]["value"] == os.uname().release


def test_markup_in_a_boards_name_is_shown_as_it_is(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write("/proc/device-tree/model", b"Board [bold]x[/nonsense]\0")
    write("/proc/device-tree/compatible", b"nvidia,p9999-0000\0nvidia,tegra999\0")
    assert command.main(["info", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("Board [bold]x[/nonsense]") == 2


@pytest.mark.parametrize("options", [["--version"], ["--help"], ["info", "--help"]])
def test_help_and_version_end_with_0(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(options)
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("edgesr ") if options == ["--version"] else "edgesr-jetson info --root ./my-board" in out


@pytest.mark.parametrize("options", [[], ["infos"], ["info", "--root"], ["info", "--colour"], ["info", "--", "x"]])
def test_wrong_options_end_with_2(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(options)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_missing_root_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["info", "--root", str(tmp_path / "nowhere")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"edgesr-jetson: --root {tmp_path / 'nowhere'}: no such folder; expected the folder that")


def test_file_as_root_is_refused(write: Write) -> None:
    with pytest.raises(MissingRoot, match="no such folder"):
        read_machine(write("/file", ""))


def test_folder_that_holds_no_machine_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    with pytest.raises(MissingRoot, match="none of these is in it"):
        read_machine(tmp_path)


def test_our_errors_have_one_base() -> None:
    assert issubclass(MissingRoot, JetsonError)
    assert (JetsonError.exit_code, MissingRoot.exit_code) == (1, 2)


def test_interruption_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(root: Path | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(info_command, "read_machine", interrupted)
    assert command.main(["info"]) == 130


def test_empty_machine_is_told_as_not_found_throughout(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    info = read_machine(tmp_path)
    assert verdict(info).startswith("This is no Jetson")
    assert {value for _, value, _ in rows(info)} == {NOT_FOUND}
    json.dumps(as_json(info))


def test_unknown_board_shows_its_raw_names(tmp_path: Path, write: Write) -> None:
    write("/proc/device-tree/compatible", b"nvidia,p9999-0000+p9998-0001\0nvidia,tegra234\0")
    info = read_machine(tmp_path)
    told = {name: value for name, value, _ in rows(info)}
    assert verdict(info) == "A Jetson of an unknown kind, JetPack unknown, L4T unknown"
    assert told["module"] == "unknown: nvidia,p9999-0000+p9998-0001, nvidia,tegra234"
    assert told["GPU"] == "Ampere of the Orin chip, compute capability 8.7"


def test_unknown_chip_is_said(tmp_path: Path, write: Write) -> None:
    write("/proc/device-tree/compatible", b"nvidia,tegra999\0")
    write("/proc/device-tree/model", b"NVIDIA Jetson Next\0")
    info = read_machine(tmp_path)
    assert verdict(info).startswith("NVIDIA Jetson Next, JetPack unknown")
    assert ("GPU", "unknown: the chip tegra999 is not in boards.json", "") in rows(info)


def test_container_without_a_device_tree_is_still_a_jetson(tmp_path: Path, write: Write) -> None:
    write("/etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 1\n")
    info = read_machine(tmp_path)
    assert verdict(info) == "A Jetson that does not show its device tree, JetPack 6.2, L4T 36.4.3"
    assert ("module", "unknown: no device tree", "") in rows(info)


def test_unknown_release_is_said(tmp_path: Path, write: Write) -> None:
    write("/etc/nv_tegra_release", "# R41 (release), REVISION: 9.9, GCID: 1\n")
    told = {name: value for name, value, _ in rows(read_machine(tmp_path))}
    assert told["L4T"] == "41.9.9"
    assert told["JetPack"].startswith("unknown: L4T 41.9.9 is not in boards.json")


def test_damaged_device_tree_is_not_called_a_pc(tmp_path: Path, write: Write) -> None:
    write("/proc/device-tree/compatible", b"\xff\xff")
    assert verdict(read_machine(tmp_path)).startswith("Whether this is a Jetson cannot be said. /proc/device-tree")


def test_value_with_a_problem_shows_both(tmp_path: Path, write: Write) -> None:
    write("/etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=15W >\n")
    write("/var/lib/nvpmodel/status", "pmode:0007\n")
    told = {name: value for name, value, _ in rows(read_machine(tmp_path))}
    assert told["power mode"] == "mode 7 (/etc/nvpmodel.conf names no mode 7); offered: 15W"


def test_clocks_that_run_apart_share_a_row_and_show_the_span(tmp_path: Path, write: Write) -> None:
    for policy, now in (("policy0", 800000), ("policy1", 2400000), ("policy2", 3100000)):
        folder = f"/sys/devices/system/cpu/cpufreq/{policy}"
        write(f"{folder}/scaling_governor", "powersave")
        write(f"{folder}/scaling_cur_freq", str(now))
    assert ("CPU clock", "powersave, now 800 to 3100 MHz", "policy0, policy1, policy2") in rows(read_machine(tmp_path))


def test_no_library_is_loaded_to_tell() -> None:
    """In a process of its own: the test session has loaded half of them already."""
    program = (
        "import sys; from edgesr.jetson.info import read_machine; read_machine();"
        "print([name for name in ('cv2', 'numpy', 'onnxruntime', 'av', 'tensorrt', 'pycuda', 'torch') if name in sys.modules])"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
