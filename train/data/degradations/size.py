"""Changes of size: the ruler's bicubic, which brings the low resolution, and a detour over another size."""

from dataclasses import dataclass, field
from math import ceil

import numpy as np

from edgesr.runtime.errors import InputError
from edgesr.runtime.images import opencv
from edgesr.runtime.resize import downscale, downscale_floats
from edgesr.train.data.degradations.base import Frames, Image, Span, Step, as_bytes, as_floats, between, draw, ends

__all__ = ["Bicubic", "Resize"]


@dataclass(frozen=True, kw_only=True)
class Bicubic(Step):
    """MATLAB's, the ruler's, to 1/scale.

    rounded: to bytes before it and after each of its passes, as the ruler does; else floats go on as they are."""

    rounded: bool = True

    kind, reduces = "bicubic", True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probability != 1:
            raise InputError("degradation bicubic: the reduction is done always; leave its probability out")

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        if self.rounded:
            return [downscale(as_bytes(frame), pitch) for frame in frames]
        return [downscale_floats(as_floats(frame), pitch) for frame in frames]

    def reach(self, pitch: int) -> int:
        return 2 * pitch


@dataclass(frozen=True, kw_only=True)
class Resize(Step):
    """To `factor` of the size, by area where it shrinks, and back, bilinear: a sensor or a stream of another size."""

    factor: Span = field(metadata=between(0.1, 4))

    kind, main = "resize", "factor"

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        factor = draw(self.factor, rng)
        return [_there_and_back(frame, factor) for frame in frames]

    def reach(self, pitch: int) -> int:
        return ceil(2 / min(1.0, ends(self.factor)[0]))


def _there_and_back(image: Image, factor: float) -> Image:
    cv2 = opencv()
    height, width = image.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    there = cv2.resize(as_floats(image), size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    back: Image = cv2.resize(there, (width, height), interpolation=cv2.INTER_LINEAR if factor < 1 else cv2.INTER_AREA)
    return back
