"""Random crops, and the order in which they are asked for: both functions of (seed, epoch, index) alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import opencv
from edgesr.train.data.degradations import Chain
from edgesr.train.data.stores import Store

__all__ = ["Batches", "Crops", "Place"]

Place = tuple[int, int]
"""(epoch, index) of a sample."""
FLIPS = {False: (None, 0, -1, 1), True: (1, None, 0, -1)}
"""Mirrored or not: for none to three quarter turns, what OpenCV has still to flip (0: rows, 1: columns, -1: both) when odd ones
have been transposed."""


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Random crops, flipped and turned: low (N, 3, patch, patch) and high, `scale` times as wide, uint8 RGB; of a store
    of Y alone, (N, 1, …) float32 in 16–235.

    A sample is asked for by (epoch, index), and depends on (seed, epoch, index) alone, whoever asks and when.
    Images are drawn by their area.

    patch: side of the low-resolution crop in pixels; images smaller than it are left out.
    chain: makes the low resolution anew from the high; None: that of the store.
    """

    def __init__(self, store: Store, *, patch: int, seed: int, chain: Chain | None = None) -> None:
        if chain is not None and (store.channels == 1 or store.same_size):
            raise InputError(
                "degradations start from images in colour; leave data.degradations out, or prepare the set anew"
            )
        self.store, self.scale, self.patch, self.seed, self.chain = store, store.scale, patch, seed, chain
        sizes = np.array([store.size(i) for i in range(len(store))]).reshape(-1, 2)
        self.usable = np.flatnonzero(sizes.min(axis=1) >= patch)
        if not len(self.usable):
            side = patch * self.scale
            raise InputError(f"none of {len(store)} images is {side} pixels wide and high; use a smaller patch")
        area = sizes[self.usable].prod(axis=1).astype(np.float64)
        self.chance = np.cumsum(area / area.sum())

    def __getitem__(self, place: Place) -> tuple[Tensor, Tensor]:
        low, high = self.__getitems__([place])
        return low[0], high[0]

    def __getitems__(self, places: Sequence[Place]) -> tuple[Tensor, Tensor]:
        """A batch at once; PyTorch's loader calls it where it is there."""
        side, channels = self.patch * self.scale, self.store.channels
        dtype = np.uint8 if channels == 3 else np.float32
        low = np.empty((len(places), self.patch, self.patch, channels), dtype)
        high = np.empty((len(places), side, side, channels), dtype)
        for i, place in enumerate(places):
            low[i], high[i] = self._crop(np.random.default_rng((self.seed, *place)))
        return torch.from_numpy(low).permute(0, 3, 1, 2), torch.from_numpy(high).permute(0, 3, 1, 2)

    def _crop(self, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        drawn = min(int(self.chance.searchsorted(rng.random())), len(self.usable) - 1)
        index, patch, scale = int(self.usable[drawn]), self.patch, self.scale
        height, width = self.store.size(index)
        top, left = int(rng.integers(height - patch + 1)), int(rng.integers(width - patch + 1))
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        if self.chain is None:
            low = self.store.low(index, top, left, patch, patch)
            high = self.store.high(index, top * scale, left * scale, patch * scale, patch * scale)
        else:
            low, high = self._degraded(self.chain, index, top, left, rng)
        return _turned(low, flip, turns), _turned(high, flip, turns)

    def _degraded(
        self, chain: Chain, index: int, top: int, left: int, rng: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        """The crop is degraded with a margin around it, as far as the image goes, and cut out afterwards."""
        patch, scale = self.patch, self.scale
        margin = -(-chain.margin(scale) // scale)
        height, width = self.store.size(index)
        above, before = min(margin, top), min(margin, left)
        tall = min(height, top + patch + margin) - (top - above)
        wide = min(width, left + patch + margin) - (left - before)
        around = self.store.high(index, (top - above) * scale, (left - before) * scale, tall * scale, wide * scale)
        low = chain(around, scale, rng)[above : above + patch, before : before + patch]
        inside = slice(above * scale, (above + patch) * scale), slice(before * scale, (before + patch) * scale)
        return low, around[inside]


def _turned(image: Pixels, flip: bool, turns: int) -> Pixels:
    """BGR -> RGB, mirrored left to right where `flip` says so, then turned anticlockwise.

    By OpenCV: numpy's views cost nothing, but to copy one byte by byte takes eight times as long as all this.
    """
    cv2 = opencv()
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image
    if turns % 2:
        image = cv2.transpose(image)
    axis = FLIPS[flip][turns]
    turned: NDArray[Any] = image if axis is None else cv2.flip(image, axis)
    return turned if turned.ndim == 3 else turned[..., None]


class Batches(Sampler[list[Place]]):
    """The places of each batch of an epoch, for one of `world` processes that share the samples.

    position: how many batches the run has done, asked when an epoch begins; a run that is resumed within an epoch begins there.
    accumulate: batches whose gradients make one step.
    The samples that are left when all processes have had the batches of a whole step are not drawn.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        position: Callable[[], int],
        *,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
    ) -> None:
        self.batch_size, self.position, self.rank, self.world = batch_size, position, rank, world
        self.batches = samples // (batch_size * world * accumulate) * accumulate
        if not self.batches:
            batches = "1 batch" if accumulate == 1 else f"{accumulate} batches"
            raise InputError(
                f"an epoch of {samples} samples is too short for {batches} of {batch_size} for each of {world} processes; "
                "raise data.samples_per_epoch"
            )

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Place]]:
        epoch, first = divmod(self.position(), self.batches)
        for batch in range(first, self.batches):
            start = (batch * self.world + self.rank) * self.batch_size
            yield [(epoch, start + i) for i in range(self.batch_size)]
