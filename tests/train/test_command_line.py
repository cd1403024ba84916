"""edgesr-train as a user types it: import, evaluate, networks. (fit: test_fit.py)"""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="edgesr-train needs PyTorch")

from edgesr.runtime.command import command
from edgesr.runtime.images import write_image
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import load_checkpoint
from edgesr.train.networks import NETWORKS, seeded_network


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.png", rng.integers(0, 256, (40, 44, 3), dtype=np.uint8))
    torch.save(seeded_network("ecbsr", 2).state_dict(), tmp_path / "w.pth")
    return tmp_path


def test_import_then_evaluate(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, ["import", "w.pth", "--network", "ecbsr", "--scale", "2", "-o", "w.safetensors"]) == 0
    assert "16,400" not in capsys.readouterr().out, "parameters are counted, not remembered"
    assert load_checkpoint(place / "w.safetensors")[0].scale == 2
    assert command(run, ["evaluate", "w.safetensors", "--data", "images", "--json", "s.json"]) == 0
    report = json.loads((place / "s.json").read_text())
    assert report["protocol"] == "matlab" and set(report["data"]) == {"images"}
    scores = report["data"]["images"]
    assert [one["image"] for one in scores["images"]] == ["a", "b"] and scores["mean"]["psnr_8bit_db"] is None
    mean = np.mean([one["psnr_db"] for one in scores["images"]])
    assert scores["mean"]["psnr_db"] == pytest.approx(mean) and f"{mean:.2f}" in capsys.readouterr().out


def test_a_deployed_model_is_evaluated_in_its_own_column(place: Path) -> None:
    arguments = [
        "evaluate",
        "bicubic:2",
        "--data",
        "images",
        "--data",
        "images",
        "--protocol",
        "rdsrn",
        "--json",
        "s.json",
    ]
    assert command(run, arguments) == 0
    mean = json.loads((place / "s.json").read_text())["data"]["images"]["mean"]
    assert mean["psnr_db"] is None and mean["psnr_8bit_db"] > 5


def test_networks_lists_the_whole_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert command(run, ["networks"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in NETWORKS) and "135.73 G" in told and "1,309.21 G" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "w.pth", "--network", "carn", "--scale", "2", "-o", "o.safetensors"], "does not fit carn x2"),
        (["import", "w.pth", "--network", "ecbsr", "--scale", "3", "-o", "o.safetensors"], "does not fit ecbsr x3"),
        (["import", "w.pth", "--network", "ecbsr", "--scale", "2", "-o", "o.onnx"], "does not end in .safetensors"),
        (["import", "nowhere.pth", "--network", "ecbsr", "--scale", "2", "-o", "o.safetensors"], "does not exist"),
        (["import", "images/a.png", "--network", "ecbsr", "--scale", "2", "-o", "o.safetensors"], "plain tensors"),
        (["evaluate", "nowhere.safetensors", "--data", "images"], "does not exist"),
        (["evaluate", "w.pth", "--data", "images"], "no model"),
        (["evaluate", "bicubic", "--data", "nowhere"], "is no folder"),
        (["evaluate", "bicubic", "--data", "."], "holds no image"),
        (["evaluate", "bicubic", "--data", "images", "--json", "nowhere/s.json"], "is no folder"),
        (["evaluate", "bicubic"], "required: --data"),
        (["evaluate", "bicubic", "--data", "images", "--colour"], "unrecognised: --colour"),
        ([], "required: VERB"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    place: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place.iterdir())
    assert command(run, arguments) in (1, 2)
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and message in told, told
    assert sorted(place.iterdir()) == before
