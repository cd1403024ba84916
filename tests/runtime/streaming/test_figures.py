"""What a stream tells of itself."""

import json
import math

import numpy as np
import pytest

from edgesr.runtime.streaming.figures import AGE, Figures, RunningDistribution
from edgesr.runtime.timing import StageTimings, distribution


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize("shape", ["lognormal", "constant", "tiny", "spikes"])
def test_the_running_distribution_is_the_exact_one_to_half_a_percent(shape: str) -> None:
    rng = np.random.default_rng(3)
    samples = {
        "lognormal": np.exp(rng.normal(16, 1.5, 20_000)),
        "constant": np.full(1000, 8e6),
        "tiny": rng.uniform(1_000, 5_000, 5_000),
        "spikes": np.where(rng.random(9_001) < 0.02, 4e8, 9e6),
    }[shape].astype(np.int64)
    running = RunningDistribution()
    for sample in samples.tolist():
        running.add(sample)
    found, exact = running.distribution(), distribution(samples.tolist())
    assert (found.count, found.max_ms) == (exact.count, exact.max_ms)
    for name in ("median_ms", "p95_ms", "p99_ms"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=0.0055)


def test_what_lies_outside_the_buckets_is_counted_as_the_nearest() -> None:
    running = RunningDistribution()
    for sample in (0, 5, 10**13):
        running.add(sample)
    assert running.distribution().count == 3 and running.distribution().max_ms == 1e7


def test_recent_forgets_what_the_run_keeps() -> None:
    clock = Clock()
    figures = Figures(clock=clock)
    for second in range(20):
        clock.now = int(second * 1e9)
        figures.add("network", 10_000_000 if second < 10 else 2_000_000)
    snapshot = figures.snapshot()
    assert snapshot.run["network"].count == 20 and snapshot.run["network"].max_ms == 10
    assert snapshot.recent["network"].count == 6 and snapshot.recent["network"].max_ms == 2


def test_rates_are_of_the_last_seconds_and_fall_to_nothing() -> None:
    clock = Clock()
    figures = Figures(clock=clock)
    for frame in range(300):
        clock.now = int(frame / 30 * 1e9)
        figures.captured()
        if frame % 3 == 0:
            figures.shown(frame, 1, "m", {})
    assert figures.snapshot().captured_per_second == pytest.approx(30, rel=0.01)
    assert figures.snapshot().frames_per_second == pytest.approx(10, rel=0.05)
    assert figures.silent_s == 0
    clock.now += int(7e9)
    assert figures.snapshot().frames_per_second == 0 and figures.silent_s == pytest.approx(7)


def test_an_age_above_the_deadline_is_a_miss() -> None:
    figures = Figures(deadline_ms=33)
    for age_ms in (10, 33, 34, 100):
        figures.shown(0, age_ms * 1_000_000, "m", {})
    assert figures.snapshot().misses == 2 and figures.count("shown") == 4


def test_samples_are_kept_where_they_are_wanted_and_then_the_distribution_is_exact() -> None:
    samples = StageTimings()
    figures = Figures(samples=samples)
    for value in (1, 2, 4):
        figures.add(AGE, value)
    assert samples.samples_ns == {AGE: [1, 2, 4]} and figures.distributions()[AGE].median_ms == 2e-6


def test_listeners_hear_frames_drops_and_events_and_a_warning_is_told_once() -> None:
    figures = Figures()
    heard: list[object] = []
    figures.on_frame.append(lambda *frame: heard.append(frame))
    figures.on_drop.append(lambda *drop: heard.append(drop))
    figures.on_event.append(lambda event: heard.append(event.text))
    figures.shown(3, 7, "model", {"age": 7})
    figures.drop("newer came", 2)
    figures.warn(["black"])
    figures.warn(["black"])
    figures.warn([])
    assert heard == [(3, "model", {"age": 7}), ("newer came", 2), "black"]
    assert figures.snapshot().drops == {"newer came": 2} and figures.snapshot().warnings == []


def test_a_snapshot_is_json_without_nan() -> None:
    clock = Clock()
    figures = Figures(clock=clock)
    figures.add("network", 5)
    clock.now = int(60e9)
    told = json.loads(json.dumps(figures.snapshot().to_dict(), allow_nan=False))
    assert told["recent"]["network"]["median_ms"] is None and told["run"]["network"]["count"] == 1
    assert math.isnan(figures.snapshot().recent["network"].median_ms)


def test_memory_does_not_grow_with_the_run() -> None:
    clock = Clock()
    figures = Figures(clock=clock)
    for frame in range(3_000):
        clock.now = int(frame * 1e8)
        figures.add("network", frame)
        figures.event(str(frame))
    assert len(figures._recent["network"]) <= 51 and len(figures.snapshot().events) == 50
