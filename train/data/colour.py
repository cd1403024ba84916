"""From the bytes of images to what a network is given: RGB, or the unrounded Y of BT.601, in 0–1."""

import numpy as np
import torch
from torch import Tensor

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.quality import RULER
from edgesr.runtime.spec import Colour

__all__ = ["network_batch", "network_input"]


def network_input(pixels: Pixels, colour: Colour) -> Tensor:
    """uint8 (H, W, 3) BGR -> float32 (C, H, W) in 0–1: RGB, or the unrounded Y of BT.601."""
    if colour == "luma":
        return torch.from_numpy((RULER.luma(pixels) / 255).astype(np.float32))[None]
    return torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1))).float() / 255


def network_batch(batch: Tensor, colour: Colour) -> Tensor:
    """uint8 or float (N, 3, H, W) RGB in 0–255, or (N, 1, H, W) Y in 16–235 -> float32 (N, C, H, W) in 0–1, on its device."""
    if colour == "rgb" and batch.shape[1] == 1:
        raise InputError("data.train holds Y alone, and the network takes RGB; prepare it without --luma")
    if colour == "rgb" or batch.shape[1] == 1:
        return batch.float() / 255
    weights = torch.tensor([RULER.red, RULER.green, RULER.blue], device=batch.device) / 255
    # Not as a matrix product: autocast and TF32 would round it.
    return (batch.float() * weights.view(1, 3, 1, 1)).sum(1, keepdim=True) + RULER.offset / 255
