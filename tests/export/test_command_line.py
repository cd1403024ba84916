"""edgesr-export as a user types it; most mistakes are told before torch is even imported."""

import json
from pathlib import Path

import pytest

from edgesr.export.__main__ import run
from edgesr.runtime.command import command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ecbsr", "--scale", "4", "-o", "a.trt"], "ends in none of .onnx, .engine, .pt2"),
        (["ecbsr", "--scale", "4", "-o", "a.onnx", "--level", "3"], "--level is for engines"),
        (["ecbsr", "--scale", "4", "-o", "a.onnx", "--precision", "bf16"], "an arithmetic of engines"),
        (["ecbsr", "--scale", "4", "-o", "a.onnx", "--precision", "int8"], "add --calibrate FOLDER"),
        (["ecbsr", "--scale", "4", "-o", "a.onnx", "--calibrate", "photos"], "belong to --precision int8"),
        (["ecbsr", "--scale", "4", "-o", "a.engine", "--target", "cpu"], "leave --target out"),
        (["ecbsr", "--scale", "4", "-o", "a.engine", "--level", "6"], "--level is 6; expected 0 to 5"),
        (["ecbsr", "--scale", "4", "-o", "a.engine", "--workspace", "0"], "expected MiB, 1 or more"),
        (["b.onnx", "-o", "a.engine", "--size", "32x32", "--min", "8x8"], "give one or the other"),
        (["b.onnx", "-o", "a.engine", "--min", "8x8", "--max", "9x9"], "--opt 0"),
        (
            ["b.onnx", "-o", "a.engine", *["--min", "9x9", "--opt", "8x8", "--max", "9x9"]],
            "expected least <= best <= most",
        ),
        (["ecbsr", "--scale", "4", "-o", "nowhere/a.engine"], "is no folder"),
        (["b.onnx", "-o", "a.engine", "--scale", "4"], "--scale is for a network"),
        (["b.onnx", "-o", "a.engine"], "no NVIDIA driver was found"),
        (["ecbsr", "-o", "a.pt2", "--scale", "4"], "add --size WxH"),
        (["b.onnx", "-o", "a.pt2"], "made from a checkpoint or the name of a network"),
        (["inspect", "b.engine"], "b.engine does not exist"),
        (["keygen"], "required: name"),
        (["ecbsr", "-o", "a.onnx", "--size", "320"], "no size"),
        (["ecbsr", "-o", "a.onnx", "--size", "0x4"], "no pixels"),
        (["ecbsr", "--scale", "4", "-o", "nowhere/a.onnx"], "is no folder"),
        (["ecbsr", "--scale", "4"], "required: -o/--output"),
        (["ecbsr", "--scale", "4", "-o", "a.onnx", "--colour"], "unrecognized arguments: --colour"),
        (["ecbsr", "--scale", "4", "-o", "a.onnx", "--precision", "int4"], "invalid choice: 'int4'"),
        (["b.onnx", "-o", "a.onnx"], "add --precision fp16 or int8"),
        (["b.onnx", "-o", "a.onnx", "--precision", "fp16", "--size", "4x4"], "--size is for a network"),
        (["b.onnx", "-o", "a.onnx", "--precision", "fp16", "--target", "cpu"], "it has no cpu form"),
        (["b.onnx", "-o", "a.onnx", "--precision", "fp16"], "b.onnx does not exist"),
        (["b.onnx", "--precision-report"], "b.onnx does not exist"),
        (["b.onnx", "--precision-report", "-o", "a.onnx"], "writes no file; leave -o and --precision out"),
        (["ecbsr", "--precision-report"], "reads an .onnx file, not ecbsr"),
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


