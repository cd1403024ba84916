import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.benchmarks.__main__ import run
from edgesr.benchmarks.arguments import duration
from edgesr.runtime.command import command

MakeModel = Callable[..., Path]
QUICK = ["--size", "32x16", "--rounds", "5", "--threads", "1"]


def bench(*arguments: str | Path) -> int:
    return command(run, ["latency", *map(str, arguments)])


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_all_outputs(make_model: MakeModel, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    out = [tmp_path / name for name in ("r.json", "r.md", "r.png")]
    random = make_model("random", trained=False)
    files = ("--json", out[0], "--markdown", out[1], "--plot", out[2])
    assert bench("bicubic:2", random, *QUICK, "--data", photos, *files) == 0
    shown = capsys.readouterr().out
    assert "bicubic:2" in shown and "(untrained)" in shown
    found = json.loads(out[0].read_text())
    assert [model["label"] for model in found["models"]] == ["bicubic:2", "random"]
    assert found["settings"]["data"] == [str(photos)]
    assert found["machine"]["facts"]["schema"] >= 1
    assert "| random (untrained) |" in out[1].read_text()
    assert out[2].stat().st_size > 1000


def test_nothing_is_overwritten_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")
    assert bench("bicubic:2", *QUICK, "--json", path) == 2
    assert "exists already" in error_line(capsys)
    assert path.read_text() == "old"
    assert bench("bicubic:2", *QUICK, "--json", path, "--force") == 0
    assert json.loads(path.read_text())["rounds"] == 5


def test_a_model_is_never_overwritten(make_model: MakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model("bytes")
    before = model.read_bytes()
    assert bench(model, *QUICK, "--json", model, "--force") == 2
    assert "is one of the files that are read" in error_line(capsys)
    assert model.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.onnx", *QUICK], "none.onnx does not exist"),
        (["bicubic", "--size", "32"], "'32' is no size"),
        (["bicubic"], "--size"),
        (["bicubic", *QUICK, "--budget", "5"], "'5' is no duration"),
        (["bicubic:5", *QUICK], "expected bicubic"),
        (["model.engineer", *QUICK], "no model that can be run"),
        (["bicubic", "--size", "33x16"], "sizes are even"),
        (["bicubic", *QUICK, "--plot", "p.png"], "add --data"),
        (["bicubic", *QUICK, "--plot", "p.svg"], "end in .png"),
        (["bicubic", *QUICK, "--data", "nowhere"], "nowhere is no folder"),
        (["bicubic", *QUICK, "--json", "a", "--markdown", "a"], "name the same file"),
        (["bicubic", "--size", "32x16", "--rounds", "2"], "at least 5"),
        (["bicubic", "--size", "90000x90000"], "GiB are free"),
    ],
)
def test_one_clear_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench(*arguments) == 2
    assert words in error_line(capsys)
    assert not list(tmp_path.iterdir())


def test_unwritable_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("bicubic:2", *QUICK, "--json", tmp_path / "no" / "r.json") == 1
    assert "is no folder" in error_line(capsys)


def test_a_verb_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, []) == 2
    assert "COMMAND" in error_line(capsys)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3600), ("1.5m", 90)])
def test_duration(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["5", "m", "-5m", "0s", "5 m", "5M", "1e3s", "٥m", ""])
def test_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no duration"):
        duration(text)
