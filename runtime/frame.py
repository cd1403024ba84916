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
    captured_ns: `time.perf_counter_ns()` when the source had it; of a live source, when it arrived, before it was decoded.
    time_s: place in the stream in seconds, from the file's own timestamps; None for images and cameras.
    name: file name without suffix where frames are files; else "".
    decoded_ns: when a live source had decoded it; 0 where nothing is decoded or the time is unknown.
    low: in a stream's sinks, what the network was given, for a comparison; lives as long as `pixels`.
    """

    pixels: Pixels
    index: int
    captured_ns: int
    time_s: float | None = None
    name: str = ""
    decoded_ns: int = 0
    low: Pixels | None = None