def test_an_onnx_file_becomes_fp16_and_is_reported_without_torch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx", reason="converting needs onnx")
    import numpy as np
    from tests.export.made import deployed, node, saved

    nodes = [node("GlobalAveragePool", "low", "mean"), node("Mul", "low hundred", "up"), node("Div", "up hundred", "a")]
    model = deployed([*nodes, node("Max", "a mean", "high")], {"hundred": np.float32(100)})
    source, target = saved(model, tmp_path / "a.onnx"), tmp_path / "a.fp16.onnx"
    convert = [str(source), "-o", str(target), "--precision", "fp16"]
    assert command(run, convert) == 0
    told = capsys.readouterr().out
    assert "checked at 96x64, FP16 against FP32: every byte equal" in told or "largest difference 1" in told
    assert "3 nodes stay FP32: 1 statistic of the whole frame, 2 beyond FP16's range" in told
    assert f"wrote {target}: made x1" in told.replace("\n", " ") and "FP16" in told
    assert command(run, convert) == 2 and "exists already" in capsys.readouterr().err
    assert command(run, [*convert, "--force", "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["precision"] == "fp16" and list(found["fp32_nodes"]) == ["mean", "up", "a"]
    assert len(found["fp16_parity"]) == 2 and found["parity"] == [] and found["awkward_widths"] == {}

    itself = [str(source), "-o", str(source), "--precision", "fp16", "--force"]
    assert command(run, itself) == 2 and "is the FP32 file itself" in capsys.readouterr().err
    assert command(run, [str(target), "--precision-report"]) == 2 and "has fp16" in capsys.readouterr().err
    assert command(run, [str(source), "--precision-report"]) == 0
    shown = capsys.readouterr().out
    assert "made x1 in FP16" in shown and "warning" not in shown
    assert command(run, [str(source), "--precision-report", "--json"]) == 0
    layers = {layer["name"]: layer["fp32"] for layer in json.loads(capsys.readouterr().out)["layers"]}
    assert layers["mean"] and layers["up"] and not layers["high"]


def test_a_network_becomes_fp16_in_one_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="exporting a network needs PyTorch")
    path = tmp_path / "a.onnx"
    assert command(run, ["ecbsr", "--scale", "2", "-o", str(path), "--precision", "fp16", "--size", "40x24"]) == 0
    told = capsys.readouterr().out
    assert "checked at 40x24 against PyTorch" in told and "checked at 40x24, FP16 against FP32" in told
    assert "0 nodes stay FP32" in told and "warning" not in told and path.is_file()


def test_an_onnx_file_becomes_int8_in_two_forms_and_its_skip_a_convolution(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx", reason="converting needs onnx")
    from skimage import data

    from edgesr.runtime.backends import DEFAULT_MODEL
    from edgesr.runtime.images import write_image

    photos = tmp_path / "photos"
    photos.mkdir()
    write_image(photos / "cat.png", data.chelsea()[:256, :256, ::-1].copy())
    source, target = DEFAULT_MODEL.with_name("ecbsr_x4.onnx"), tmp_path / "a.int8.onnx"
    quantise = [str(source), "-o", str(target), "--precision", "int8", "--calibrate", str(photos)]
    assert command(run, [*quantise, "--int8-keep", "/body/body.12/Conv"]) == 0
    told = capsys.readouterr().out.replace("\n", " ")
    assert "1 images: FP32" in told and "/body/body.12/Conv: asked for" in told
    assert "tensor cores want channels in multiples of 32" in told and "a.int8.typed.onnx" in told
    opsets = [onnx.load(path).opset_import[0].version for path in (target, tmp_path / "a.int8.typed.onnx")]
    assert opsets == [17, 19]
    assert command(run, quantise) == 2 and "exists already" in capsys.readouterr().err
    assert command(run, [*quantise, "--force", "--int8-keep", "/body/body.12/Cov"]) == 2
    assert "/body/body.12/Conv" in capsys.readouterr().err, "names near the wrong one"

    assert command(run, [str(source), "-o", str(tmp_path / "b.onnx"), "--cubic-as-conv"]) == 2
    assert "no cubic Resize" in capsys.readouterr().err and not (tmp_path / "b.onnx").exists()
