"""Reading authors' state dicts: what several `published_keys` need."""

from collections.abc import Sequence

import torch
from torch import Tensor

from edgesr.runtime.errors import CheckpointMismatch
from edgesr.train.networks.blocks import DIV2K_MEAN, rgb_mean

__all__ = ["SPATIAL_ATTENTION", "renamed", "without_mean_shift"]

SPATIAL_ATTENTION = [
    (".conv1.", ".squeeze."),
    (".conv_f.", ".skip."),
    (".conv2.", ".stride."),
    (".conv_max.", ".coarse.0."),
    (".conv3.", ".coarse.1."),
    (".conv3_.", ".coarse.2."),
    (".conv4.", ".excite."),
]
"""The authors' names, RFDN's, and ours of the parts of a `SpatialAttention` with three coarse convolutions."""


def renamed(state: dict[str, Tensor], names: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """names: the authors' and ours, parts of a key, replaced in this order."""
    ours = {}
    for key, value in state.items():
        for theirs, our in names:
            key = key.replace(theirs, our)
        ours[key] = value
    return ours


def without_mean_shift(state: dict[str, Tensor], *, top: float = 1.0) -> dict[str, Tensor]:
    """Without `sub_mean` and `add_mean`, fixed 1x1 convolutions that take DIV2K_MEAN away and give it back.

    top: white, as the authors count it: 1 or 255. Raises CheckpointMismatch for another mean.
    """
    ours = {}
    for key, value in state.items():
        place, _, kind = key.partition(".")
        if place not in ("sub_mean", "add_mean"):
            ours[key] = value
            continue
        sign = -1.0 if place == "sub_mean" else 1.0
        fixed = torch.eye(3) if kind.endswith("weight") else sign * top * rgb_mean()
        if value.numel() != fixed.numel() or not torch.allclose(value.flatten(), fixed.flatten(), atol=1e-4 * top):
            raise CheckpointMismatch(f"{key} is not the mean of DIV2K, {DIV2K_MEAN}; this network has no other")
    return ours
