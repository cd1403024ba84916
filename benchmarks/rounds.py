"""Turns: each model until it is warm, then all of them round by round."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgesr.benchmarks.clip import RepeatedClip
from edgesr.benchmarks.contenders import NETWORK, Contender
from edgesr.benchmarks.outcome import Samples
from edgesr.benchmarks.settings import LEAST_ROUNDS, LatencySettings, WarmUp
from edgesr.benchmarks.statistics import is_stable
from edgesr.runtime.timing import StageTimings

__all__ = ["Course", "Tell", "measure_rounds", "warm_up"]

LEAST_WARM_UP_FRAMES = 2
LAST_FRAMES = 5
SETTLE_FRAMES = 3  # after one, the shipped network still took half as long again in one turn of three
WARM_UP_SHARE = 0.5  # of a budget, for all models together

Tell = Callable[[str], None]


@dataclass
class Course:
    """One model on its way through the run."""

    label: str
    contender: Contender
    clip: RepeatedClip
    warm_up: Samples = field(default_factory=dict)
    settling: Samples = field(default_factory=dict)
    samples: Samples = field(default_factory=dict)
    is_warm: bool = False
    settle_frames: int = 0

    @property
    def recent_ms(self) -> float:
        """Median network time of the last frames of the warm-up."""
        return float(np.median(self.warm_up[NETWORK][-LAST_FRAMES:])) / 1e6


def warm_up(courses: Sequence[Course], settings: LatencySettings, tell: Tell) -> list[str]:
    """One after the other; returns notes on those that did not become stable."""
    notes = []
    rule = settings.warm_up
    pool_s = float("inf") if settings.budget_s is None else WARM_UP_SHARE * settings.budget_s
    begin = time.perf_counter()
    for course in courses:
        tell(f"warming up {course.label}")
        left_s = pool_s - (time.perf_counter() - begin)
        course.is_warm = _warm_up_one(course, rule, min(rule.limit_s, left_s))
        course.settle_frames = SETTLE_FRAMES if course.recent_ms < settings.settle_ms else 0
        if not course.is_warm:
            frames = len(course.warm_up[NETWORK])
            notes.append(f"{course.label} was not yet stable when its warm-up ended after {frames} frames")
    return notes


def _warm_up_one(course: Course, rule: WarmUp, limit_s: float) -> bool:
    """Whether it became stable."""
    begin = time.perf_counter()
    while True:
        _keep(course.contender.turn(course.clip, 1), course.warm_up)
        network, elapsed_s = course.warm_up[NETWORK], time.perf_counter() - begin
        window = rule.slow_window if course.recent_ms >= rule.slow_ms else rule.window
        if elapsed_s >= rule.least_s and is_stable(network, window=window, tolerance=rule.tolerance):
            return True
        if elapsed_s >= limit_s and len(network) >= LEAST_WARM_UP_FRAMES:
            return False


def measure_rounds(
    courses: Sequence[Course],
    settings: LatencySettings,
    begin: float,
    tell: Tell,
    look: Callable[[], None] = lambda: None,
) -> list[tuple[int, ...]]:
    """Rounds until enough; returns their orders.

    begin: `time.perf_counter()` from which the budget counts. look: called after each round, outside its clocks.
    """
    shuffler = np.random.default_rng(settings.seed)
    orders: list[tuple[int, ...]] = []
    round_s: list[float] = []
    while not _is_enough(settings, len(orders), time.perf_counter() - begin, round_s):
        tell(f"round {len(orders) + 1}" + (f" of {settings.most_rounds}" if settings.most_rounds else ""))
        started = time.perf_counter()
        order = tuple(int(place) for place in shuffler.permutation(len(courses)))
        for place in order:
            course = courses[place]
            timings = course.contender.turn(course.clip, course.settle_frames + 1)
            _keep(timings, course.samples, after=course.settle_frames)
            _keep(timings, course.settling, before=course.settle_frames)
        orders.append(order)
        look()
        round_s.append(time.perf_counter() - started)
    return orders


def _is_enough(settings: LatencySettings, done: int, elapsed_s: float, round_s: Sequence[float]) -> bool:
    if settings.most_rounds is not None and done >= settings.most_rounds:
        return True
    if settings.budget_s is None or done < LEAST_ROUNDS:
        return False
    next_s = float(np.median(round_s))
    return elapsed_s + next_s > settings.budget_s


def _keep(timings: StageTimings, kept: Samples, *, after: int = 0, before: int | None = None) -> None:
    for stage, samples in timings.samples_ns.items():
        kept.setdefault(stage, []).extend(samples[after:before])
