"""No degradation: alone in a chain, the ruler's low resolution."""

from dataclasses import dataclass

import numpy as np

from edgesr.train.data.degradations.base import Frames, Step

__all__ = ["Identity"]


@dataclass(frozen=True, kw_only=True)
class Identity(Step):
    kind = "identity"

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        return frames
