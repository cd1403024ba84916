"""Training end to end on two photographs: it learns, it resumes, it refuses."""

from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch

from edgesr.runtime.command import command
from edgesr.runtime.errors import MissingFile
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import load_checkpoint
from edgesr.train.fit import find_recipe


def fit(*arguments: object) -> int:
    return command(run, ["fit", *map(str, arguments)])


def test_training_writes_a_checkpoint_with_scores_and_resumes_to_the_same_weights(tmp_path: Path, recipe: Path) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert fit(recipe, "--output", whole) == 0
    network, scores = load_checkpoint(whole / "ecbsr_x2.safetensors")
    assert {"photos PSNR", "photos SSIM", "validation PSNR", "validation SSIM"} == set(scores)
    assert scores["photos PSNR"] > 10
    assert (whole / "csv" / "version_0" / "metrics.csv").is_file() and (whole / "best.ckpt").is_file()

    assert fit(recipe, "--output", parted, "--trainer.max_epochs", 2) == 0  # stopped after the second of three
    assert torch.load(parted / "last.ckpt", weights_only=False)["global_step"] == 8
    assert fit(recipe, "--output", parted) == 2, "a run that is there is not overwritten"
    assert fit(recipe, "--output", parted, "--resume") == 0
    again, _ = load_checkpoint(parted / "ecbsr_x2.safetensors")
    for (name, a), b in zip(network.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_the_last_checkpoint_is_the_last_even_where_the_score_falls(tmp_path: Path, recipe: Path) -> None:
    worse = ["--model.learning_rate", 0.5, "--trainer.max_steps", 40, "--trainer.max_epochs", 4]
    assert fit(recipe, "--output", tmp_path / "run", *worse) == 0
    steps = {
        name: torch.load(tmp_path / "run" / f"{name}.ckpt", weights_only=False)["global_step"]
        for name in ("best", "last")
    }
    assert steps["last"] == 16 and steps["best"] < 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--model.network", "nonet"], "no network 'nonet'"),
        (["--model.colour", "red"], "model.colour"),
        (["--data.patch", "400"], "use a smaller patch"),
        (["--data.root", "/nowhere"], "is no folder"),
        (["--data.scale", "3"], 'Linked "data.scale" must be given via "model.scale"'),
        (["--resume"], "nothing to resume"),
    ],
)
def test_a_mistake_gives_one_line_and_code_2(
    tmp_path: Path, recipe: Path, change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(recipe, "--output", tmp_path / "run", *change) == 2
    told = capsys.readouterr().err
    lines = [line for line in told.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and message in lines[0] and "Traceback" not in told


def test_a_scale_stated_twice_must_be_one(tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(recipe.read_text().replace("patch: 8", "patch: 8, scale: 2"))
    assert fit(recipe, "--output", tmp_path / "run", "--trainer.max_steps", 1) == 0
    assert fit(recipe, "--output", tmp_path / "other", "--model.scale", 4) == 2
    assert "data.scale is 2 and model.scale 4; data take the model's: leave out data.scale" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["enable_progress_bar", "logger", "enable_model_summary"])
def test_what_lightning_can_leave_out_can_be_left_out(
    tmp_path: Path, recipe: Path, setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, steps = tmp_path / "run", ["--trainer.max_steps", 4]
    assert fit(recipe, "--output", run, *steps, f"--trainer.{setting}", "false") == 0
    printed = capsys.readouterr().out
    assert ("Epoch" in printed) is (setting != "enable_progress_bar")
    assert ("Total params" in printed) is (setting != "enable_model_summary")
    assert (run / "csv").exists() is (run / "tensorboard").exists() is (setting != "logger")
    assert (run / "last.ckpt").is_file() and (run / "ecbsr_x2.safetensors").is_file()


def test_shipped_recipes_are_found_by_name() -> None:
    assert find_recipe("ecbsr_small_x4").name == "ecbsr_small_x4.yaml"
    with pytest.raises(MissingFile, match="shipped/ecbsr_x4"):
        find_recipe("nothing")


@pytest.mark.parametrize(
    ("cut", "network"),
    [
        ([], "ecbsr, scale: 2, options: {blocks: 1, width: 4}"),
        (["--five-crop"], "ecbsr, scale: 2, options: {blocks: 1, width: 4}"),
        (["--patch", 8, "--stride", 8, "--luma"], "ecbsr, scale: 2, options: {blocks: 1, width: 4}"),
        (["--patch", 16, "--stride", 8, "--luma", "--same-size"], "srcnn, scale: 2"),
        (["--patch", 16, "--stride", 8, "--same-size"], "srcnn, scale: 2"),
    ],
    ids=["whole", "five-crop", "luma", "luma-same-size", "same-size"],
)
def test_a_prepared_file_is_trained_from(cut: list[object], network: str, tmp_path: Path, recipe: Path) -> None:
    pytest.importorskip("h5py", reason="prepared files are HDF5")
    prepare = ["prepare", recipe.parent / "photos", "-o", tmp_path / "set.h5", "--scale", 2, "--jobs", 1, *cut]
    assert command(run, list(map(str, prepare))) == 0
    path = tmp_path / "prepared.yaml"
    text = recipe.read_text().replace("train: [photos]", "train: [set.h5]")
    path.write_text(text.replace("ecbsr, scale: 2, options: {blocks: 1, width: 4}", network))
    assert fit(path, "--output", tmp_path / "run") == 0
    assert load_checkpoint(tmp_path / "run" / f"{network.split(',')[0]}_x2.safetensors")[1]["photos PSNR"] > 10


def test_pairs_enlarged_beforehand_are_refused_by_a_network_that_enlarges(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("h5py", reason="prepared files are HDF5")
    prepare = ["prepare", recipe.parent / "photos", "-o", tmp_path / "set.h5", "--scale", 2, "--same-size", "--jobs", 1]
    assert command(run, list(map(str, [*prepare, "--patch", 16, "--stride", 8]))) == 0
    assert fit(recipe, "--output", tmp_path / "run", "--data.train", "[set.h5]") == 2
    assert "enlarged beforehand" in capsys.readouterr().err
