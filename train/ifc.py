"""IFC, the information fidelity criterion: how many bits of the true picture can be read off the other one.

H. R. Sheikh, A. C. Bovik, G. de Veciana, "An information fidelity criterion for image quality assessment using natural
scene statistics", IEEE TIP 2005.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.installed import pip_install
from edgesr.runtime.memory import check_fits
from edgesr.runtime.quality import inside_border

__all__ = ["MIN_SIDE", "ifc"]

Floats = NDArray[np.float64]

LEVELS = 4
MIN_SIDE = 72
"""Pixels: the pyramid's low-pass filter, nine taps wide, is applied at an eighth of the size too."""
ORIENTATIONS = (0, 3)
"""Across and along, of the six that a steerable pyramid of order 5 has."""
BLOCK = 3
FLAT = 1e-15
"""Variance below which a window of the true picture holds nothing."""
NOISE = 1e-10
"""Added to the distortion's variance: where both pictures are equal, the bits stay finite."""
BYTES_PER_PIXEL = 220
"""At the worst moment: while a band's overlapping blocks lie side by side; measured 212 at 2040x1356."""


def ifc(picture: NDArray[np.generic], truth: NDArray[np.generic], border: int = 0) -> float:
    """Bits a pixel, of two (H, W) planes of Y in 0–255; larger is better, no upper limit. Not symmetric.

    The field's IFC, which is the program that the criterion's authors published rather than their paper: subbands across and
    along on all four levels of a spatial steerable pyramid (order 5, edges mirrored), blocks of 3x3 coefficients, the distortion
    estimated in windows of 17, 9, 5 and 3 coefficients from the finest level to the coarsest, what such windows take from
    beyond the edge left out, all nine eigenvalues, log2 without the paper's factor 1/2, divided by the pixels.

    Takes a second for 512x512. Raises InputError for planes that cannot be compared or are too small, FrameTooLarge,
    MissingDependency.
    """
    x, y = inside_border(truth, picture, border)
    height, width = x.shape
    if min(x.shape) < MIN_SIDE:
        raise InputError(f"IFC needs {MIN_SIDE}x{MIN_SIDE} pixels; the image inside its border is {width}x{height}")
    check_fits(x.size * BYTES_PER_PIXEL, f"the IFC of {width}x{height}")
    bands = zip(_bands(x), _bands(y), strict=True)
    return sum(_information(a, b, window) for (a, window), (b, _) in bands) / x.size


def _pyrtools() -> Any:
    try:
        return import_module("pyrtools")
    except (ImportError, OSError) as error:  # OSError: its compiled part is for another machine
        raise MissingDependency(f"IFC needs pyrtools ({error}): {pip_install('ifc')}") from error


def _bands(plane: Floats) -> list[tuple[Floats, int]]:
    """The subbands, cropped to whole blocks, each with the side of its window; from the finest to the coarsest."""
    coefficients = _pyrtools().pyramids.SteerablePyramidSpace(plane, height=LEVELS, order=5).pyr_coeffs
    bands = []
    for level in range(LEVELS):
        for orientation in ORIENTATIONS:
            band = coefficients[level, orientation]
            height, width = (side - side % BLOCK for side in band.shape)
            bands.append((np.ascontiguousarray(band[:height, :width]), 2 ** (LEVELS - level) + 1))
    return bands


def _information(truth: Floats, picture: Floats, window: int) -> float:
    """Bits of one subband: log2(1 + g² s² λ / v) over its blocks and eigenvalues."""
    eigenvalues, energy = _source(truth)
    gain, noise = _channel(truth, picture, window)
    edge = -(-(window // 2) // BLOCK)
    inner = slice(edge, -edge)
    ratio = (gain**2 * energy / noise)[inner, inner]
    return sum(float(np.log2(1 + ratio * value).sum()) for value in eigenvalues)


def _source(band: Floats) -> tuple[Floats, Floats]:
    """The true picture as a Gaussian scale mixture: eigenvalues λ of the blocks' covariance, and s² of each block."""
    height, width = band.shape
    shifts = [(dy, dx) for dx in range(BLOCK) for dy in range(BLOCK)]
    across, down = width - BLOCK + 1, height - BLOCK + 1
    overlapping = np.stack([band[dy : dy + down, dx : dx + across].ravel() for dy, dx in shifts])
    overlapping -= overlapping.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(overlapping @ overlapping.T / overlapping.shape[1])
    some = values > max(values[-1] * 1e-13, FLAT)  # a flat picture has none
    blocks = np.stack([band[dy::BLOCK, dx::BLOCK] for dy, dx in shifts])
    along = np.tensordot(vectors[:, some].T, blocks, axes=1)
    energy = np.tensordot(1 / values[some], along**2, axes=1) / BLOCK**2
    return values[some], energy


def _channel(truth: Floats, picture: Floats, window: int) -> tuple[Floats, Floats]:
    """The distortion as a channel: for each block gain g and variance v of picture = g truth + noise around its middle."""
    mean_x, mean_y, square_x, square_y, product = _window_means(truth, picture, window)
    variance = square_x - mean_x**2
    covariance = product - mean_x * mean_y
    gain = np.maximum(covariance, 0) / np.maximum(variance, FLAT)
    gain[variance < FLAT] = 0
    noise = np.maximum(square_y - mean_y**2 - gain * covariance, 0) + NOISE
    return gain, noise


def _window_means(x: Floats, y: Floats, window: int) -> Iterator[Floats]:
    """Means of x, y, x², y² and xy in the window around the middle of each block."""
    box = np.full((window, window), 1 / window**2)
    middle = BLOCK // 2
    last = tuple(side - middle for side in x.shape)
    for plane in (x, y, x * x, y * y, x * y):
        yield _pyrtools().corrDn(plane, box, step=(BLOCK, BLOCK), start=(middle, middle), stop=last)
