"""What a network is taught by: the difference between its output and the truth, (N, C, H, W) in 0–1 -> a number."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError

__all__ = ["LOSSES", "LossName", "WeightedLoss"]

LossName = Literal["l1", "mse", "charbonnier", "frequency"]
CHARBONNIER_EPSILON = 1e-3
"""W.-S. Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution", CVPR 2017."""


def charbonnier(output: Tensor, truth: Tensor) -> Tensor:
    """Mean of sqrt(d² + ε²): L1 that is smooth at zero."""
    return torch.sqrt((output - truth) ** 2 + CHARBONNIER_EPSILON**2).mean()


def frequency(output: Tensor, truth: Tensor) -> Tensor:
    """L1 between real and imaginary parts of the two-dimensional Fourier transforms, not normalised.

    S.-J. Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring", ICCV 2021.
    """
    difference = torch.fft.rfft2(output - truth)  # the transform is linear
    return torch.view_as_real(difference).abs().mean()


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    "charbonnier": charbonnier,
    "frequency": frequency,
}


class WeightedLoss(nn.Module):
    """The sum of the named losses, each times its weight: {"l1": 1.0, "frequency": 0.05}; in float32, under autocast too."""

    def __init__(self, weights: Mapping[LossName, float]) -> None:
        super().__init__()
        if not weights or any(name not in LOSSES or not 0 < weight < inf for name, weight in weights.items()):
            known = ", ".join(LOSSES)
            raise InputError(f"loss {dict(weights)} is none; expected weights above 0 of: {known}, such as {{l1: 1}}")
        self.weights = dict(weights)

    def forward(self, output: Tensor, truth: Tensor) -> Tensor:
        output, truth = output.float(), truth.float()
        parts = [weight * LOSSES[name](output, truth) for name, weight in self.weights.items()]
        return torch.stack(parts).sum() if len(parts) > 1 else parts[0]
