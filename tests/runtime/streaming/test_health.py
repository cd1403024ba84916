"""Broken pictures are told from dark, flat and noisy ones."""

import numpy as np
import pytest

from edgesr.runtime.resize import upscale
from edgesr.runtime.sources.natural import natural_picture
from edgesr.runtime.streaming.health import PATIENCE, Health, faults

LOW = natural_picture(96, 72, 1)


def high_of(low: np.ndarray) -> np.ndarray:
    return np.asarray(upscale(low, 4), np.uint8)


NIGHT = (LOW // 20).astype(np.uint8)
NOISY = np.clip(LOW + np.random.default_rng(0).normal(0, 25, LOW.shape), 0, 255).astype(np.uint8)
FLAT = np.full_like(LOW, 90)


@pytest.mark.parametrize("low", [LOW, NIGHT, NOISY, FLAT, np.zeros_like(LOW), np.full_like(LOW, 255)])
def test_a_true_picture_has_no_fault(low: np.ndarray) -> None:
    assert faults(low, high_of(low), 4) == []


def test_black_parts_of_a_bright_picture_are_a_fault() -> None:
    high = high_of(np.maximum(LOW, 40))
    high[:100] = 0
    assert "black" in faults(np.maximum(LOW, 40), high, 4)[0]


def test_a_constant_or_foreign_picture_is_a_fault() -> None:
    assert "constant" in faults(LOW, np.full_like(high_of(LOW), 128), 4)[0]
    assert "far from its input" in faults(LOW, 255 - high_of(LOW), 4)[0]


def test_a_fault_is_told_after_a_few_frames_and_taken_back_after_a_few() -> None:
    health, good, bad = Health(), high_of(LOW), np.full_like(high_of(LOW), 7)
    changes = [health.see(LOW, picture, 4) for picture in [good, bad, good] + [bad] * 5 + [good] * 5]
    assert [index for index, changed in enumerate(changes) if changed] == [2 + PATIENCE, 7 + PATIENCE]
    assert health.now == []


def test_frames_smaller_than_the_sampling_grid_are_looked_at_whole() -> None:
    low = np.array([[[10, 200, 30]]], np.uint8)
    assert faults(low, np.repeat(np.repeat(low, 2, 0), 2, 1), 2) == []
