"""edgesr-train as a user types it: import, evaluate, networks. (fit: test_fit.py)"""

import hashlib
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="edgesr-train needs PyTorch")

from edgesr.runtime.command import command
from edgesr.runtime.images import write_image
from edgesr.train import table
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import load_checkpoint, save_checkpoint
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
    assert report["sha256"] == hashlib.sha256((place / "w.safetensors").read_bytes()).hexdigest()
    assert report["title"] == "ecbsr x2" and report["border"] == 2 and report["settings"]["backend"] == "torch"
    assert report["versions"]["torch"] == torch.__version__ and report["versions"]["numpy"] == np.__version__
    assert not report["ensemble"] and not report["grey_as_y"] and report["date"].endswith("+00:00")
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


def test_one_model_of_several_scales_is_imported_and_evaluated_at_each(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(seeded_network("vdsr", 4).state_dict(), place / "v.pth")
    assert command(run, ["import", "v.pth", "--network", "vdsr", "--scale", "4", "3", "2", "-o", "v.safetensors"]) == 0
    assert "vdsr x4, serves x4, x3, x2," in capsys.readouterr().out
    for asked, scale in (([], 4), (["--scale", "3"], 3)):
        arguments = ["evaluate", "v.safetensors", *asked, "--data", "images", "--json", "s.json", "--force"]
        assert command(run, arguments) == 0
        report = json.loads((place / "s.json").read_text())
        assert report["scale"] == report["border"] == scale
    assert command(run, ["evaluate", "v.safetensors", "--scale", "8", "--data", "images"]) == 2
    assert "v.safetensors has no x8: its weights serve x4, x3, x2" in capsys.readouterr().err


def test_a_variant_is_imported_by_name(place: Path) -> None:
    torch.save(seeded_network("fsrcnn:s", 2).state_dict(), place / "f.pth")
    assert command(run, ["import", "f.pth", "--network", "fsrcnn:s", "--scale", "2", "-o", "f.safetensors"]) == 0
    assert load_checkpoint(place / "f.safetensors")[0].options == seeded_network("fsrcnn:s", 2).options


def test_options_of_an_evaluation_are_shown_and_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyrtools")
    save_checkpoint(place / "w.safetensors", seeded_network("ecbsr", 2))
    for name in ("a", "b"):
        write_image(place / "images" / f"{name}.png", np.full((80, 84, 3), 90, np.uint8))
    arguments = ["evaluate", "w.safetensors", "--data", "images", "--ifc", "--ensemble", "--grey-as-y"]
    assert command(run, [*arguments, "--json", "s.json"]) == 0
    told = capsys.readouterr().out
    assert "self-ensemble" in told and "grey as Y" in told and "IFC" in told and "0.000" in told
    report = json.loads((place / "s.json").read_text())
    assert report["ensemble"] and report["grey_as_y"] and "pyrtools" in report["versions"]
    assert report["data"]["images"]["mean"]["ifc"] == 0


def test_an_infinite_psnr_is_null_in_json(place: Path) -> None:
    for name in ("a", "b"):
        write_image(place / "images" / f"{name}.png", np.full((40, 44, 3), 90, np.uint8))
    assert command(run, ["evaluate", "bicubic:2", "--data", "images", "--json", "s.json"]) == 0
    mean = json.loads((place / "s.json").read_text(), parse_constant=pytest.fail)["data"]["images"]["mean"]
    assert mean["psnr_8bit_db"] is None and mean["ssim"] == pytest.approx(1)


@pytest.mark.parametrize(("scale", "db"), [(3, 34.06), pytest.param(4, 31.89, marks=pytest.mark.slow)])
def test_published_carn_m_serves_its_scales(shared: Path, place: Path, scale: int, db: float) -> None:
    published = str(shared / "weights" / "carn_m" / "carn_m.pth")
    arguments = ["import", published, "--network", "carn_m", "--scale", "4", "3", "2", "-o", "c.safetensors"]
    assert command(run, arguments) == 0
    data = str(shared / "data" / "Set5")
    arguments = ["evaluate", "c.safetensors", "--scale", str(scale), "--data", data, "--json", "s.json"]
    assert command(run, arguments) == 0
    mean = json.loads((place / "s.json").read_text())["data"][data]["mean"]
    assert mean["psnr_db"] == pytest.approx(db, abs=0.02)


def test_networks_lists_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table.rows
    monkeypatch.setattr(table, "rows", lambda: islice(whole(), 3))  # test_docs.py counts them all
    monkeypatch.setenv("COLUMNS", "200")
    assert command(run, ["networks"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in list(NETWORKS)[:2]) and "135.73 G" in told and "1,309.21 G" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "w.pth", "--network", "carn", "--scale", "2", "-o", "o.safetensors"], "does not fit carn x2"),
        (["import", "w.pth", "--network", "ecbsr", "--scale", "3", "-o", "o.safetensors"], "does not fit ecbsr x3"),
        (["import", "w.pth", "--network", "ecbsr", "--scale", "2", "3", "-o", "o.safetensors"], "expected one scale"),
        (["import", "w.pth", "--network", "vdsr", "--scale", "2", "2", "-o", "o.safetensors"], "names one twice"),
        (["import", "w.pth", "--network", "ecbsr", "--scale", "2", "-o", "o.onnx"], "does not end in .safetensors"),
        (["import", "nowhere.pth", "--network", "ecbsr", "--scale", "2", "-o", "o.safetensors"], "does not exist"),
        (["import", "images/a.png", "--network", "ecbsr", "--scale", "2", "-o", "o.safetensors"], "plain tensors"),
        (["evaluate", "nowhere.safetensors", "--data", "images"], "does not exist"),
        (["evaluate", "w.pth", "--data", "images"], "no model"),
        (["evaluate", "bicubic", "--scale", "2", "--data", "images"], "x4 and serves no x2; expected bicubic:2"),
        (["evaluate", "bicubic", "--ensemble", "--data", "images"], "bicubic x4 gives rounded bytes"),
        (["evaluate", "bicubic", "--ifc", "--data", "images"], "images/a.png: IFC needs 72x72"),
        (["evaluate", "nowhere.engine", "--data", "images"], "does not exist"),
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
