"""A sensor's noise, made once and added to every frame at another place: cheap, seeded, and without a new array for a frame."""

import numpy as np

from edgesr.runtime.frame import Pixels

__all__ = ["Noise"]

SLACK = 61
"""A frame's noise is cut from a plane larger by this, at one of 62 x 62 places."""


class Noise:
    """Gaussian noise of `deviation` code values for frames of width x height."""

    def __init__(self, width: int, height: int, deviation: float, seed: int) -> None:
        plane = np.random.default_rng(seed).normal(0, deviation, (height + SLACK, width + SLACK, 3))
        self._plane = np.rint(plane).astype(np.int16)
        self._sum = np.empty((height, width, 3), np.int16)
        self._seed = seed

    def add(self, pixels: Pixels, index: int, out: Pixels) -> None:
        """`pixels` with the noise of frame `index` -> `out`; the same index has the same noise."""
        height, width, _ = pixels.shape
        x, y = np.random.default_rng((self._seed, index)).integers(0, SLACK + 1, 2)
        np.add(pixels, self._plane[y : y + height, x : x + width], out=self._sum)
        np.clip(self._sum, 0, 255, out=self._sum)
        np.copyto(out, self._sum, casting="unsafe")
