"""A run that goes wrong is stopped, and leaves what is needed to see why."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch
from safetensors.torch import load_file

from edgesr.runtime.images import read_image
from edgesr.train.guard import Guard, Trouble, save_batch, worst_first
from edgesr.train.losses import LOSSES

BATCH = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8)


def stopped(guard: Guard, losses: list[float]) -> list[tuple[int, str]]:
    """(step that showed it, reason) of each trouble that the guard finds."""
    found = [(step, guard.see(torch.tensor(loss), BATCH, step, 0)) for step, loss in enumerate(losses, 1)]
    return [(step, trouble.reason) for step, trouble in found if trouble is not None]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_loss_that_is_no_number_is_told_at_once(loss: float) -> None:
    assert stopped(Guard(0), [1.0, loss]) == [(2, f"the loss is {loss}")]


def test_late_guard_tells_a_step_later_which_step_it_was_and_with_which_batch() -> None:
    guard = Guard(0, late=True)
    bad = tuple(part + 1 for part in BATCH)
    assert guard.see(torch.tensor(1.0), BATCH, 1, 10) is None
    assert guard.see(torch.tensor(math.nan), bad, 2, 11) is None
    trouble = guard.see(torch.tensor(math.nan), BATCH, 3, 12)
    assert trouble is not None and (trouble.step, trouble.position) == (2, 11) and trouble.batch is bad


def test_late_guard_looks_at_the_last_loss_before_a_checkpoint_is_written() -> None:
    guard = Guard(0, late=True)
    assert guard.see(torch.tensor(math.nan), BATCH, 1, 0) is None
    trouble = guard.settled()
    assert trouble is not None and trouble.step == 1


def test_weights_that_are_no_numbers_are_told_by_name_before_a_checkpoint_is_written() -> None:
    guard, network = Guard(0), torch.nn.Conv2d(1, 1, 1)
    assert guard.settled(network) is None and guard.see(torch.tensor(1.0), BATCH, 7, 0) is None
    assert guard.settled(network) is None
    torch.nn.init.constant_(network.bias, math.inf)
    trouble = guard.settled(network)
    assert trouble is not None and trouble.step == 7 and trouble.reason == "bias is no longer finite"


def test_exploding_loss_is_held_against_its_running_mean() -> None:
    usual = [0.02] * 150
    assert stopped(Guard(100), [*usual, 1.9]) == []
    (trouble,) = stopped(Guard(100), [*usual, 2.2])
    assert trouble == (151, "the loss is 2.2, 110 times its running mean")
    assert stopped(Guard(0), [*usual, 1e9]) == []


def test_nothing_explodes_before_there_is_a_mean_to_hold_it_against() -> None:
    assert stopped(Guard(100), [1e-9, 0.3, 0.2]) == []


@pytest.mark.parametrize("loss", ["l1", "mse"])
def test_default_never_fires_over_the_worst_of_usual_batches(loss: str) -> None:
    """Single crops, from flat sky to noise; a start at wholly wrong outputs, and a warm-up that loses its way for a while."""
    rng = np.random.default_rng(1)
    start = np.linspace(0.5, 0.02, 200)
    lost = 0.02 + 0.5 * np.exp(-(((np.arange(300) - 150) / 60) ** 2))
    texture = np.exp(rng.normal(-4, 1.2, 20_000)).clip(1e-4, 0.3)  # mean error of a crop: four powers of ten apart
    errors = torch.from_numpy(np.concatenate([start, lost, texture])).float()
    guard = Guard(1000)
    for step, error in enumerate(errors):
        assert guard.see(LOSSES[loss](error, torch.zeros(())), BATCH, step, 0) is None, step


def test_batch_is_saved_with_a_sheet_that_shows_the_worst_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    low, high = (torch.from_numpy(rng.integers(0, 255, (3, 3, side, side), np.uint8)) for side in (4, 8))
    path = save_batch(tmp_path, Trouble("the loss is nan", math.nan, (low, high), 12, 0), [0.1, 0.5, 0.2])
    assert path.name == "stopped_at_step_12.safetensors"
    saved = load_file(path)
    assert torch.equal(saved["low"], low) and torch.equal(saved["high"], high)
    assert saved["step"] == 12 and saved["loss"].isnan() and saved["losses"].tolist() == pytest.approx([0.1, 0.5, 0.2])
    sheet, _ = read_image(path.with_suffix(".png"))
    assert sheet.shape == (3 * 8 + 2 * 4, 2 * 8 + 4, 3)
    assert np.array_equal(sheet[:8, 12:, ::-1], high[1].permute(1, 2, 0).numpy())
    assert np.array_equal(sheet[:8:2, :8:2, ::-1], low[1].permute(1, 2, 0).numpy())


def test_what_is_no_number_is_worst() -> None:
    assert worst_first([0.1, math.nan, 0.3, math.inf]) == [1, 3, 2, 0]
