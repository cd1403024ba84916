"""Is what was converted still the same network? Asked on real image content, before anything is installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.errors import ParityFailed
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.quality import RULER, psnr
from edgesr.runtime.resize import upscale
from edgesr.runtime.sources import open_source
from edgesr.train.data.folders import network_input
from edgesr.train.networks import Network

__all__ = ["Parity", "check_parity", "frames_for_checks", "reference"]

MOST_DIFFERENCE = 1  # code values: a float sum that falls on the other side of .5
LEAST_PSNR_DB = 60.0


@dataclass(frozen=True)
class Parity:
    """Largest difference in code values, and PSNR in dB (infinite where all bytes are equal), at width x height."""

    width: int
    height: int
    difference: int
    psnr_db: float


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
    results = []
    for frame in frames:
        want, got = reference(network, frame), backend.infer(frame)
        difference = np.abs(want.astype(int) - got)
        parity = Parity(frame.shape[1], frame.shape[0], int(difference.max()), psnr(want, got))
        if parity.difference > MOST_DIFFERENCE or parity.psnr_db < LEAST_PSNR_DB:
            spread = ", ".join(f"{count} by {value}" for value, count in enumerate(np.bincount(difference.ravel())[:6]))
            raise ParityFailed(
                f"{backend.title} at {parity.width}x{parity.height} differs from PyTorch by up to {parity.difference} code values, "
                f"{parity.psnr_db:.1f} dB; expected {MOST_DIFFERENCE} and {LEAST_PSNR_DB:.0f} dB: nothing was written ({spread})"
            )
        results.append(parity)
    return results


def frames_for_checks(sizes: Sequence[tuple[int, int]], folder: Path | None = None) -> list[Pixels]:
    """One frame of each (width, height): cut from the images of a folder, or made by `pattern:`."""
    return [_from_folder(folder, *size) if folder else _from_pattern(*size) for size in sizes]


def _from_pattern(width: int, height: int) -> Pixels:
    with open_source(f"pattern:natural?size={width}x{height}&frames=1") as source:
        frame = source.read()
    assert frame is not None
    return frame.pixels


def _from_folder(folder: Path, width: int, height: int) -> Pixels:
    for file in image_files(folder):
        pixels, _ = read_image(file)
        if pixels.shape[0] >= height and pixels.shape[1] >= width:
            return np.ascontiguousarray(pixels[:height, :width])
    raise ParityFailed(f"no image in {folder} is {width}x{height} or larger; expected one to check the export with")
