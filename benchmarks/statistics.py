"""What may be said of samples: percentiles, ratios with their uncertainty, and when a warm-up is over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError

__all__ = ["CONFIDENCE", "RESAMPLES", "Ratio", "Summary", "is_stable", "ratio_of_medians", "summary"]

CONFIDENCE = 0.95
RESAMPLES = 2000
AT_ONCE = 1 << 20
"""Samples drawn in one go: bounds the bootstrap's memory."""


@dataclass(frozen=True)
class Summary:
    """Durations in milliseconds; percentiles with linear interpolation."""

    count: int
    median_ms: float
    p5_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @property
    def per_second(self) -> float:
        """Frames a second, by the median."""
        return 1000 / self.median_ms


@dataclass(frozen=True)
class Ratio:
    """Ratio of two medians, and the bounds of its CONFIDENCE interval."""

    value: float
    low: float
    high: float


def summary(samples_ns: Sequence[int]) -> Summary:
    """Raises InputError where there is no sample."""
    if not len(samples_ns):
        raise InputError("there is no sample to summarise; expected at least one")
    values = np.asarray(samples_ns, np.float64) / 1e6
    median, p5, p95, p99 = (float(value) for value in np.percentile(values, (50, 5, 95, 99)))
    return Summary(int(values.size), median, p5, p95, p99, float(values.max()))


def ratio_of_medians(samples_ns: Sequence[int], base_ns: Sequence[int], *, seed: int) -> Ratio:
    """median(samples) / median(base), with a percentile bootstrap that draws whole rounds.

    Sample r of both was taken in round r: what disturbed a whole round disturbed both, and is drawn for both.
    The same seed gives the same bounds. Raises InputError for unequal counts.
    """
    a, b = np.asarray(samples_ns, np.float64), np.asarray(base_ns, np.float64)
    if a.size != b.size or not a.size:
        raise InputError(f"{a.size} samples and {b.size} of the base cannot be paired; expected one of each a round")
    generator = np.random.default_rng(seed)
    drawn = np.concatenate([_resampled(a, b, count, generator) for count in _portions(a.size)])
    low, high = np.percentile(drawn, (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)))
    return Ratio(float(np.median(a) / np.median(b)), float(low), float(high))


def _portions(rounds: int) -> list[int]:
    """RESAMPLES, cut so that no portion draws more than about AT_ONCE samples."""
    most = max(1, AT_ONCE // rounds)
    return [min(most, RESAMPLES - start) for start in range(0, RESAMPLES, most)]


def _resampled(
    a: NDArray[np.float64], b: NDArray[np.float64], count: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    rounds = generator.integers(0, a.size, (count, a.size))
    ratios: NDArray[np.float64] = np.median(a[rounds], axis=1) / np.median(b[rounds], axis=1)
    return ratios


def is_stable(samples_ns: Sequence[int], *, window: int, tolerance: float) -> bool:
    """The median of the last `window` samples is within `tolerance` (0.05: 5 %) of that of the `window` before."""
    if len(samples_ns) < 2 * window:
        return False
    before = float(np.median(samples_ns[-2 * window : -window]))
    last = float(np.median(samples_ns[-window:]))
    return abs(last - before) <= tolerance * before
