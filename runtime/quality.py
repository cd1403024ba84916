"""PSNR and SSIM as the super-resolution literature takes them: on Y of BT.601, border of `scale` pixels cut."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError

__all__ = ["RDSRN_RULER", "RULER", "Ruler", "crop_to_multiple", "inside_border", "psnr", "ssim"]

Floats = NDArray[np.float64]
Sample = TypeVar("Sample", bound=np.generic)


@dataclass(frozen=True)
class Ruler:
    """How Y is taken from 0–255 RGB: offset + (red R + green G + blue B)."""

    name: str
    red: float
    green: float
    blue: float
    offset: float = 16.0

    def luma(self, bgr: NDArray[np.generic]) -> Floats:
        """(H, W, 3) BGR in 0–255, integer or float -> (H, W) float64, 16–235, not rounded."""
        b, g, r = (bgr[..., channel].astype(np.float64) for channel in range(3))
        return self.offset + self.red * r + self.green * g + self.blue * b

    def grey(self, luma: Floats) -> Floats:
        """Y of a grey picture -> its grey: 16–235 -> 0–255."""
        return (luma - self.offset) / (self.red + self.green + self.blue)


RULER = Ruler("matlab", 65.481 / 255, 128.553 / 255, 24.966 / 255)
"""MATLAB's rgb2ycbcr, which the field uses."""

RDSRN_RULER = Ruler("rdsrn", 64.738 / 256, 129.057 / 256, 25.064 / 256)
"""What RDSRN's authors measured with; 64.738 should read 65.738, which is worth about 0.04 dB."""


def crop_to_multiple(pixels: NDArray[Sample], multiple: int) -> NDArray[Sample]:
    """The top left part of (H, W[, C]) whose sides are multiples; raises InputError where nothing is left."""
    height, width = (side - side % multiple for side in pixels.shape[:2])
    if not height or not width:
        raise InputError(f"the image is {pixels.shape[1]}x{pixels.shape[0]}; x{multiple} needs {multiple}x{multiple}")
    return pixels[:height, :width]


def inside_border(a: NDArray[Any], b: NDArray[Any], border: int) -> tuple[Floats, Floats]:
    """Two images of one shape without their border, as float64; raises InputError for others, or where nothing is left."""
    if a.shape != b.shape:
        raise InputError(f"images of {a.shape} and {b.shape} cannot be compared; expected equal shapes")
    if min(a.shape[:2]) <= 2 * border:
        raise InputError(f"an image of {a.shape[1]}x{a.shape[0]} is too small for a cut border of {border} pixels")
    inside = slice(border, -border or None)
    return a[inside, inside].astype(np.float64), b[inside, inside].astype(np.float64)


def psnr(a: NDArray[np.generic], b: NDArray[np.generic], border: int = 0) -> float:
    """dB for a peak of 255, over all samples of two equal shapes; infinite where they are the same."""
    x, y = inside_border(a, b, border)
    error = float(np.mean((x - y) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def ssim(a: NDArray[np.generic], b: NDArray[np.generic], border: int = 0) -> float:
    """Mean SSIM of two (H, W) planes in 0–255: 11x11 Gaussian window of sigma 1.5, valid positions only.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004.
    """
    x, y = inside_border(a, b, border)
    if min(x.shape) < 11:
        raise InputError(f"SSIM's window is 11x11; the image inside its border is {x.shape[1]}x{x.shape[0]}")
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _gaussian(x), _gaussian(y)
    var_x = _gaussian(x * x) - mean_x**2
    var_y = _gaussian(y * y) - mean_y**2
    covariance = _gaussian(x * y) - mean_x * mean_y
    score = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    score /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(np.mean(score))


def _gaussian(plane: Floats) -> Floats:
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    for _ in range(2):  # separable: rows, then columns
        length = plane.shape[0] - 10
        plane = sum((w * plane[i : i + length] for i, w in enumerate(window)), np.zeros((length, plane.shape[1]))).T
    return plane
