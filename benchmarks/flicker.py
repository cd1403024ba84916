"""Does a still scene stay still? A model that makes much of a sensor's noise flickers, and PSNR of single images tells nothing of it."""

from dataclasses import dataclass

import numpy as np

from edgesr.runtime.backends import Backend
from edgesr.runtime.frame import Pixels
from edgesr.runtime.sources import open_source

__all__ = ["METHOD", "Flicker", "measure_flicker"]

FRAMES = 9
NOISE = 2  # code values; about that of a small camera indoors

METHOD = (
    f"flicker: a still scene with a sensor's noise of deviation {NOISE}, {FRAMES} frames: mean absolute change of the result's "
    "bytes from frame to frame, in code values, and how many times that of the input it is; it falls where noise is smoothed "
    "away, detail with it"
)


@dataclass(frozen=True)
class Flicker:
    """levels: mean absolute change of the result from a frame to the next, in code values. ratio: of it to the input's."""

    levels: float
    ratio: float


def measure_flicker(backend: Backend, width: int, height: int) -> Flicker:
    """Raises what the backend has against the size, and FrameTooLarge."""
    address = f"pattern:natural?size={width}x{height}&frames={FRAMES}&scale=1&static=1&noise={NOISE}"
    low: list[float] = []
    high: list[float] = []
    before: tuple[Pixels, Pixels] | None = None
    with open_source(address) as source:
        for frame in source:
            now = frame.pixels.copy(), backend.infer(frame.pixels).copy()  # the next frame takes the place of both
            if before is not None:
                low.append(_change(before[0], now[0]))
                high.append(_change(before[1], now[1]))
            before = now
    return Flicker(float(np.mean(high)), float(np.mean(high) / np.mean(low)))


def _change(before: Pixels, now: Pixels) -> float:
    return float(np.abs(now.astype(np.int16) - before).mean())
