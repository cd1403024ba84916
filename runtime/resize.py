"""MATLAB's `imresize` with the bicubic kernel: the field's one ruler for making low resolution.

Two bicubics exist and must not be confused: this one (a = -0.5, widened when shrinking) and PyTorch's (a = -0.75).
R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 1981.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, overload

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edgesr.runtime.frame import Pixels

__all__ = ["bicubic_kernel", "bicubic_taps", "downscale", "downscale_floats", "imresize", "upscale"]

KERNEL_RADIUS = 2.0

BLOCK, BLOCK_MARGIN = 16, 3  # output pixels (input pixels when enlarging) of one matrix product, and those around them
STRIP = 4096  # columns at a time, so that a large image does not leave the processor's cache
ALONE = 2**18  # multiplications of one product: OpenBLAS shares larger ones among all cores
TIE = 1e-6  # from a half: the order of adding moves a sum by less than 1e-12


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


def _resize_rows(pixels: NDArray[Any], new_height: int, scale: float) -> NDArray[np.float64]:
    rows, weight = contributions(pixels.shape[0], new_height, scale)
    shape = (new_height,) + (1,) * (pixels.ndim - 1)
    out = np.zeros((new_height, *pixels.shape[1:]))
    for row, w in zip(rows, weight, strict=True):
        out += pixels[row] * w.reshape(shape)
    return out


def _settled(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Rounded half up, as MATLAB does with what is positive; `values` is used up."""
    np.clip(values, 0, 255, out=values)
    values += 0.5
    return values.astype(np.uint8)


def _resize_bytes(pixels: NDArray[np.uint8], new_height: int, scale: float) -> NDArray[np.uint8]:
    return _settled(_resize_rows(pixels, new_height, scale))


