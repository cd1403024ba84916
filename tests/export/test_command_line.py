"""edgesr-export as a user types it; most mistakes are told before torch is even imported."""

from pathlib import Path

import pytest

from edgesr.export.__main__ import run
from edgesr.runtime.command import command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ecbsr", "--scale", "4", "-o", "a.engine"], "does not end in .onnx"),
        (["ecbsr", "-o", "a.onnx", "--size", "320"], "no size"),
        (["ecbsr", "-o", "a.onnx", "--size", "0x4"], "no pixels"),
        (["ecbsr", "--scale", "4", "-o", "nowhere/a.onnx"], "is no folder"),
        (["ecbsr", "--scale", "4"], "required: -o/--output"),
        (["ecbsr", "--scale", "4", "-o", "a.onnx", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(run, arguments) in (1, 2)
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and message in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonet", "--scale", "4"], "no network 'nonet'"),
        (["ecbsr"], "needs --scale"),
        (["ecbsr", "--scale", "7"], "has no x7"),
        (["x4.pth"], "edgesr-train import first"),
        (["a.safetensors"], "does not exist"),
        (["a.safetensors", "--scale", "4"], "a checkpoint knows its own"),
    ],
)
def test_a_model_that_cannot_be_exported_is_told_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="these are found out by the half that needs PyTorch")
    assert command(run, [*arguments, "-o", str(tmp_path / "a.onnx")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and message in told
    assert list(tmp_path.iterdir()) == []


def test_random_weights_are_marked_in_the_file_and_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="exporting a network needs PyTorch")
    from edgesr.runtime.backends import open_backend

    path = tmp_path / "a.onnx"
    assert command(run, ["ecbsr", "--scale", "4", "-o", str(path)]) == 0
    assert "ecbsr x4 (untrained)" in capsys.readouterr().out
    with open_backend(path) as backend:
        assert not backend.spec.trained and "untrained" in backend.title
    first = path.read_bytes()
    assert command(run, ["ecbsr", "--scale", "4", "-o", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err and path.read_bytes() == first
    assert command(run, ["ecbsr", "--scale", "4", "-o", str(path), "--force", "--json"]) == 0
    assert path.read_bytes() == first, "the same seed gives the same file"
