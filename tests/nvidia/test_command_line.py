"""edgesr-export and edgesr-run with engines, as a user types them on a machine with a GPU."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the fakes and the graphs need onnx")

from tests.nvidia.machine import FakeMachine

from edgesr.export.__main__ import run as export
from edgesr.runtime.__main__ import main_run
from edgesr.runtime.command import command

ROOT = Path(__file__).parent.parent.parent
MODEL = str(ROOT / "runtime" / "models" / "ecbsr_x4.onnx")
Play = Callable[..., FakeMachine]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def engine(machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeMachine, Path]:
    """A machine, and where to write; the timing cache goes beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return machine("10.3.0", integrated=False), tmp_path / "a.engine"


def build(path: Path, *options: str) -> int:
    return command(export, [MODEL, "-o", str(path), "--size", "48x32", *options])


def test_an_engine_is_built_run_and_inspected(engine: tuple[FakeMachine, Path], tmp_path: Path, capsys: Output) -> None:
    played, path = engine
    assert build(path, "--level", "5", "--workspace", "64") == 0
    told = capsys.readouterr().out
    assert "100.0% of the convolutions' multiply-adds run in FP16" in told and f"wrote {path} and its card" in told
    card = json.loads((tmp_path / "a.engine.json").read_text())
    assert card["settings"] == {"level": 5, "workspace_bytes": 64 * 2**20, "tactic_bytes": None}
    assert card["command"].startswith("edgesr-export ") and card["command"].endswith("--level 5 --workspace 64")
    assert len(list((tmp_path / "cache").rglob("*.timing"))) == 1

    report = tmp_path / "report.json"
    stream = ["pattern:natural?size=48x32", "null:", "--frames", "3", "--model", str(path), "--report", str(report)]
    assert command(main_run, stream) == 0
    stages = json.loads(report.read_text())["stages"]
    assert all(stages[stage]["count"] == 3 for stage in ("network", "upload", "download", "infer"))
    assert json.loads(report.read_text())["settings"]["cuda_graph"] == "on"
    capsys.readouterr()

    assert command(export, ["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layers"] and all(verdict["result"] != "refused" for verdict in found["verdicts"]), found["verdicts"]
    assert played.clean()


def test_what_is_up_to_date_is_left_and_other_settings_want_force(
    engine: tuple[FakeMachine, Path], capsys: Output
) -> None:
    _, path = engine
    assert build(path) == 0
    first = path.stat().st_mtime_ns
    assert build(path) == 0 and "is up to date" in capsys.readouterr().out
    assert build(path, "--level", "1") == 2 and "exists already" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == first
    assert build(path, "--level", "1", "--force") == 0 and path.stat().st_mtime_ns > first


def test_several_camera_modes_in_one_engine(engine: tuple[FakeMachine, Path], tmp_path: Path, capsys: Output) -> None:
    _, path = engine
    modes = ["--min", "16x16", "--opt", "32x24", "--max", "48x32", "--min", "64x32", "--opt", "64x48", "--max", "80x48"]
    assert command(export, [MODEL, "-o", str(path), *modes]) == 0
    for size, code in (("32x24", 0), ("64x48", 0), ("72x40", 0), ("56x40", 2)):
        stream = [f"pattern:natural?size={size}", "null:", "--frames", "2", "--model", str(path)]
        assert command(main_run, stream) == code
    assert "was built for 16x16 to 48x32, best at 32x24; 64x32 to 80x48" in capsys.readouterr().err


def test_int8_is_measured_before_it_is_built(engine: tuple[FakeMachine, Path], tmp_path: Path, capsys: Output) -> None:
    from skimage import data

    from edgesr.runtime.images import write_image

    _, path = engine
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, picture in (("cat", data.chelsea()), ("cup", data.coffee())):
        write_image(photos / f"{name}.png", picture[:256, :256, ::-1].copy())
    asked = ["--precision", "int8", "--calibrate", str(photos)]
    assert build(path, *asked, "--int8-budget-db", "0") == 2
    assert "--int8-keep" in capsys.readouterr().err and not path.exists()
    assert build(path, *asked, "--json") == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert card["precision"] == "int8" and card["proof"]["share"] == 1 and card["proof"]["exempt"]


def test_a_signed_engine_runs_where_its_key_is_trusted_and_nowhere_else(
    engine: tuple[FakeMachine, Path], tmp_path: Path, capsys: Output
) -> None:
    pytest.importorskip("cryptography", reason="signing needs cryptography")
    _, path = engine
    for name in ("ours", "theirs"):
        assert command(export, ["keygen", str(tmp_path / name)]) == 0
    assert build(path, "--sign", str(tmp_path / "ours.key")) == 0
    stream = ["pattern:natural?size=48x32", "null:", "--frames", "1", "--model", str(path), "--trust"]
    assert command(main_run, [*stream, str(tmp_path / "ours.pub")]) == 0
    capsys.readouterr()
    assert command(main_run, [*stream, str(tmp_path / "theirs.pub")]) == 2
    assert "another key" in capsys.readouterr().err
    assert command(main_run, ["pattern:", "null:", "--model", MODEL, "--trust", str(tmp_path / "ours.pub")]) == 2
    assert "carries no signature" in capsys.readouterr().err


def test_a_wrong_kind_of_file_for_this_tensorrt_is_told(machine: Play, tmp_path: Path, capsys: Output) -> None:
    half = tmp_path / "half.onnx"
    assert command(export, [MODEL, "-o", str(half), "--precision", "fp16"]) == 0
    capsys.readouterr()
    for version, code in (("8.6.0", 2), ("11.4.0.106", 0)):
        machine(version)
        line = [str(half), "-o", str(tmp_path / f"{version}.engine"), "--size", "48x32", "--timing-cache", "off"]
        assert command(export, line) == code
    assert "builds fp16 from the FP32 file it was made from" in capsys.readouterr().err
    machine("11.4.0.106")
    assert build(tmp_path / "b.engine", "--precision", "bf16") == 2
    assert "has no BF16 flag any more" in capsys.readouterr().err


def test_an_engine_of_another_machine_is_refused_with_the_command_that_builds_it_here(
    machine: Play, tmp_path: Path, capsys: Output
) -> None:
    path = tmp_path / "a.engine"
    machine("10.3.0")
    assert build(path, "--timing-cache", "off") == 0
    stream = ["pattern:natural?size=48x32", "null:", "--frames", "1", "--model", str(path)]
    capsys.readouterr()
    for version, gpu, said in (("10.16.1.11", "Orin", "10.16.1.11"), ("10.3.0", "NVIDIA H200", "NVIDIA H200")):
        machine(version, gpu=gpu)
        assert command(main_run, stream) == 2
        told = capsys.readouterr().err
        assert said in told and "build it here: edgesr-export" in told and told.count("\n") == 1
    machine("10.3.0")
    path.write_bytes(path.read_bytes() + b"\0")
    assert command(main_run, stream) == 2 and "SHA-256" in capsys.readouterr().err
    (tmp_path / "a.engine.json").unlink()
    assert command(main_run, stream) == 2 and "has no card" in capsys.readouterr().err


def test_without_a_driver_an_engine_is_refused_in_one_line(machine: Play, tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "a.engine"
    machine("10.3.0")
    assert build(path, "--timing-cache", "off") == 0
    capsys.readouterr()
    machine("8.6.0", driver=False)
    assert command(main_run, ["pattern:", "null:", "--model", str(path)]) == 2
    assert "no NVIDIA driver" in capsys.readouterr().err


def test_the_card_says_the_very_command(engine: tuple[FakeMachine, Path], tmp_path: Path) -> None:
    played, path = engine
    assert build(path) == 0
    line = json.loads((tmp_path / "a.engine.json").read_text())["command"]
    path.unlink()
    assert command(export, shlex.split(line)[1:]) == 0 and path.is_file()
    assert played.clean()
