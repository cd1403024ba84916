"""The steady state: runs of a given duration, their drift, and what an early Ctrl-C leaves."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgesr.benchmarks.html_report import results_html
from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.report import drift_line, drift_rows, latency_json, latency_markdown
from edgesr.benchmarks.rounds import Course, measure_rounds
from edgesr.benchmarks.settings import LEAST_ROUNDS, RoundSettings
from edgesr.benchmarks.stored import read_results
from edgesr.runtime.errors import InputError
from edgesr.runtime.timing import StageTimings

MS = 1_000_000


@pytest.fixture
def lasting(result: LatencyResult) -> LatencyResult:
    """Ten minutes, a round a second: the first model goes from 10 to 11 ms when five are over, the others stay."""
    ends = tuple(float(second) for second in range(1, 601))
    warming = {"network": [10 * MS] * 300 + [11 * MS] * 300, "whole frame": [12 * MS] * 600}
    models = tuple(
        replace(
            model, samples_ns=warming if not place else {stage: s[:1] * 600 for stage, s in model.samples_ns.items()}
        )
        for place, model in enumerate(result.models)
    )
    settings = replace(result.settings, duration_s=600.0)
    return replace(result, settings=settings, models=models, orders=((0, 1, 2),) * 600, round_ends_s=ends)


def test_the_last_minute_is_held_against_the_first(lasting: LatencyResult) -> None:
    drift = lasting.drift(0, "network")
    assert drift is not None
    assert (drift.window_s, drift.first.count, drift.last.count) == (60, 60, 60)
    assert (drift.first.median_ms, drift.last.median_ms) == (10, 11)
    assert drift.change.value == pytest.approx(1.1)
    assert list(drift_rows(lasting))[:2] == [
        ["fast", "network", "10.0", "11.0", "+10.0 % (+10.0 to +10.0)"],
        ["fast", "whole frame", "12.0", "12.0", "+0.0 % (+0.0 to +0.0)"],
    ]
    assert lasting.drift(2, "whole frame") is None  # a bare graph has none
    assert "first and the last 60 s" in drift_line(lasting)


def test_every_output_shows_the_drift(lasting: LatencyResult, tmp_path: Path) -> None:
    for text in (latency_markdown(lasting), results_html([lasting])):
        assert "+10.0 % (+10.0 to +10.0)" in text
    document = json.loads(latency_json(lasting))
    assert document["models"][0]["drift"]["network"]["change"]["value"] == pytest.approx(1.1)
    path = tmp_path / "r.json"
    path.write_text(latency_json(lasting))
    assert read_results(path) == (lasting,)


def test_runs_without_a_duration_show_none(lasting: LatencyResult) -> None:
    usual = replace(lasting, settings=replace(lasting.settings, duration_s=None))
    assert not list(drift_rows(usual))
    assert lasting.drift(0, "network") is not None and replace(lasting, round_ends_s=()).drift(0, "network") is None


def test_short_runs_compare_quarters(lasting: LatencyResult) -> None:
    models = (replace(lasting.models[0], samples_ns={"network": [10 * MS] * 40}),)
    drift = replace(
        lasting, models=models, orders=((0,),) * 40, round_ends_s=tuple(float(second) for second in range(1, 41))
    ).drift(0, "network")
    assert drift is not None and (drift.window_s, drift.first.count, drift.last.count) == (10, 10, 10)


def test_a_run_lasts_as_long_as_it_should(hasty: Callable[..., LatencySettings]) -> None:
    found = measure_latency(hasty("bicubic:2", rounds=None, duration_s=0.5))
    assert len(found.round_ends_s) == found.rounds == len(found.models[0].samples_ns["network"])
    assert found.round_ends_s[-2] < 0.5 <= found.round_ends_s[-1]
    assert not found.interrupted


def interrupted_at(frames: int) -> tuple[Course, Course]:
    """Two courses, of which the second is broken off by Ctrl-C at its turn number `frames`."""

    def steady(count: int) -> StageTimings:
        timings = StageTimings()
        for _ in range(count):
            timings.add("network", MS)
        return timings

    turns: list[int] = []

    def broken(count: int) -> StageTimings:
        turns.append(count)
        if len(turns) == frames:
            raise KeyboardInterrupt
        return steady(count)

    return Course("steady", steady, settle_frames=3), Course("broken", broken, settle_frames=3)


def test_ctrl_c_keeps_whole_rounds() -> None:
    courses = interrupted_at(9)
    rounds = measure_rounds(courses, RoundSettings(duration_s=60.0), time.perf_counter(), lambda line: None)
    assert rounds.interrupted
    assert len(rounds.orders) == len(rounds.ends_s) == 8
    for course in courses:
        assert len(course.samples["network"]) == 8
        assert len(course.settling["network"]) == 8 * 3


@pytest.mark.parametrize(
    ("settings", "frames"),
    [
        (RoundSettings(duration_s=60.0), LEAST_ROUNDS),
        (RoundSettings(rounds=30), 20),
        (RoundSettings(budget_s=60.0), 20),
    ],
)
def test_ctrl_c_ends_everything_else(settings: RoundSettings, frames: int) -> None:
    """Too few rounds, or a run that was to be of a given length."""
    with pytest.raises(KeyboardInterrupt):
        measure_rounds(interrupted_at(frames), settings, time.perf_counter(), lambda line: None)


def test_an_interrupted_run_says_so(hasty: Callable[..., LatencySettings]) -> None:
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if "12 rounds" in line:
            raise KeyboardInterrupt

    found = measure_latency(hasty("bicubic:2", rounds=None, duration_s=600.0), tell=tell)
    assert found.interrupted and found.rounds == 12
    assert any(re.match(r"stopped by Ctrl-C after \d+ of 600 s", note) for note in found.notes)
    assert any("Ctrl-C keeps what was measured" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duration_s": 0.0}, "duration is 0 s"),
        ({"duration_s": 5.0, "rounds": 9}, "it decides alone"),
        ({"duration_s": 5.0, "budget_s": 9.0}, "it decides alone"),
    ],
)
def test_durations_that_cannot_be(options: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        RoundSettings(**options)
