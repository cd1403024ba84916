"""A machine's state beside a measurement: sampled in a thread of its own, and what the samples say together.

with Recorder() as recorder:
    ...                                   # what is measured
print(recorder.summary().to_dict())
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from types import TracebackType
from typing import Any

from edgesr.jetson.sample import Sample
from edgesr.jetson.sensors import Sensors

__all__ = ["Recorder", "Spread", "Summary", "summarize"]

KEEP = 100_000
"""Samples; then every second one goes. At two a second that is 14 hours."""


@dataclass(frozen=True)
class Spread:
    low: float
    median: float
    high: float

    @classmethod
    def of(cls, told: Iterable[float | None]) -> "Spread | None":
        values = [value for value in told if value is not None]
        return cls(min(values), median(values), max(values)) if values else None

    @property
    def moved_percent(self) -> float:
        """From the lowest to the highest, of the highest."""
        return 100 * (self.high - self.low) / self.high if self.high else 0.0


@dataclass(frozen=True)
class Summary:
    """None where nothing was told. A clock that belongs to no single number (cores, halves of a GPU) counts as its
    fastest; `energy_j` is the integral of `total_mw` over the time between the first and the last sample."""

    samples: int
    seconds: float
    gpu_mhz: Spread | None
    cpu_mhz: Spread | None
    gpu_load: Spread | None
    cpu_load: Spread | None
    """Mean over the cores that are on."""
    hottest: Spread | None
    total_mw: Spread | None
    energy_j: float | None
    ram_used_mib: Spread | None
    swap_used_mib: Spread | None
    throttle_events: int | None
    """Those that fell into this time."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Recorder:
    """`sample` is called every `interval_s`, first at once, last when the recorder is stopped. Starting it again
    begins anew. A failure of `sample` ends the thread and is raised by `stop`."""

    def __init__(
        self, sample: Callable[[], Sample] | None = None, *, interval_s: float = 0.5, keep: int = KEEP
    ) -> None:
        if not 0 < interval_s < float("inf") or keep < 2:
            raise ValueError(f"interval_s is {interval_s}, keep is {keep}; expected more than 0, and 2 or more")
        self._sample = Sensors().sample if sample is None else sample
        self._interval_s = interval_s
        self._keep = keep
        self._samples: list[Sample] = []
        self._stride = 1
        self._count = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> "Recorder":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except Exception:
            if error is None:  # what went wrong in the block matters more than what went wrong with watching it
                raise

    def start(self) -> None:
        if self._thread is not None:
            raise RuntimeError("this recorder runs already")
        self._samples, self._stride, self._count, self._failure = [], 1, 0, None
        self._end.clear()
        self._thread = threading.Thread(target=self._record, name="edgesr recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    @property
    def samples(self) -> tuple[Sample, ...]:
        with self._lock:
            return tuple(self._samples)

    def between(self, start_ns: int, end_ns: int) -> tuple[Sample, ...]:
        """Those of a time, with the neighbours on both sides: a short measurement may fall between two samples."""
        samples = self.samples
        before = [sample for sample in samples if sample.at_ns < start_ns][-1:]
        after = [sample for sample in samples if sample.at_ns > end_ns][:1]
        return (*before, *(sample for sample in samples if start_ns <= sample.at_ns <= end_ns), *after)

    def summary(self) -> Summary:
        return summarize(self.samples)

    def _record(self) -> None:
        try:
            while True:
                last = self._end.is_set()
                self._add(self._sample(), last=last)
                if last:
                    return
                self._end.wait(self._interval_s)
        except BaseException as error:  # noqa: BLE001 - `stop` raises it in the caller's thread
            self._failure = error

    def _add(self, sample: Sample, *, last: bool) -> None:
        with self._lock:
            if self._count % self._stride == 0 or last:
                self._samples.append(sample)
            self._count += 1
            if len(self._samples) > self._keep:
                del self._samples[1::2]
                self._stride *= 2


def summarize(samples: Sequence[Sample]) -> Summary:
    """Samples in the order of time."""
    events = [sample.throttle_events for sample in samples if sample.throttle_events is not None]
    power = [(sample.at_ns, total) for sample in samples if (total := sample.total_mw) is not None]
    return Summary(
        samples=len(samples),
        seconds=(samples[-1].at_ns - samples[0].at_ns) / 1e9 if samples else 0.0,
        gpu_mhz=Spread.of(sample.fastest_gpu_mhz for sample in samples),
        cpu_mhz=Spread.of(sample.fastest_cpu_mhz for sample in samples),
        gpu_load=Spread.of(sample.gpu_load for sample in samples),
        cpu_load=Spread.of(sample.mean_cpu_load for sample in samples),
        hottest=Spread.of(sample.hottest for sample in samples),
        total_mw=Spread.of(total for _, total in power),
        energy_j=_energy_j(power) if len(power) > 1 else None,
        ram_used_mib=Spread.of(sample.ram_used_mib for sample in samples),
        swap_used_mib=Spread.of(sample.swap_used_mib for sample in samples),
        throttle_events=events[-1] - events[0] if events else None,
    )


def _energy_j(power: Sequence[tuple[int, float]]) -> float:
    """Trapezoids: milliwatts times nanoseconds are picojoules."""
    return sum((now - before) * (low + high) / 2 for (before, low), (now, high) in pairwise(power)) * 1e-12
