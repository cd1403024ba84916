"""Pairs of low and high resolution from folders of images."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.quality import RULER, crop_to_multiple
from edgesr.runtime.resize import downscale
from edgesr.runtime.spec import Colour

__all__ = ["Crops", "EpochSampler", "Pair", "network_input", "read_pairs"]

Pair = tuple[Pixels, Pixels]
"""Low and high resolution of one image, both uint8 (H, W, 3) BGR."""


def read_pairs(folders: list[Path], scale: int) -> list[Pair]:
    """Every image of the folders, cropped to a multiple of scale, beside its MATLAB-bicubic reduction."""
    pairs = []
    for folder in folders:
        for file in image_files(folder):
            high = crop_to_multiple(read_image(file)[0], scale)
            pairs.append((downscale(high, scale), high))
    return pairs


def network_input(pixels: Pixels, colour: Colour) -> Tensor:
    """uint8 (H, W, 3) BGR -> float32 (C, H, W) in 0–1: RGB, or the unrounded Y of BT.601."""
    if colour == "luma":
        return torch.from_numpy((RULER.luma(pixels) / 255).astype(np.float32))[None]
    return torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1))).float() / 255


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Random crops, flipped and turned: (low, high) as `network_input` makes them.

    A sample is asked for by (epoch, index), and depends on (seed, epoch, index) alone, whoever asks and when.
    Images are drawn by their area. All pairs are held in memory as uint8.

    patch: side of the low-resolution crop in pixels; images smaller than it are left out.
    """

    def __init__(self, pairs: list[Pair], colour: Colour, scale: int, *, patch: int, seed: int) -> None:
        self.pairs = [pair for pair in pairs if min(pair[0].shape[:2]) >= patch]
        if not self.pairs:
            raise InputError(
                f"none of {len(pairs)} images is {patch * scale} pixels wide and high; use a smaller patch"
            )
        self.colour, self.scale, self.patch, self.seed = colour, scale, patch, seed
        area = np.array([low.shape[0] * low.shape[1] for low, _ in self.pairs], np.float64)
        self.chance = np.cumsum(area / area.sum())

    def __getitem__(self, place: tuple[int, int]) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, *place))
        low, high = self.pairs[min(int(np.searchsorted(self.chance, rng.random())), len(self.pairs) - 1)]
        top = int(rng.integers(low.shape[0] - self.patch + 1))
        left = int(rng.integers(low.shape[1] - self.patch + 1))
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))

        def cut(image: Pixels, scale: int) -> Tensor:
            side = self.patch * scale
            crop = image[top * scale : top * scale + side, left * scale : left * scale + side]
            crop = np.rot90(crop[:, ::-1] if flip else crop, turns)
            return network_input(crop, self.colour)

        return cut(low, 1), cut(high, self.scale)


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, 0), (epoch, 1), … for `Crops`, so that each epoch has its own; `epoch` is asked when one begins."""

    def __init__(self, samples: int, epoch: Callable[[], int]) -> None:
        self.samples, self.epoch = samples, epoch

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch()
        return ((epoch, index) for index in range(self.samples))
