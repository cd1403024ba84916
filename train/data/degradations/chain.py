"""Steps in a row: from a high-resolution image, or a crop of it, to its low resolution."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.train.data.degradations.base import Frames, Step, as_bytes
from edgesr.train.data.degradations.size import Bicubic

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """Steps in order. Those before the reduction work at high resolution, those after it at low resolution.

    A chain without a reduction gets the ruler's bicubic behind the lens: after the blurs it begins with, before the rest."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        reductions = [step.kind for step in self.steps if step.reduces]
        if len(reductions) > 1:
            raise InputError(
                f"a degradation reduces once; this one does it by {' and '.join(reductions)}: leave one out"
            )
        if not reductions:
            behind = next((i for i, step in enumerate(self.steps) if not step.optical), len(self.steps))
            object.__setattr__(self, "steps", (*self.steps[:behind], Bicubic(), *self.steps[behind:]))

    def __call__(self, high: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
        """uint8 (H, W, 3) BGR, sides multiples of scale -> its low resolution, uint8, 1/scale of that.

        Whatever is drawn comes from rng alone: from the same state, the same bytes. Between the steps values are neither
        rounded nor clipped, unless a step says so.
        """
        height, width = high.shape[:2]
        if height % scale or width % scale or not high.size:
            raise InputError(
                f"an image of {width}x{height} cannot be reduced to 1/{scale}; cut it to multiples of {scale}"
            )
        steps = [step for step in self.steps if step.probability == 1 or rng.random() < step.probability]
        frames: Frames = [high]
        for step in steps:
            frames = step.clip(frames, scale, rng)
        pitch = scale
        for step in steps:
            frames = step.apply(frames, pitch, rng)
            pitch = 1 if step.reduces else pitch
        return np.ascontiguousarray(as_bytes(frames[-1]))

    def margin(self, scale: int) -> int:
        """Pixels of high resolution, a multiple of scale, around a crop that its low resolution depends on.

        With so many around it, a degraded crop is the crop of the degraded image, as far as nothing is drawn and codecs,
        whose blocks begin at the crop's corner, are left out.
        """
        pitch, total = scale, 0
        for step in self.steps:
            total += step.reach(pitch) * (scale // pitch)
            pitch = 1 if step.reduces else pitch
        return -(-total // scale) * scale

    def as_recipe(self) -> list[dict[str, Any]]:
        """What `chain_from` makes this chain of, every setting said."""
        return [
            {"kind": step.kind} | {one.name: getattr(step, one.name) for one in fields(step)} for step in self.steps
        ]
