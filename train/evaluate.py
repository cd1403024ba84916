"""PSNR and SSIM of a model on folders of images, by the field's ruler or as RDSRN's authors measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.runtime.backends import Backend
from edgesr.runtime.errors import MissingDependency
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.quality import RDSRN_RULER, RULER, Ruler, crop_to_multiple, psnr, ssim
from edgesr.runtime.resize import downscale
from edgesr.train.data.folders import network_input
from edgesr.train.networks import Network

__all__ = ["PROTOCOLS", "Protocol", "Score", "evaluate", "mean_score", "sharpen"]

ProtocolName = Literal["matlab", "rdsrn"]


@dataclass(frozen=True)
class Protocol:
    """How low resolution is made from uint8 BGR, and how Y is taken."""

    shrink: Callable[[Pixels, int], Pixels]
    ruler: Ruler


def pillow_downscale(pixels: Pixels, scale: int) -> Pixels:
    """Pillow's bicubic, which RDSRN's authors made their low resolution with."""
    try:
        image = import_module("PIL.Image")
    except ImportError as error:
        raise MissingDependency("--protocol rdsrn makes low resolution with Pillow: pip install pillow") from error
    height, width = pixels.shape[:2]
    small = image.fromarray(pixels).resize((width // scale, height // scale), image.Resampling.BICUBIC)
    return np.asarray(small)


PROTOCOLS: dict[str, Protocol] = {
    "matlab": Protocol(lambda pixels, scale: np.asarray(downscale(pixels, scale), np.uint8), RULER),
    "rdsrn": Protocol(pillow_downscale, RDSRN_RULER),
}


@dataclass(frozen=True)
class Score:
    """One image. Y of the unrounded output for a checkpoint (psnr_db), of the bytes for a deployed model (psnr_8bit_db);
    the other is None. SSIM is on Y of the rounded output in both cases."""

    image: str
    psnr_db: float | None
    psnr_8bit_db: float | None
    ssim: float


@torch.no_grad()
def sharpen(network: Network, low: Pixels, ruler: Ruler = RULER) -> NDArray[np.float64]:
    """uint8 (H, W, 3) BGR -> Y of the network's clipped, unrounded output, float64 (H*scale, W*scale), 0–255."""
    device = next(network.parameters()).device
    out = network(network_input(low, network.colour)[None].to(device))[0].clamp(0, 1)
    values = out.cpu().double().numpy() * 255
    return np.asarray(values[0]) if network.colour == "luma" else ruler.luma(values[::-1].transpose(1, 2, 0))


def evaluate(model: Network | Backend, folder: Path, protocol: Protocol) -> Iterator[Score]:
    """Score every image of a folder, in order of name. The border cut is as wide as the scale.

    Raises InputError for a folder without images or an image that is too small.
    """
    scale = model.spec.scale if isinstance(model, Backend) else model.scale
    for file in image_files(folder):
        high = np.asarray(crop_to_multiple(read_image(file)[0], scale), np.uint8)
        low, truth = protocol.shrink(high, scale), protocol.ruler.luma(high)
        if isinstance(model, Backend):
            luma = protocol.ruler.luma(model.infer(low))
            rounded = luma
        else:
            luma = sharpen(model, low, protocol.ruler)
            rounded = np.rint(luma)
        quality = psnr(luma, truth, border=scale)
        structure = ssim(rounded, truth, border=scale)
        unrounded, from_bytes = (None, quality) if isinstance(model, Backend) else (quality, None)
        yield Score(file.stem, unrounded, from_bytes, structure)


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean over images of every column that is filled."""

    def mean(column: Callable[[Score], Any]) -> Any:
        values = [column(score) for score in scores]
        return None if None in values else float(np.mean(values))

    return Score("mean", mean(lambda s: s.psnr_db), mean(lambda s: s.psnr_8bit_db), mean(lambda s: s.ssim))
