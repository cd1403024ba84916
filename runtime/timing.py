"""One clock, every sample kept, no averages alone."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np

__all__ = ["Distribution", "StageTimings", "distribution"]


@dataclass(frozen=True)
class Distribution:
    """Durations of one stage, in milliseconds."""

    count: int
    median_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def distribution(samples_ns: Iterable[int]) -> Distribution:
    """Percentiles with linear interpolation; all NaN where there is no sample."""
    values = np.fromiter(samples_ns, np.float64) / 1e6
    if not values.size:
        return Distribution(0, *[float("nan")] * 4)
    median, p95, p99 = (float(v) for v in np.percentile(values, (50, 95, 99)))
    return Distribution(int(values.size), median, p95, p99, float(values.max()))


class StageTimings:
    """Samples of each stage in nanoseconds, in the order in which stages first appeared."""

    def __init__(self) -> None:
        self.samples_ns: dict[str, list[int]] = {}

    def add(self, stage: str, duration_ns: int) -> None:
        self.samples_ns.setdefault(stage, []).append(duration_ns)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Times the block; a block that raises leaves no sample."""
        start = time.perf_counter_ns()
        yield
        self.add(stage, time.perf_counter_ns() - start)

    def distributions(self) -> dict[str, Distribution]:
        return {stage: distribution(samples) for stage, samples in self.samples_ns.items()}

    def to_dict(self) -> dict[str, object]:
        """For JSON: distributions, and every sample."""
        return {
            "stages": {stage: asdict(d) for stage, d in self.distributions().items()},
            "samples_ns": self.samples_ns,
        }
