"""What a lens does: a Gaussian blur, round or elongated, a disc out of focus, a line of motion. The sum of a kernel is 1."""

from dataclasses import dataclass, field
from math import ceil, cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.images import opencv
from edgesr.train.data.degradations.base import Frames, Image, Span, Step, as_floats, between, draw, ends, one_of

__all__ = ["Blur", "Defocus", "Motion"]

Kernel = NDArray[np.float32]
TRUNCATED = 3  # sigmas; beyond lies 0.3 % of a Gaussian
OVERSAMPLED = 8  # points a side that a pixel of a disc is averaged over


@dataclass(frozen=True, kw_only=True)
class _Lens(Step):
    """unit: what lengths are counted in: `pixel`, of the image as it comes to the step, or `low`, of the low resolution,
    so that one chain serves every scale."""

    unit: str = field(default="pixel", metadata=one_of("pixel", "low"))

    optical = True

    def _pixels(self, pitch: int) -> int:
        return pitch if self.unit == "low" else 1


@dataclass(frozen=True, kw_only=True)
class Blur(_Lens):
    """sigma: of the Gaussian, along its longer axis.
    ratio: of the shorter axis to the longer one; 1 is round.
    angle: of the longer axis against the rows, in degrees."""

    sigma: Span = field(metadata=between(0, 64))
    ratio: Span = field(default=1.0, metadata=between(0.05, 1))
    angle: Span = field(default=(0.0, 180.0), metadata=between(-360, 360))

    kind, main = "blur", "sigma"

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        sigma = draw(self.sigma, rng) * self._pixels(pitch)
        if self.ratio == 1:
            taps = gaussian(sigma)
            return [_filtered(frame, taps, taps) for frame in frames]
        kernel = elongated(sigma, draw(self.ratio, rng), radians(draw(self.angle, rng)))
        return [_filtered(frame, kernel) for frame in frames]

    def reach(self, pitch: int) -> int:
        return ceil(TRUNCATED * ends(self.sigma)[1] * self._pixels(pitch))


@dataclass(frozen=True, kw_only=True)
class Defocus(_Lens):
    """radius: of the disc that a point becomes."""

    radius: Span = field(metadata=between(0, 64))

    kind, main = "defocus", "radius"

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        kernel = disc(draw(self.radius, rng) * self._pixels(pitch))
        return [_filtered(frame, kernel) for frame in frames]

    def reach(self, pitch: int) -> int:
        return ceil(ends(self.radius)[1] * self._pixels(pitch) + 0.5)


@dataclass(frozen=True, kw_only=True)
class Motion(_Lens):
    """length: of the line that a point becomes while the shutter is open; angle: in degrees, 0 along the rows."""

    length: Span = field(metadata=between(0, 128))
    angle: Span = field(default=(0.0, 180.0), metadata=between(-360, 360))

    kind, main = "motion", "length"

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        kernel = streak(draw(self.length, rng) * self._pixels(pitch), radians(draw(self.angle, rng)))
        return [_filtered(frame, kernel) for frame in frames]

    def reach(self, pitch: int) -> int:
        return ceil(ends(self.length)[1] * self._pixels(pitch) / 2 + 0.5)


def gaussian(sigma: float) -> Kernel:
    """(taps,): a half of the separable kernel."""
    x = np.arange(-ceil(TRUNCATED * sigma), ceil(TRUNCATED * sigma) + 1)
    return _normed(np.exp(-0.5 * (x / sigma) ** 2) if sigma else np.ones(1))


def elongated(sigma: float, ratio: float, angle: float) -> Kernel:
    along, across = _turned(ceil(TRUNCATED * sigma), angle)
    # a thirtieth of a pixel: thinner than that, a Gaussian falls between the pixels
    longer, shorter = max(sigma, 1 / 30), max(sigma * ratio, 1 / 30)
    return _normed(np.exp(-0.5 * ((along / longer) ** 2 + (across / shorter) ** 2)))


def disc(radius: float) -> Kernel:
    """What a disc covers of every pixel."""
    side = 2 * ceil(radius + 0.5) + 1
    centre = (np.arange(side * OVERSAMPLED) + 0.5) / OVERSAMPLED - side / 2
    inside = centre[:, None] ** 2 + centre**2 <= max(radius, 0.5) ** 2
    return _normed(inside.reshape(side, OVERSAMPLED, side, OVERSAMPLED).mean(axis=(1, 3)))


def streak(length: float, angle: float) -> Kernel:
    """A line one pixel thick with soft ends."""
    along, across = _turned(ceil(length / 2 + 0.5), angle)
    ends = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1)
    return _normed(ends * np.clip(1 - np.abs(across), 0, 1))


def _turned(radius: int, angle: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates along and across an axis that is turned by `angle`, counter-clockwise as one sees the picture."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    return x * cos(angle) - y * sin(angle), x * sin(angle) + y * cos(angle)


def _normed(kernel: NDArray[Any]) -> Kernel:
    return np.asarray(kernel / kernel.sum(), np.float32)


def _filtered(image: Image, kernel: Kernel, across: Kernel | None = None) -> Image:
    """Edges mirrored, as the ruler's bicubic has them."""
    cv2 = opencv()
    if across is not None:
        result: Image = cv2.sepFilter2D(image, cv2.CV_32F, kernel, across, borderType=cv2.BORDER_REFLECT)
        return result
    result = cv2.filter2D(as_floats(image), -1, kernel, borderType=cv2.BORDER_REFLECT)
    return result
