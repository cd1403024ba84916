"""Batches of several scales: each has one, drawn by (seed, epoch, batch) alone, so that all processes draw the same."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from edgesr.runtime.quality import crop_to_multiple
from edgesr.runtime.resize import downscale
from edgesr.train.data.crops import Crops, Place
from edgesr.train.data.stores import Memory, Paired, Store, open_store

__all__ = ["MultiScaleCrops", "open_at_scales"]

STREAM = 0x5CA1E
"""Keeps the draws of scales apart from those of crops, which begin with the same seed."""


class MultiScaleCrops(Dataset[tuple[Tensor, Tensor]]):
    """The crops of each scale; a batch is of one.

    together: samples of a batch, of all processes; they have neighbouring indices.
    """

    def __init__(self, by_scale: Mapping[int, Crops], *, seed: int, together: int) -> None:
        self.by_scale, self.seed, self.together = dict(by_scale), seed, together

    def scale_of(self, place: Place) -> int:
        epoch, index = place
        scales = list(self.by_scale)
        rng = np.random.default_rng((STREAM, self.seed, epoch, index // self.together))
        return scales[int(rng.integers(len(scales)))]

    def __getitem__(self, place: Place) -> tuple[Tensor, Tensor]:
        return self.by_scale[self.scale_of(place)][place]

    def __getitems__(self, places: Sequence[Place]) -> tuple[Tensor, Tensor]:
        """A batch at once; PyTorch's loader calls it where it is there."""
        return self.by_scale[self.scale_of(places[0])].__getitems__(places)


def open_at_scales(
    entry: str | Paired, root: Path, scales: Sequence[int], *, skip_unreadable: bool = False
) -> dict[int, Store]:
    """`open_store` at each scale, the first one's images being shared with the others where they are in memory."""
    first = open_store(entry, root, scales[0], skip_unreadable=skip_unreadable)
    stores: dict[int, Store] = {scales[0]: first}
    for scale in scales[1:]:
        if isinstance(first, Memory) and not isinstance(entry, Paired):
            stores[scale] = _rescaled(first, scale)
        else:
            stores[scale] = open_store(entry, root, scale, skip_unreadable=skip_unreadable)
    return stores


def _rescaled(store: Memory, scale: int) -> Memory:
    """The same images; they lose the few pixels at the end that are too many for both scales."""
    highs = [crop_to_multiple(high, scale) for _, high in store.pairs]
    return Memory([(downscale(high, scale), high) for high in highs], store.names, scale)
