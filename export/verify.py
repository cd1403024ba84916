"""Is what was converted still the network that it was in PyTorch? The half that needs no torch: `parity.py`."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.export.parity import FP32, Parity, check_frame, frames_for_checks
from edgesr.runtime.backends.base import Backend
from edgesr.runtime.frame import Pixels
from edgesr.runtime.quality import RULER
from edgesr.runtime.resize import upscale
from edgesr.train.data.colour import network_input
from edgesr.train.networks import Network

__all__ = ["check_parity", "frames_for_checks", "reference"]


@torch.no_grad()
def reference(network: Network, pixels: Pixels) -> Pixels:
    """What a deployed graph should give, by PyTorch and our ruler: uint8 (H, W, 3) BGR -> uint8, scale times the size."""
    out = network(network_input(pixels, network.colour)[None])[0].double().numpy() * 255
    if network.colour == "rgb":
        bgr = out[::-1].transpose(1, 2, 0)
    else:
        bgr = out[0][..., None] * 255 / 219 + _chroma_part(pixels, network.scale)
    return np.asarray(np.rint(bgr).clip(0, 255), np.uint8)


def _chroma_part(pixels: Pixels, scale: int) -> NDArray[np.float64]:
    """What is left of bicubic BGR without its own luma; edges clamped, as a deployed graph does it."""
    margin = 4
    padded = np.pad(pixels.astype(np.float64), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    high = upscale(padded, scale)[margin * scale : -margin * scale, margin * scale : -margin * scale]
    return np.asarray(high - RULER.luma(high)[..., None] * 255 / 219)


def check_parity(network: Network, backend: Backend, frames: Sequence[Pixels]) -> list[Parity]:
    """Compare frame by frame; raises ParityFailed with the spread of the error at the first that differs too much."""
    network = network.eval()
    return [
        check_frame(
            frame, reference(network, frame), backend.infer(frame), FP32, model=backend.title, original="PyTorch"
        )
        for frame in frames
    ]
