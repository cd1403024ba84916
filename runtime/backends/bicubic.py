"""MATLAB's bicubic as a model: the baseline every network must beat, and a public fake for tests."""

import time

import numpy as np

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.frame import Pixels
from edgesr.runtime.memory import check_fits
from edgesr.runtime.resize import upscale
from edgesr.runtime.spec import ModelSpec

__all__ = ["BicubicBackend"]

BYTES_PER_PIXEL = 80
"""Of the output, at the worst moment: three channels in float64, three times; measured 78 at 4000x4000."""


class BicubicBackend(Backend):
    """`edgesr.runtime.resize.upscale` by a whole factor."""

    def __init__(self, scale: int = 4) -> None:
        self.spec = ModelSpec(
            name="bicubic",
            scale=scale,
            colour="rgb",
            parameters=0,
            multiply_adds_per_pixel=3 * 4 * (scale + scale**2),  # channels, taps, vertical and horizontal pass
            receptive_field=2,
        )
        self.title = f"bicubic x{scale}"
        self.network_ns = 0
        self.settings = {"backend": "bicubic", "threads": 1}
        self.bytes_per_pixel = BYTES_PER_PIXEL * scale**2

    def infer(self, pixels: Pixels) -> Pixels:
        self.check(pixels)
        height, width, _ = pixels.shape
        check_fits(width * height * self.bytes_per_pixel, f"{width}x{height} through {self.title}")
        start = time.perf_counter_ns()
        out = np.asarray(upscale(pixels, self.spec.scale), np.uint8)
        self.network_ns = time.perf_counter_ns() - start
        return out
