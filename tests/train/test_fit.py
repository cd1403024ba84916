"""Training end to end on two photographs: it learns, it resumes, it refuses."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch

from edgesr.runtime.command import command
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.images import write_image
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import load_checkpoint
from edgesr.train.data.folders import Crops, EpochSampler, network_input, read_pairs
from edgesr.train.fit import find_recipe

RECIPE = """
seed_everything: 1
trainer: {{max_steps: 12, accelerator: cpu, log_every_n_steps: 1}}
model: {{network: ecbsr, scale: 2, options: {{blocks: 1, width: 4}}, learning_rate: 0.005, warmup_steps: 2}}
data: {{root: {root}, train: [photos], validate: [photos], patch: 8, batch_size: 2, samples_per_epoch: 8}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    data = pytest.importorskip("skimage.data")
    (tmp_path / "photos").mkdir()
    for name in ("coffee", "chelsea"):
        write_image(tmp_path / "photos" / f"{name}.png", np.ascontiguousarray(getattr(data, name)()[:64, :80, ::-1]))
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.format(root=tmp_path))
    return path


def fit(*arguments: object) -> int:
    return command(run, ["fit", *map(str, arguments)])


def test_training_writes_a_checkpoint_with_scores_and_resumes_to_the_same_weights(tmp_path: Path, recipe: Path) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert fit(recipe, "--output", whole) == 0
    network, scores = load_checkpoint(whole / "ecbsr_x2.safetensors")
    assert {"photos PSNR", "photos SSIM"} == set(scores) and scores["photos PSNR"] > 10
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


def test_shipped_recipes_are_found_by_name() -> None:
    assert find_recipe("default_x4").name == "default_x4.yaml"
    with pytest.raises(MissingFile, match="default_x4"):
        find_recipe("nothing")


def test_crops_are_a_function_of_seed_epoch_and_index(recipe: Path) -> None:
    pairs = read_pairs([recipe.parent / "photos"], 2)
    a, b = (Crops(pairs, "rgb", 2, patch=8, seed=5) for _ in range(2))
    low, high = a[3, 7]
    assert low.shape == (3, 8, 8) and high.shape == (3, 16, 16)
    a[0, 0]
    assert all(torch.equal(x, y) for x, y in zip(a[3, 7], b[3, 7], strict=True))
    assert not torch.equal(a[3, 7][0], a[4, 7][0]) and not torch.equal(a[3, 7][0], a[3, 8][0])
    assert list(EpochSampler(2, lambda: 5)) == [(5, 0), (5, 1)]


def test_low_and_high_stay_aligned_through_flips_and_turns(recipe: Path) -> None:
    pairs = read_pairs([recipe.parent / "photos"], 2)
    crops = Crops(pairs, "luma", 2, patch=16, seed=0)
    for index in range(16):
        low, high = crops[0, index]
        small = torch.nn.functional.avg_pool2d(high[None], 2)[0]
        assert (low - small).abs().mean() < 0.02, "a turned or shifted pair would differ by far more"


def test_network_input_is_rgb_or_luma_in_0_to_1() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[..., 2] = 255  # red, in BGR
    assert network_input(pixels, "rgb")[:, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert network_input(pixels, "luma")[0, 0, 0].item() == pytest.approx(81.481 / 255)


def test_images_smaller_than_the_patch_are_refused_when_none_is_left(recipe: Path) -> None:
    with pytest.raises(InputError, match="smaller patch"):
        Crops(read_pairs([recipe.parent / "photos"], 2), "rgb", 2, patch=64, seed=0)
