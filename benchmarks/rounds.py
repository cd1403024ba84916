"""Turns: each model until it is warm, then all of them round by round."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgesr.benchmarks.contenders import NETWORK
from edgesr.benchmarks.energy import Turn
from edgesr.benchmarks.outcome import Samples
from edgesr.benchmarks.settings import LEAST_ROUNDS, RoundSettings, WarmUp
from edgesr.benchmarks.statistics import is_stable
from edgesr.runtime.timing import StageTimings

__all__ = ["Course", "Rounds", "Tell", "measure_rounds", "warm_up"]

LEAST_WARM_UP_FRAMES = 2
LAST_FRAMES = 5
SETTLE_FRAMES = 3  # after one, the shipped network still took half as long again in one turn of three
WARM_UP_SHARE = 0.5  # of a budget, for all models together

Tell = Callable[[str], None]


@dataclass
class Course:
    """One model, or one size of its input, on its way through the run. turn: so many frames, a sample of every stage
    for each. turns: when each of its turns in the rounds was."""

    label: str
    turn: Callable[[int], StageTimings]
    warm_up: Samples = field(default_factory=dict)
    settling: Samples = field(default_factory=dict)
    samples: Samples = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    is_warm: bool = False
    settle_frames: int = 0

    @property
    def recent_ms(self) -> float:
        """Median network time of the last frames of the warm-up."""
        return float(np.median(self.warm_up[NETWORK][-LAST_FRAMES:])) / 1e6


@dataclass(frozen=True)
class Rounds:
    """orders: for each round, which course came first, second, … ends_s: when it ended, seconds after the first began.
    interrupted: Ctrl-C ended them before their time."""

    orders: tuple[tuple[int, ...], ...]
    ends_s: tuple[float, ...]
    interrupted: bool


def warm_up(courses: Sequence[Course], settings: RoundSettings, tell: Tell) -> list[str]:
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
        _keep(course.turn(1), course.warm_up)
        network, elapsed_s = course.warm_up[NETWORK], time.perf_counter() - begin
        window = rule.slow_window if course.recent_ms >= rule.slow_ms else rule.window
        if elapsed_s >= rule.least_s and is_stable(network, window=window, tolerance=rule.tolerance):
            return True
        if elapsed_s >= limit_s and len(network) >= LEAST_WARM_UP_FRAMES:
            return False


def measure_rounds(
    courses: Sequence[Course],
    settings: RoundSettings,
    begin: float,
    tell: Tell,
    look: Callable[[], None] = lambda: None,
) -> Rounds:
    """Rounds until enough. With a duration, Ctrl-C ends them too, once there are LEAST_ROUNDS: the round that it breaks is
    dropped.

    begin: `time.perf_counter()` from which the budget counts. look: called after each round, outside its clocks.
    """
    shuffler = np.random.default_rng(settings.seed)
    orders: list[tuple[int, ...]] = []
    round_s: list[float] = []
    ends_s: list[float] = []
    interrupted = False
    first = time.perf_counter()
    try:
        while not _is_over(settings, ends_s) and not _is_enough(
            settings, len(orders), time.perf_counter() - begin, round_s
        ):
            tell(_progress(settings, ends_s))
            started = time.perf_counter()
            order = tuple(int(place) for place in shuffler.permutation(len(courses)))
            for place in order:
                course = courses[place]
                start_ns = time.perf_counter_ns()
                timings = course.turn(course.settle_frames + 1)
                course.turns.append((start_ns, time.perf_counter_ns()))
                _keep(timings, course.samples, after=course.settle_frames)
                _keep(timings, course.settling, before=course.settle_frames)
            look()
            orders.append(order)
            ended = time.perf_counter()
            round_s.append(ended - started)
            ends_s.append(ended - first)
    except KeyboardInterrupt:
        whole = min(len(orders), len(ends_s))
        if settings.duration_s is None or whole < LEAST_ROUNDS:
            raise
        interrupted = True
        orders, ends_s = orders[:whole], ends_s[:whole]
        for course in courses:
            _cut(course, whole)
    return Rounds(tuple(orders), tuple(ends_s), interrupted)


def _cut(course: Course, rounds: int) -> None:
    """Only what whole rounds gave."""
    del course.turns[rounds:]
    for samples in course.samples.values():
        del samples[rounds:]
    for samples in course.settling.values():
        del samples[rounds * course.settle_frames :]


def _progress(settings: RoundSettings, ends_s: Sequence[float]) -> str:
    if settings.duration_s is not None:
        passed_s = ends_s[-1] if ends_s else 0.0
        return f"{passed_s:.0f} of {settings.duration_s:.0f} s, {len(ends_s)} rounds; Ctrl-C keeps what was measured"
    return f"round {len(ends_s) + 1}" + (f" of {settings.most_rounds}" if settings.most_rounds else "")


def _is_over(settings: RoundSettings, ends_s: Sequence[float]) -> bool:
    """Of a run that has a duration."""
    return settings.duration_s is not None and len(ends_s) >= LEAST_ROUNDS and ends_s[-1] >= settings.duration_s


def _is_enough(settings: RoundSettings, done: int, elapsed_s: float, round_s: Sequence[float]) -> bool:
    if settings.most_rounds is not None and done >= settings.most_rounds:
        return True
    if settings.budget_s is None or done < LEAST_ROUNDS:
        return False
    next_s = float(np.median(round_s))
    return elapsed_s + next_s > settings.budget_s


def _keep(timings: StageTimings, kept: Samples, *, after: int = 0, before: int | None = None) -> None:
    for stage, samples in timings.samples_ns.items():
        kept.setdefault(stage, []).extend(samples[after:before])
