"""Is the picture sound? A network that overflows or was built wrongly gives black, constant or foreign frames at full speed."""

import numpy as np

from edgesr.runtime.frame import Pixels

__all__ = ["Health", "faults"]

POINTS = 48  # sampled along each side: 30 microseconds for 1280x720
DARK, FLAT = 16, 8  # code values: an input below is dark itself, one that varies less is flat itself
FOREIGN = 48  # code values between input and output on average; 2 to 6 for photographs and noise of sigma 25
PATIENCE = 3  # frames in a row before it is said, and before it is taken back


def faults(low: Pixels, high: Pixels, scale: int) -> list[str]:
    """What is wrong with `high` (H*scale, W*scale, 3) as the super-resolved `low` (H, W, 3), in words; mostly nothing.

    A value that is not a number becomes 0 in the graph's last step, so it shows as black.
    """
    step_y, step_x = max(1, low.shape[0] // POINTS), max(1, low.shape[1] // POINTS)
    before = low[::step_y, ::step_x].astype(np.int16)
    after = high[scale // 2 :: step_y * scale, scale // 2 :: step_x * scale].astype(np.int16)
    found = []
    bright = before.min(axis=2) > DARK
    if bright.any() and (after.max(axis=2) == 0)[bright].mean() > 0.02:
        found.append("black pixels where the input has none: the network overflowed, or its engine is broken")
    if np.ptp(after) == 0 and np.ptp(before) > FLAT:
        found.append("a constant picture from an input that is not constant")
    elif np.abs(after - before).mean() > FOREIGN:
        found.append("a picture that is far from its input")
    return found


class Health:
    """`faults` with patience: said after a few frames in a row, taken back after as many good ones."""

    def __init__(self) -> None:
        self.now: list[str] = []
        self._candidate: list[str] = []
        self._times = 0

    def see(self, low: Pixels, high: Pixels, scale: int) -> bool:
        """Look at a frame; True where `now` changed."""
        found = faults(low, high, scale)
        self._times = self._times + 1 if found == self._candidate else 1
        self._candidate = found
        if found == self.now or self._times < PATIENCE:
            return False
        self.now = found
        return True
