"""MATLAB's `imresize` with the bicubic kernel: the field's one ruler for making low resolution.

Two bicubics exist and must not be confused: this one (a = -0.5, widened when shrinking) and PyTorch's (a = -0.75).
R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 1981.
"""

from functools import lru_cache
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.frame import Pixels

__all__ = ["bicubic_kernel", "bicubic_taps", "downscale", "imresize", "upscale"]

KERNEL_RADIUS = 2.0


def bicubic_kernel(x: NDArray[np.float64], a: float = -0.5) -> NDArray[np.float64]:
    """Keys' cubic; zero from distance 2 on."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < KERNEL_RADIUS, far, 0.0))


def bicubic_taps(scale: int, a: float = -0.5) -> tuple[NDArray[np.float32], int]:
    """Up-sampling by a whole factor as a convolution: (scale, taps) weights around each pixel, and their radius."""
    radius = int(KERNEL_RADIUS)
    centre = (np.arange(scale) + 0.5) / scale - 0.5
    taps = bicubic_kernel(centre[:, None] - np.arange(-radius, radius + 1), a)
    return taps.astype(np.float32), radius


@lru_cache(maxsize=64)
def contributions(size: int, new_size: int, scale: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each of new_size outputs: which inputs (mirrored at the edges) it reads, and their weights.

    Both arrays are (taps, new_size); the weights of an output sum to 1.
    """
    stretch = min(scale, 1.0)  # antialias: the kernel grows by 1/scale when shrinking
    centre = (np.arange(new_size) + 0.5) / scale - 0.5
    taps = int(np.ceil(2 * KERNEL_RADIUS / stretch)) + 2
    first = np.floor(centre - KERNEL_RADIUS / stretch).astype(np.intp)
    position = first + np.arange(taps)[:, None]
    weight = stretch * bicubic_kernel(stretch * (centre - position))
    weight /= weight.sum(axis=0)
    mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    used = np.any(weight != 0, axis=1)
    return mirror[position[used] % (2 * size)], weight[used]


def _resize_rows(pixels: NDArray[np.float64], new_height: int, scale: float) -> NDArray[np.float64]:
    rows, weight = contributions(pixels.shape[0], new_height, scale)
    shape = (new_height,) + (1,) * (pixels.ndim - 1)
    out = np.zeros((new_height, *pixels.shape[1:]))
    for row, w in zip(rows, weight, strict=True):
        out += pixels[row] * w.reshape(shape)
    return out


@overload
def imresize(pixels: Pixels, width: int, height: int, scale: float) -> Pixels: ...
@overload
def imresize(pixels: NDArray[np.floating[Any]], width: int, height: int, scale: float) -> NDArray[np.float64]: ...
def imresize(pixels: NDArray[Any], width: int, height: int, scale: float) -> NDArray[Any]:
    """(H, W) or (H, W, C) -> (height, width[, C]), vertical pass first, edges mirrored.

    uint8 is rounded after each pass, as MATLAB does, and comes back as uint8; anything else is computed and
    returned as float64 without rounding or clipping.
    """
    rounded = pixels.dtype == np.uint8

    def settle(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.floor(np.clip(values, 0, 255) + 0.5) if rounded else values

    tall = settle(_resize_rows(pixels.astype(np.float64), height, scale))
    wide = settle(_resize_rows(tall.swapaxes(0, 1), width, scale)).swapaxes(0, 1)
    return np.ascontiguousarray(wide.astype(np.uint8) if rounded else wide)


@overload
def downscale(pixels: Pixels, scale: int) -> Pixels: ...
@overload
def downscale(pixels: NDArray[np.floating[Any]], scale: int) -> NDArray[np.float64]: ...
def downscale(pixels: NDArray[Any], scale: int) -> NDArray[Any]:
    """1/scale of the size, rounded up, as MATLAB's imresize(pixels, 1/scale)."""
    height, width = (-(-side // scale) for side in pixels.shape[:2])
    return imresize(pixels, width, height, 1 / scale)


@overload
def upscale(pixels: Pixels, scale: int) -> Pixels: ...
@overload
def upscale(pixels: NDArray[np.floating[Any]], scale: int) -> NDArray[np.float64]: ...
def upscale(pixels: NDArray[Any], scale: int) -> NDArray[Any]:
    """scale times the size, as MATLAB's imresize(pixels, scale): the baseline every network must beat."""
    height, width = pixels.shape[:2]
    return imresize(pixels, width * scale, height * scale, float(scale))
