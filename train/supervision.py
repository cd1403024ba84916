"""Deep supervision: the loss looks at what a network reconstructs on the way to its output, too."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from edgesr.runtime.errors import InputError
from edgesr.runtime.resize import contributions

__all__ = ["DeepSupervision", "shrunk"]

Loss = Callable[[Tensor, Tensor], Tensor]


class DeepSupervision:
    """Of the loss, `share` is that of the reconstructions on the way, all their pixels taken together.

    share: from 0 (none) to 1, or [at the first step, at the last], between which it moves evenly.
    """

    def __init__(self, share: float | Sequence[float]) -> None:
        ends = (share, share) if isinstance(share, (int, float)) else tuple(share)
        if len(ends) != 2 or not all(0 <= end <= 1 for end in ends):
            raise InputError(
                f"model.deep_supervision is {share}; expected a share of the loss, 0 to 1, or two: the first and the last"
            )
        self.first, self.last = ends

    def __bool__(self) -> bool:
        return max(self.first, self.last) > 0

    def share(self, progress: float) -> float:
        """progress: from 0 at the first step to 1 at the last."""
        return self.first + (self.last - self.first) * min(1.0, progress)

    def __call__(self, loss: Loss, predictions: Sequence[Tensor], truth: Tensor, progress: float) -> Tensor:
        """predictions: as `Network.predictions` gives them. A smaller one's truth is the truth's bicubic reduction."""
        output, *others = predictions
        final, share = loss(output, truth), self.share(progress)
        if not others or not share:
            return final
        pixels = sum(other[0].numel() for other in others)
        sum_of_others = sum(
            (other[0].numel() / pixels) * loss(other, shrunk(truth, other.shape[-1])) for other in others
        )
        return (1 - share) * final + share * sum_of_others


def shrunk(frame: Tensor, width: int) -> Tensor:
    """(N, C, H, W) -> the ruler's bicubic reduction to that width, a whole part of the frame's; not rounded."""
    factor = frame.shape[-1] // width
    if factor == 1:
        return frame
    rows, columns = (_reduction(side, factor).to(frame) for side in frame.shape[-2:])
    return torch.einsum("hy,ncyx,wx->nchw", rows, frame, columns)


@lru_cache(maxsize=32)
def _reduction(size: int, factor: int) -> Tensor:
    """A side's reduction as a matrix, (size / factor, size)."""
    read, weight = contributions(size, size // factor, 1 / factor)
    matrix = np.zeros((size // factor, size))
    for tap, w in zip(read, weight, strict=True):
        np.add.at(matrix, (np.arange(len(matrix)), tap), w)
    return torch.from_numpy(matrix)