@lru_cache(maxsize=16)
def _block(scale: float) -> tuple[NDArray[np.floating[Any]], int, int]:
    """A whole factor's weights for one block: a matrix (outputs, inputs), how many of the inputs lie before the block's
    own, and how many are the block's own.

    In float32 where sums of bytes so weighted are exact in whatever order, as at x2 and x4; else in float64.
    """
    step, grown = (round(1 / scale), 1) if scale < 1 else (1, round(scale))
    size, margin = (BLOCK + 2 * BLOCK_MARGIN) * step, BLOCK_MARGIN * step
    rows, weight = contributions(size, size * grown // step, scale)
    matrix = np.zeros((size * grown // step, size))
    for row, w in zip(rows, weight, strict=True):
        np.add.at(matrix, (np.arange(len(matrix)), row), w)
    matrix = matrix[BLOCK_MARGIN * grown : -BLOCK_MARGIN * grown]
    return (matrix.astype(np.float32) if _is_exact(matrix) else matrix), margin, BLOCK * step


def _is_exact(matrix: NDArray[np.float64]) -> bool:
    """Whether the weights are whole multiples of a power of a half, and all sums fit into the 24 bits of a float32."""
    for digits in range(16):
        whole = matrix * 2**digits
        if np.array_equal(whole, np.rint(whole)):
            return bool(np.abs(whole).sum(axis=1).max() * 255 < 2**24)
    return False


def _resize_bytes_by_blocks(pixels: NDArray[np.uint8], new_height: int, scale: float) -> NDArray[np.uint8]:
    """`_resize_bytes` to the bit, for a whole factor: matrix products of blocks.

    They add up in another order. Where that could decide a rounding, the sum is taken again in order.
    """
    matrix = _block(scale)[0]
    columns = pixels.reshape(len(pixels), -1)
    out = np.empty((new_height, columns.shape[1]), np.uint8)
    for first in range(0, columns.shape[1], STRIP):
        strip = columns[:, first : first + STRIP]
        values = _products(strip, new_height, scale, matrix.dtype)
        if matrix.dtype != np.float32:
            _decide_ties(values, strip, scale)
        out[:, first : first + STRIP] = _settled(values)
    return out.reshape(new_height, *pixels.shape[1:])


def _products(
    columns: NDArray[Any], new_height: int, scale: float, dtype: np.dtype[np.floating[Any]]
) -> NDArray[np.floating[Any]]:
    """(H, N) -> (new_height, N): block after block of rows as a matrix times the rows that it reads, a few columns at a time."""
    matrix, _, stride = _block(scale)
    high, deep = matrix.shape
    blocks, count = -(-new_height // high), columns.shape[1]
    turns = -(-count // max(16, ALONE // matrix.size))
    wide = -(-count // turns)
    read = np.zeros((stride * (blocks - 1) + deep, turns * wide), dtype)
    read[:, :count] = columns[_block_rows(len(columns), new_height, scale)]
    row, item = read.strides
    windows = as_strided(read, (blocks, turns, deep, wide), (stride * row, wide * item, row, item), writeable=False)
    values = np.empty((blocks * high, turns * wide), dtype)
    into = values.reshape(blocks, high, turns, wide).transpose(0, 2, 1, 3)
    np.matmul(matrix.astype(dtype, copy=False), windows, out=into)
    return values[:new_height, : columns.shape[1]]


@lru_cache(maxsize=64)
def _block_rows(size: int, new_height: int, scale: float) -> NDArray[np.intp]:
    """The input rows of all blocks, their margins included, mirrored at the edges."""
    matrix, margin, stride = _block(scale)
    mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    return mirror[np.arange(-margin, -(-new_height // len(matrix)) * stride + margin) % (2 * size)]


def _decide_ties(values: NDArray[np.floating[Any]], pixels: NDArray[np.uint8], scale: float) -> None:
    """Take the sums that are nearly a half again, in the order of `_resize_rows`."""
    rows, weight = contributions(len(pixels), len(values), scale)
    row, column = np.nonzero(np.abs(values - np.rint(values)) > 0.5 - TIE)
    again = np.zeros(len(row))
    for tap, w in zip(rows, weight, strict=True):
        again += pixels[tap[row], column] * w[row]
    values[row, column] = again


@overload
def imresize(pixels: Pixels, width: int, height: int, scale: float) -> Pixels: ...
@overload
def imresize(pixels: NDArray[np.floating[Any]], width: int, height: int, scale: float) -> NDArray[np.float64]: ...
def imresize(pixels: NDArray[Any], width: int, height: int, scale: float) -> NDArray[Any]:
    """(H, W) or (H, W, C) -> (height, width[, C]), vertical pass first, edges mirrored.

    uint8 is rounded after each pass, as MATLAB does, and comes back as uint8; anything else is computed and
    returned as float64 without rounding or clipping.
    """
    resize: Callable[[NDArray[Any], int, float], NDArray[Any]] = _resize_rows
    if pixels.dtype == np.uint8:
        factor = max(scale, 1 / scale)
        resize = _resize_bytes_by_blocks if abs(factor - round(factor)) < 1e-9 else _resize_bytes
    tall = resize(pixels, height, scale)
    return np.ascontiguousarray(resize(tall.swapaxes(0, 1), width, scale).swapaxes(0, 1))


@overload
def downscale(pixels: Pixels, scale: int) -> Pixels: ...
@overload
def downscale(pixels: NDArray[np.floating[Any]], scale: int) -> NDArray[np.float64]: ...
def downscale(pixels: NDArray[Any], scale: int) -> NDArray[Any]:
    """1/scale of the size, rounded up, as MATLAB's imresize(pixels, 1/scale)."""
    height, width = (-(-side // scale) for side in pixels.shape[:2])
    return imresize(pixels, width, height, 1 / scale)


def downscale_floats(pixels: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """`downscale` of floats in float32, five times as fast: within 0.001 code values of it."""
    for _ in range(2):  # rows, then columns, which lie as rows after the first turn
        height = -(-len(pixels) // scale)
        values = _products(pixels.reshape(len(pixels), -1), height, 1 / scale, np.dtype(np.float32))
        pixels = np.asarray(values, np.float32).reshape(height, *pixels.shape[1:]).swapaxes(0, 1)
    return np.ascontiguousarray(pixels)


@overload
def upscale(pixels: Pixels, scale: int) -> Pixels: ...
@overload
def upscale(pixels: NDArray[np.floating[Any]], scale: int) -> NDArray[np.float64]: ...
def upscale(pixels: NDArray[Any], scale: int) -> NDArray[Any]:
    """scale times the size, as MATLAB's imresize(pixels, scale): the baseline every network must beat."""
    height, width = pixels.shape[:2]
    return imresize(pixels, width * scale, height * scale, float(scale))
