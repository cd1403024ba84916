"""MATLAB's imresize: held against Pillow's bicubic, which has the same kernel and differs at the edges only."""

import subprocess
import sys

import numpy as np
import pytest

from edgesr.runtime.resize import _resize_bytes, bicubic_kernel, downscale, downscale_floats, imresize, upscale


def photo() -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.astronaut())


def matrix(size: int, new_size: int) -> np.ndarray:
    """One pass as a matrix (new_size, size), from the kernel's formula alone; edges mirrored."""
    out = np.zeros((new_size, size))
    scale = new_size / size
    for i in range(new_size):
        centre = (i + 0.5) / scale - 0.5
        for position in range(int(centre - 3 / scale), int(centre + 3 / scale) + 1):
            source = -1 - position if position < 0 else 2 * size - 1 - position if position >= size else position
            out[i, source] += bicubic_kernel(np.array([(centre - position) * scale]))[0]
    return out / out.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("size", "scale"), [(256, 1 / 2), (170, 1 / 3), (128, 1 / 4), (1024, 2.0), (2048, 4.0)])
def test_floats_equal_pillow_inside(size: int, scale: float) -> None:
    image = pytest.importorskip("PIL.Image")
    plane = photo()[: round(size / scale), : round(size / scale), 1].astype(np.float32)
    ours = imresize(plane, size, size, scale)
    theirs = np.asarray(image.fromarray(plane).resize((size, size), image.Resampling.BICUBIC))
    margin = max(4, round(4 * scale))
    assert np.abs(ours - theirs)[margin:-margin, margin:-margin].max() < 1e-3  # Pillow computes in float32


def test_bytes_are_rounded_after_each_pass_the_vertical_first() -> None:
    pixels = photo()[:64, :96]

    def settled(values: np.ndarray) -> np.ndarray:
        return np.floor(np.clip(values, 0, 255) + 0.5)

    floats = pixels.astype(np.float64)
    tall = settled(matrix(64, 16) @ floats.reshape(64, -1)).reshape(16, 96, 3)
    both = settled(np.einsum("ow,hwc->hoc", matrix(96, 24), tall))
    assert np.array_equal(downscale(pixels, 4), both.astype(np.uint8))


def test_edges_are_mirrored() -> None:
    ramp = np.arange(32, dtype=np.float64)[None].repeat(8, 0)
    mirrored = np.concatenate([ramp[:, ::-1], ramp, ramp[:, ::-1]], axis=1)
    assert np.allclose(imresize(ramp, 8, 8, 1 / 4)[0], imresize(mirrored, 24, 8, 1 / 4)[0, 8:16])


def test_floats_are_neither_rounded_nor_clipped() -> None:
    step = np.zeros((8, 8))
    step[:, 4:] = 255.0
    out = upscale(step, 4)
    assert out.dtype == np.float64 and out.min() < 0 and out.max() > 255


def test_constant_stays_constant_and_one_pixel_is_enough() -> None:
    assert (upscale(np.full((1, 1, 3), 77, np.uint8), 4) == 77).all()
    assert (downscale(np.full((5, 7, 3), 200, np.uint8), 3) == 200).all()
    assert downscale(np.zeros((5, 7, 3), np.uint8), 3).shape == (2, 3, 3)


def test_kernel_is_keys_with_a_half() -> None:
    assert bicubic_kernel(np.array([0.0, 1.0, 2.0, 1.5, 0.5])).tolist() == [1.0, 0.0, 0.0, -0.0625, 0.5625]


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (7, 50), (64, 96), (131, 67)])
def test_matrix_products_change_no_byte(size: tuple[int, int], scale: int) -> None:
    """At x3 many sums are halves: there the order of adding decides, and must be the plain one."""
    rng = np.random.default_rng(0)
    for pixels in (rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 2, size, np.uint8) * 255):
        for fast, new_scale in ((downscale, 1 / scale), (upscale, float(scale))):
            height, width = (-(-side // scale) if new_scale < 1 else side * scale for side in size)
            tall = _resize_bytes(pixels, height, new_scale).swapaxes(0, 1)
            assert np.array_equal(fast(pixels, scale), _resize_bytes(tall, width, new_scale).swapaxes(0, 1))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fast_floats_are_the_exact_ones(scale: int) -> None:
    pixels = np.random.default_rng(0).uniform(-50, 300, (61, 90, 3)).astype(np.float32)
    fast = downscale_floats(pixels, scale)
    assert fast.dtype == np.float32 and np.abs(fast - downscale(pixels, scale)).max() < 1e-3


ON_ITS_OWN = """
import time
import numpy as np
from edgesr.runtime.resize import upscale
pixels = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
for scale in (2, 3, 4, 8):
    upscale(pixels, scale)
    all_threads, this_one = time.process_time(), time.thread_time()
    for _ in range(100 // scale**2):
        upscale(pixels, scale)
    print(time.process_time() - all_threads, time.thread_time() - this_one)
"""


def test_it_computes_in_the_callers_thread_alone() -> None:
    """In a process of its own: OpenBLAS counts its cores when it is loaded."""
    told = subprocess.run([sys.executable, "-c", ON_ITS_OWN], capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        all_threads, this_one = map(float, line.split())
        assert all_threads < 1.2 * this_one + 0.005
