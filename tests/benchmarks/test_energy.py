"""Power by a played recorder: no board is needed to see that a reading goes to the right model."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns

import pytest

from edgesr.benchmarks.energy import LEAST_READINGS, Energy, energy_of
from edgesr.benchmarks.html_report import results_html
from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.report import columns, latency_json, latency_markdown, rows
from edgesr.benchmarks.stored import read_results
from edgesr.jetson.recorder import Recorder
from edgesr.jetson.sample import Sample


def reading(at_ns: int, watts: float) -> Sample:
    return Sample(at_ns, rails_mw={"VDD_IN": watts * 1000, "VDD_CPU_GPU_CV": watts * 500})


def test_a_reading_counts_for_the_model_whose_turn_it_was() -> None:
    """Two models by turns of 10 ns with pauses of 5, read every 2 ns: 4 W in the one's, 8 in the other's, 1 between."""
    turns = [(start, start + 10) for start in range(0, 600, 15)]
    one, other = turns[::2], turns[1::2]

    def watts(at_ns: int) -> float:
        own = [kind for kind, own_turns in ((4.0, one), (8.0, other)) if any(s <= at_ns <= e for s, e in own_turns)]
        return own[0] if own else 1.0

    samples = [reading(at_ns, watts(at_ns)) for at_ns in range(0, 620, 2)]
    for own_turns, expected in ((one, 4.0), (other, 8.0)):
        found = energy_of(samples, own_turns, frame_ms=250.0)
        assert found is not None
        assert found.watts == pytest.approx(expected)
        assert found.joules_per_frame == pytest.approx(expected / 4)
        assert found.readings == sum(any(s <= sample.at_ns <= e for s, e in own_turns) for sample in samples)


def test_too_few_readings_are_none() -> None:
    turns = [(0, 1000)]
    samples = [reading(at_ns, 5.0) for at_ns in range(LEAST_READINGS)]
    assert energy_of(samples, turns, 1.0) is not None
    assert energy_of(samples[1:], turns, 1.0) is None
    assert energy_of([Sample(at_ns) for at_ns in range(50)], turns, 1.0) is None  # a machine without rails
    assert energy_of(samples, [(5000, 6000)], 1.0) is None


def test_a_run_with_rails(hasty: Callable[..., LatencySettings]) -> None:
    recorder = Recorder(lambda: reading(perf_counter_ns(), 7.5), interval_s=0.001)
    found = measure_latency(hasty("bicubic:2", width=160, height=90, rounds=None, duration_s=1.0), recorder=recorder)
    energy = found.models[0].energy
    assert energy is not None and energy.readings >= LEAST_READINGS
    assert energy.watts == pytest.approx(7.5)
    whole = found.summaries(0)["whole frame"]
    assert energy.joules_per_frame == pytest.approx(7.5 * whole.median_ms / 1000)


def test_a_run_too_short_for_power_says_so(hasty: Callable[..., LatencySettings]) -> None:
    recorder = Recorder(lambda: reading(perf_counter_ns(), 7.5), interval_s=60.0)
    found = measure_latency(hasty("bicubic:2"), recorder=recorder)
    assert found.models[0].energy is None
    assert any("no power of bicubic:2: fewer than 5 readings" in note for note in found.notes)


def test_columns_are_there_only_with_rails(result: LatencyResult, tmp_path: Path) -> None:
    assert not any("W" in column or "J" in column for column in columns(result))
    first = replace(result.models[0], energy=Energy(120, 12.5, 0.15))
    result = replace(result, models=(first, *result.models[1:]))
    assert columns(result)[-2:] == ["power, W", "J a frame"]
    assert [cells[-2:] for cells in rows(result)] == [["12.5", "0.15"], ["–", "–"], ["–", "–"]]
    for text in (latency_markdown(result), results_html([result])):
        assert "J a frame" in text and "idle included" in text
    path = tmp_path / "r.json"
    path.write_text(latency_json(result))
    assert read_results(path) == (result,)
    assert json.loads(path.read_text())["models"][0]["energy"]["watts"] == 12.5
