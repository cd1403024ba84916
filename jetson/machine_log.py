"""The machine's state beside a stream without end: a few figures of now, and what came of all of them, in constant memory.

`edgesr-run --machine` finds `BoardLog` by the entry point `board` of the group `edgesr.recorders`. It is what
`edgesr.runtime.streaming.machine.MachineLog` describes; neither part imports the other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from edgesr.jetson.recorder import Recorder
from edgesr.jetson.sample import Sample
from edgesr.jetson.sensors import Sensors

__all__ = ["BoardLog"]

FELL = 0.95
"""A clock below this part of the fastest before it has fallen."""


def _watts(sample: Sample) -> float | None:
    return None if sample.total_mw is None else sample.total_mw / 1000


FIGURES: Mapping[str, Callable[[Sample], float | None]] = {
    "gpu_load": lambda sample: sample.gpu_load,
    "gpu_mhz": lambda sample: sample.fastest_gpu_mhz,
    "cpu_load": lambda sample: sample.mean_cpu_load,
    "cpu_mhz": lambda sample: sample.fastest_cpu_mhz,
    "hottest": lambda sample: sample.hottest,
    "watts": _watts,
}


@dataclass
class Course:
    """How a figure went, in constant memory. `fell`: the deepest fall, from which value to which. The newest value does not
    count for it: when a stream has ended, clocks fall."""

    low: float = float("inf")
    high: float = -float("inf")
    total: float = 0.0
    count: int = 0
    newest: float | None = None
    fell: tuple[float, float] | None = None

    def add(self, value: float) -> None:
        before, deepest = self.newest, self.fell[1] / self.fell[0] if self.fell else FELL
        if before is not None and before < deepest * self.high:
            self.fell = self.high, before
        self.low, self.high, self.newest = min(self.low, value), max(self.high, value), value
        self.total, self.count = self.total + value, self.count + 1

    @property
    def mean(self) -> float:
        return self.total / self.count

    def to_dict(self) -> dict[str, float] | None:
        """None where there was no value."""
        if not self.count:
            return None
        return {"low": round(self.low, 3), "mean": round(self.mean, 3), "high": round(self.high, 3)}


@dataclass
class Tally:
    """All samples until now. `energy_j`: the integral of the power over the time `powered_s`, in which it was told."""

    courses: dict[str, Course] = field(default_factory=lambda: {name: Course() for name in FIGURES})
    first: Sample | None = None
    last: Sample | None = None
    samples: int = 0
    energy_j: float = 0.0
    powered_s: float = 0.0

    def add(self, sample: Sample) -> None:
        if self.last is not None:
            before, now, passed_s = _watts(self.last), _watts(sample), (sample.at_ns - self.last.at_ns) / 1e9
            if before is not None and now is not None:
                self.energy_j += (before + now) / 2 * passed_s
                self.powered_s += passed_s
        for name, figure in FIGURES.items():
            if (value := figure(sample)) is not None:
                self.courses[name].add(value)
        self.first = self.first or sample
        self.last = sample
        self.samples += 1

    @property
    def seconds(self) -> float:
        return (self.last.at_ns - self.first.at_ns) / 1e9 if self.first and self.last else 0.0

    @property
    def throttled(self) -> int | None:
        """How often, since the first sample."""
        if self.first is None or self.last is None:
            return None
        before, now = self.first.throttle_events, self.last.throttle_events
        return None if before is None or now is None else now - before

    @property
    def mean_watts(self) -> float | None:
        return self.energy_j / self.powered_s if self.powered_s else None

    def joules_a_frame(self, frames: int) -> float | None:
        """Of the whole machine, idle included."""
        if self.mean_watts is None or not frames:
            return None
        return self.mean_watts * self.seconds / frames


class BoardLog:
    """Samples every `interval_s` from `start` to `stop`; one thread, and memory that does not grow.

    root: the machine's file system, or a recorded board's. notes: what this machine does not tell, in words.
    """

    def __init__(self, root: Path = Path("/"), *, interval_s: float = 0.5) -> None:
        self._sensors = Sensors(root)
        self._recorder = Recorder(self._take, interval_s=interval_s, keep=2)
        self._tally, self._lock = Tally(), Lock()
        missing = _untold(self._sensors.sample())
        self.notes = [f"this machine does not tell {missing}"] if missing else []

    def start(self) -> None:
        self._tally = Tally()
        self._recorder.start()

    def stop(self) -> None:
        """After a last sample. Raises what ended the sampling before its time."""
        self._recorder.stop()

    def latest(self) -> Mapping[str, float] | None:
        """Of the newest sample, what was told; "at_ns" is time.perf_counter_ns(). Loads in percent, °C, MHz, watts."""
        with self._lock:
            sample = self._tally.last
        if sample is None:
            return None
        told = {name: value for name, figure in FIGURES.items() if (value := figure(sample)) is not None}
        return {"at_ns": sample.at_ns, **{name: round(value, 3) for name, value in told.items()}}

    def summary(self, frames: int) -> Mapping[str, Any]:
        """JSON-ready; None for what was not told. frames: how many were made from start to stop."""
        with self._lock:
            tally = self._tally
            return {
                "samples": tally.samples,
                "seconds": round(tally.seconds, 3),
                "frames": frames,
                **{name: course.to_dict() for name, course in tally.courses.items()},
                "mean_watts": _rounded(tally.mean_watts),
                "joules_per_frame": _rounded(tally.joules_a_frame(frames)),
                "gpu_clock_fell_mhz": tally.courses["gpu_mhz"].fell,
                "cpu_clock_fell_mhz": tally.courses["cpu_mhz"].fell,
                "throttle_events": tally.throttled,
            }

    def describe(self, frames: int) -> Sequence[str]:
        """The same for a reader, a line each."""
        with self._lock:
            return [", ".join(words) for words in (list(_heat(self._tally, frames)), list(_work(self._tally))) if words]

    def _take(self) -> Sample:
        sample = self._sensors.sample()
        with self._lock:
            self._tally.add(sample)
        return sample


def _heat(tally: Tally, frames: int) -> Iterator[str]:
    if tally.mean_watts is not None:
        yield f"{tally.mean_watts:.2f} W on average"
    if (joules := tally.joules_a_frame(frames)) is not None:
        yield f"{joules:.3g} J a frame (the whole board, idle included)"
    if (hottest := tally.courses["hottest"]).count:
        yield f"at most {hottest.high:.1f} °C"
    if tally.throttled:
        yield f"throttle events: {tally.throttled}"


def _work(tally: Tally) -> Iterator[str]:
    for part in ("gpu", "cpu"):
        load, clock = tally.courses[f"{part}_load"], tally.courses[f"{part}_mhz"]
        if load.count:
            yield f"{part.upper()} load {load.mean:.0f} %"
        if clock.fell:
            yield f"{part.upper()} clock fell from {clock.fell[0]:.0f} to {clock.fell[1]:.0f} MHz"
        elif clock.count:
            yield f"{part.upper()} clock {clock.high:.0f} MHz, did not fall"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _untold(sample: Sample) -> str:
    """What somebody who asks for a board's figures misses in it, in words."""
    told = {
        "power": sample.rails_mw,
        "temperatures": sample.temperatures,
        "the GPU's load": sample.gpu_load is not None,
        "the GPU's clock": sample.gpu_mhz,
    }
    return ", ".join(name for name, value in told.items() if not value)
