"""Quality beside speed: of the bytes that the measured backend itself gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesr.runtime.backends import Backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.quality import RULER, crop_to_multiple, psnr, ssim
from edgesr.runtime.resize import downscale

__all__ = ["METHOD", "Quality", "Refused", "data_names", "measure_quality"]

METHOD = (
    "PSNR and SSIM on Y (BT.601, MATLAB's), border of `scale` pixels cut, of the backend's 8-bit output; "
    "low resolution by MATLAB's bicubic from images cropped to a multiple of the scale; mean over the images"
)


@dataclass(frozen=True)
class Quality:
    """Means over the images of a folder; `data` is its name in tables."""

    data: str
    images: int
    psnr_db: float
    ssim: float


class Refused(InputError):
    """The model cannot take an image of the folder, or the ruler cannot, so there is no mean over it."""


def measure_quality(backend: Backend, folder: Path, name: str) -> Quality:
    """Raises Refused, and for a folder or image that cannot be read MissingFile, InputError, UnreadableImage."""
    scale = backend.spec.scale
    psnrs, ssims = [], []
    for file in image_files(folder):
        image, _ = read_image(file)
        try:
            high = crop_to_multiple(image, scale)
            out = backend.infer(np.asarray(downscale(high, scale), np.uint8))
            ours, truth = RULER.luma(out), RULER.luma(high)
            psnrs.append(psnr(ours, truth, scale))
            ssims.append(ssim(ours, truth, scale))
        except InputError as error:
            raise Refused(f"{name}/{file.name}: {error}") from error
    return Quality(name, len(psnrs), float(np.mean(psnrs)), float(np.mean(ssims)))


def data_names(folders: Sequence[Path]) -> list[str]:
    """Names for tables: the folder's own, or the whole path where two are called alike."""
    short = [folder.resolve().name for folder in folders]
    return [name if short.count(name) == 1 else str(folder) for name, folder in zip(short, folders, strict=True)]
