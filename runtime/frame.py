"""What travels through the pipeline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "Pixels"]

Pixels = NDArray[np.uint8]
"""uint8, (H, W, 3), BGR."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture with its place in the stream.

    pixels: uint8 (H, W, 3) BGR; belongs to whoever made the frame until the next one is asked for.
    index: counts from 0 at the source, dropped frames included.
    captured_ns: `time.perf_counter_ns()` when the source had it.
    time_s: place in the stream in seconds, from the file's own timestamps; None for images and cameras.
    name: file name without suffix where frames are files; else "".
    """

    pixels: Pixels
    index: int
    captured_ns: int
    time_s: float | None = None
    name: str = ""
