"""Noise: white Gaussian, as denoising papers have it, and a sensor's, which grows with the light.

A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical Poissonian-Gaussian noise modeling and fitting for single-image
raw-data", IEEE TIP 2008: variance linear in the signal. EMVA Standard 1288, release 4.0: the same in electrons.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.images import opencv
from edgesr.train.data.degradations.base import Frames, Image, Span, Step, as_floats, between, draw

__all__ = ["CameraNoise", "Noise"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Noise(Step):
    """sigma: in code values of 255; grey: the same in the three channels."""

    sigma: Span = field(metadata=between(0, 255))
    grey: bool = False

    kind, main = "noise", "sigma"

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        sigma = np.float32(draw(self.sigma, rng))

        def noisy(frame: Image) -> Image:
            shape = (*frame.shape[:2], 1) if self.grey else frame.shape
            result: Floats = as_floats(frame) + sigma * rng.standard_normal(shape, dtype=np.float32)
            return result

        return [noisy(frame) for frame in frames]


@dataclass(frozen=True, kw_only=True)
class CameraNoise(Step):
    """Of the photons and of the sensor, in linear light (sRGB's curve taken off and put on again), clipped at black and white.

    photons: electrons that a white pixel collects; fewer are noisier: the deviation at white is 1/sqrt(photons) of it.
    read: noise of the dark sensor, in electrons.
    mosaic: every pixel has one colour, and the others are interpolated between its neighbours (RGGB, bilinear), which
    smears noise into coloured blotches."""

    photons: Span = field(metadata=between(1, 1e6))
    read: Span = field(default=3.0, metadata=between(0, 1e4))
    mosaic: bool = True

    kind, main = "camera_noise", "photons"

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        photons, read = draw(self.photons, rng), draw(self.read, rng)
        top, left = (int(place) for place in rng.integers(2, size=2))

        def noisy(frame: Image) -> Image:
            light = linear_light(frame)
            deviation = np.sqrt(light / np.float32(photons) + np.float32((read / photons) ** 2))
            noise = deviation * rng.standard_normal(frame.shape, dtype=np.float32)
            return code_values(light + (demosaiced(noise, top, left) if self.mosaic else noise))

        return [noisy(frame) for frame in frames]

    def reach(self, pitch: int) -> int:
        return 1 if self.mosaic else 0


def linear_light(image: Image) -> Floats:
    """0–255 of sRGB (IEC 61966-2-1) -> 0–1 in proportion to the light; what lies outside is clipped."""
    if image.dtype == np.uint8:
        light: Floats = LIGHT_OF_BYTE[image]
        return light
    value: Floats = np.clip(image / np.float32(255), 0, 1)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def code_values(light: Floats) -> Floats:
    """The way back from `linear_light`."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def demosaiced(values: Floats, top: int, left: int) -> Floats:
    """(H, W, 3) BGR, of which each pixel keeps one colour (red at top, left, and every second from there), the others
    interpolated; bilinear interpolation is linear, so noise can go this way alone."""
    cv2 = opencv()
    kept = np.zeros_like(values)
    kept[top::2, left::2, 2] = values[top::2, left::2, 2]
    kept[1 - top :: 2, 1 - left :: 2, 0] = values[1 - top :: 2, 1 - left :: 2, 0]
    kept[top::2, 1 - left :: 2, 1] = values[top::2, 1 - left :: 2, 1]
    kept[1 - top :: 2, left::2, 1] = values[1 - top :: 2, left::2, 1]
    edges = {"borderType": cv2.BORDER_REFLECT_101}  # keeps the colours' order
    out = cv2.sepFilter2D(kept, -1, TENT, TENT, **edges)
    out[..., 1] = cv2.filter2D(kept[..., 1], -1, CROSS, **edges)
    result: Floats = out
    return result


TENT = np.array([0.5, 1, 0.5], np.float32)
CROSS = np.array([[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]], np.float32)
LIGHT_OF_BYTE = linear_light(np.arange(256, dtype=np.float32))
