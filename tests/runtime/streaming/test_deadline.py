"""Simulated loads: the controller keeps the deadline where a model can, and does not hunt."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from edgesr.runtime.errors import InputError
from edgesr.runtime.streaming.deadline import DeadlineController

NAMES = ("large", "middle", "small")
BARE_MS = (30.0, 15.0, 6.0)
Load = Callable[[float], float]
"""How many times slower the machine is, by the second."""


@dataclass
class Run:
    """changes: (second, level, reason). misses: frames later than the deadline; at: frames at each level."""

    changes: list[tuple[float, int, str]] = field(default_factory=list)
    frames: int = 0
    misses: int = 0
    at: list[int] = field(default_factory=lambda: [0] * len(NAMES))

    @property
    def levels(self) -> list[int]:
        return [level for _, level, _ in self.changes]


def simulate(
    load: Load,
    seconds: float,
    *,
    deadline_ms: float = 40.0,
    noise: float = 0.1,
    fixed_ms: float = 0.0,
    fps: float = 30.0,
    controller: DeadlineController | None = None,
) -> Run:
    """A live stream: frames come at `fps`, and a model that is slower than that skips some."""
    controller = controller or DeadlineController(NAMES, deadline_ms)
    draw, run, now_s = random.Random(1), Run(), 0.0
    while now_s < seconds:
        took_ms = fixed_ms + BARE_MS[controller.level] * load(now_s) * (1 + noise * draw.random())
        now_s += max(took_ms / 1000, 1 / fps)
        before = controller.level
        run.frames += 1
        run.misses += took_ms > deadline_ms
        run.at[before] += 1
        if controller.observe(took_ms, now_s) != before:
            run.changes.append((now_s, controller.level, controller.reason))
    return run


def test_a_load_that_the_best_model_bears_changes_nothing() -> None:
    run = simulate(lambda _: 1.0, 600)
    assert not run.changes and not run.misses


def test_a_load_that_it_never_bears_is_left_in_seconds_and_tried_ever_more_rarely() -> None:
    run = simulate(lambda _: 2.0, 2400)
    assert run.levels[0] == 1 and run.changes[0][0] < 4
    assert len(run.changes) < 14 and run.misses / run.frames < 0.02
    gaps = [b - a for (a, up, _), (b, _, _) in zip(run.changes[::2], run.changes[1::2], strict=False) if up]
    assert all(later > earlier for earlier, later in pairwise(gaps[:5]))


def test_a_step_is_followed_down_and_up_again() -> None:
    run = simulate(lambda now: 4.0 if 60 <= now < 120 else 1.0, 240)
    assert run.levels == [1, 2, 1, 0]
    down, further, up, best = (second for second, _, _ in run.changes)
    assert 60 < down < 64 and further < 68 and 120 < up < 132 and best < 150
    assert run.misses < 0.12 * run.frames


def test_every_change_says_why() -> None:
    run = simulate(lambda now: 2.0 if 30 <= now < 60 else 1.0, 90)
    down, up = (reason for _, _, reason in run.changes)
    assert down.startswith("large missed the deadline of 40 ms with") and down.endswith(": middle in place of large")
    assert up.startswith("middle took 1") and "large should take about 3" in up


def test_spikes_are_borne() -> None:
    """One frame in ten takes five times as long: a smaller model would not help."""
    draw = random.Random(2)
    assert not simulate(lambda _: 5.0 if draw.random() < 0.1 else 1.0, 600).changes


@pytest.mark.parametrize("period_s", [1, 4, 16, 40, 150])
@pytest.mark.parametrize("height", [0.05, 0.3, 1.0])
def test_a_load_that_swings_around_the_edge_changes_little(period_s: float, height: float) -> None:
    def load(now: float) -> float:
        return 40 / 31.5 + (height if now % period_s < period_s / 2 else -height)

    run = simulate(load, 900)
    assert len(run.changes) <= 8 + 900 / 60, "a few to learn it, then at most one a minute"


def test_heat_that_comes_and_goes_is_followed() -> None:
    """Slower by the minute up to twice, then cool again, four times."""

    def load(now: float) -> float:
        return 1 + abs((now % 600) / 300 - 1)

    run = simulate(load, 2400)
    assert 7 <= len(run.changes) <= 20
    assert run.misses / run.frames < 0.06 and run.at[0] > 0.12 * run.frames


def test_a_load_that_the_small_model_does_not_feel_is_tried_for() -> None:
    """What slowed the large one down has gone, and the small one takes what it took all the time."""
    controller = DeadlineController(("large", "small"), 40.0, retry_s=60)
    now_s, seen = 0.0, []
    for _ in range(30 * 120):
        now_s += 1 / 30
        controller.observe((60.0 if now_s < 10 else 20.0) if controller.level == 0 else 15.0, now_s)
        if not seen or seen[-1][1] != controller.level:
            seen.append((now_s, controller.level))
    assert [level for _, level in seen] == [0, 1, 0] and 60 < seen[-1][0] < 70
    assert "was kept for 60 s: large is tried again" in controller.reason


def test_where_the_last_model_misses_too_it_says_so() -> None:
    controller = DeadlineController(NAMES, 40.0)
    run = simulate(lambda _: 20.0, 60, controller=controller)
    assert run.levels == [1, 2] and controller.hopeless
    for frame in range(100):
        controller.observe(1.0, 1000 + frame / 30)
    assert not controller.hopeless


def test_one_model_never_changes() -> None:
    controller = DeadlineController(("only",), 40.0)
    assert {controller.observe(90.0, frame / 10) for frame in range(300)} == {0} and controller.hopeless


def test_a_pause_is_no_calm_and_a_clock_that_goes_back_no_matter() -> None:
    controller = DeadlineController(NAMES, 40.0)
    for frame in range(100):
        controller.observe(90.0, frame / 30)
    assert controller.level == 1
    controller.observe(10.0, 1000.0)
    assert controller.level == 1, "lost for a quarter of an hour, and one good frame"
    controller.observe(90.0, 5.0)
    assert controller.level == 1


def test_a_few_slow_frames_decide_nothing_however_long_they_take() -> None:
    controller = DeadlineController(NAMES, 40.0)
    assert [controller.observe(5000.0, 5.0 * frame) for frame in range(1, 9)].index(1) >= 4


def test_what_it_remembers_stays_small() -> None:
    controller = DeadlineController(NAMES, 40.0)
    for frame in range(5_000):
        controller.observe(1.0, frame / 240)
    assert len(controller._frames) <= 2 * 240 + 2


@pytest.mark.parametrize(
    ("levels", "deadline_ms", "says"),
    [
        ((), 33.0, "none was given"),
        (NAMES, 0.0, "is 0 ms"),
        (NAMES, float("nan"), "is nan ms"),
        (NAMES, -1, "is -1 ms"),
    ],
)
def test_settings_that_make_no_sense_are_refused(levels: tuple[str, ...], deadline_ms: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        DeadlineController(levels, deadline_ms)
