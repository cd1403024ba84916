"""Pictures to prepare, and whether a preparation left anything."""

from pathlib import Path

import numpy as np

from edgesr.runtime.frame import Pixels


def picture(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def nothing_left(output: Path) -> bool:
    return not output.exists() and not list(output.parent.glob(".set*"))
