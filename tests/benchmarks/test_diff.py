import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgesr.benchmarks.__main__ import run
from edgesr.benchmarks.diff import Incomparable, compare_runs, difference_table
from edgesr.benchmarks.machine import Machine
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.quality import Quality
from edgesr.benchmarks.report import latency_json
from edgesr.benchmarks.statistics import change_of_medians
from edgesr.runtime.command import command
from edgesr.runtime.errors import InputError

Run = Callable[..., LatencyResult]


@pytest.fixture
def run_of(result: LatencyResult) -> Run:
    """40 rounds that scatter by `spread`, each model's time multiplied by its factor."""

    def make(seed: int, *factors: float, spread: float = 0.02, rounds: int = 40) -> LatencyResult:
        random = np.random.default_rng(seed)
        models = []
        for model, factor in zip(result.models, factors or (1.0, 1.0, 1.0), strict=True):
            drawn = {
                stage: [round(values[0] * factor * each) for each in random.lognormal(0, spread, rounds)]
                for stage, values in model.samples_ns.items()
            }
            models.append(replace(model, samples_ns=drawn))
        return replace(result, models=tuple(models), orders=((0, 1, 2),) * rounds)

    return make


def test_a_planted_regression_is_found_and_nothing_else(run_of: Run) -> None:
    found = compare_runs(run_of(1), run_of(2, 1.0, 1.1, 1.0))
    assert [line.split(":")[0] for line in found.regressions()] == ["slow|one", "slow|one"]  # network and whole frame
    assert "network takes 1.1" in next(found.regressions())


def test_an_unchanged_run_shows_none(run_of: Run) -> None:
    for seed in range(4):
        assert not list(compare_runs(run_of(seed), run_of(seed + 100)).regressions())


def test_past_the_threshold_alone_is_no_regression(run_of: Run) -> None:
    """Five rounds that scatter by half: medians that differ by chance, and an interval that holds 1."""
    found = compare_runs(run_of(0, spread=0.5, rounds=5), run_of(1, spread=0.5, rounds=5))
    past = [change for change in found.changes if change.ratio.value > 1.05]
    assert past and all(change.ratio.low < 1 for change in past)
    assert not list(found.regressions())


def test_the_threshold_decides(run_of: Run) -> None:
    old, new = run_of(1), run_of(2, 1.1, 1.1, 1.1)
    assert len(list(compare_runs(old, new, threshold=1.05).regressions())) == 5
    assert not list(compare_runs(old, new, threshold=1.2).regressions())
    assert not list(compare_runs(new, old).regressions())  # faster


def test_relative_to_the_first_model_another_machine_is_no_regression(run_of: Run) -> None:
    desk = replace(run_of(2, 3.0, 3.0, 3.6), machine=Machine("a slower processor", 1, (), {}, {}))
    with pytest.raises(Incomparable, match=r"different machines .* --relative"):
        compare_runs(run_of(1), desk)
    found = compare_runs(run_of(1), desk, relative=True)
    assert {change.label for change in found.changes} == {"slow|one", "floats"}
    assert [line.split(":")[0] for line in found.regressions()] == ["floats"]


def test_lost_quality_counts(run_of: Run) -> None:
    old, new = run_of(1), run_of(2)
    worse = replace(new.models[0], quality=(Quality("Set5", 5, 30.4, 0.87),))
    found = compare_runs(old, replace(new, models=(worse, *new.models[1:])))
    assert list(found.regressions()) == ["fast: 0.10 dB lost on Set5 (0.05 is allowed)"]
    none = replace(new.models[0], quality=())
    found = compare_runs(old, replace(new, models=(none, *new.models[1:])))
    assert "fast: the new run has no quality on Set5" in found.notes


def test_runs_that_say_nothing_about_each_other(run_of: Run) -> None:
    old, new = run_of(1), run_of(2)
    first, second, third = new.models
    other = replace(first, spec=replace(first.spec, parameters=9))
    for wrong, words in (
        (replace(new, settings=replace(new.settings, width=64)), "old run is of 32x16, the new one of 64x16"),
        (replace(new, settings=replace(new.settings, threads=2)), "different threads"),
        (replace(new, models=(first, third)), "lacks slow|one"),
        (replace(new, models=(other, second, third)), "fast is another network"),
        (replace(new, invalid="the GPU's clock moved"), "new run is invalid: the GPU's clock moved"),
    ):
        with pytest.raises(Incomparable, match=words.replace("|", r"\|")):
            compare_runs(old, wrong)
    with pytest.raises(InputError, match="threshold is"):
        compare_runs(old, new, threshold=0.9)


def test_what_changed_without_a_regression_is_said(run_of: Run) -> None:
    old, new = run_of(1), run_of(2)
    more = replace(new.models[2], label="fresh")
    first = replace(new.models[0], sha256="0" * 64)
    found = compare_runs(old, replace(new, models=(first, *new.models[1:], more)))
    assert "fast: the file is another one than in the old run" in found.notes
    assert "only in the new run, not compared: fresh" in found.notes
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(difference_table(found))
    text = console.export_text()
    assert "no change seen" in text and "fresh" in text and "30.50 dB, now 30.50 dB" in text


def test_exit_codes(run_of: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = {"old": run_of(1), "same": run_of(2), "slow": run_of(3, 1.0, 1.2, 1.0)}
    for name, result in runs.items():
        (tmp_path / f"{name}.json").write_text(latency_json(result))
    (tmp_path / "v1.json").write_text('{"schema": 1, "kind": "edgesr-bench latency"}')

    def code(new: str, *more: str) -> int:
        return command(run, ["diff", str(tmp_path / "old.json"), str(tmp_path / f"{new}.json"), *more])

    assert code("same") == 0
    assert code("slow", "--threshold", "1.3") == 0
    assert capsys.readouterr().err == ""
    assert code("slow") == 1
    assert capsys.readouterr().err.startswith("error: slow|one: network takes 1.2")
    assert code("v1") == 2
    line = capsys.readouterr().err
    assert "version 1, this edgesr reads version 2" in line and line.count("\n") == 1
    assert code("none") == 2
    both = tmp_path / "both.json"
    assert command(run, ["merge", str(tmp_path / "old.json"), str(tmp_path / "same.json"), "-o", str(both)]) == 0
    capsys.readouterr()
    assert code("both") == 2
    assert "holds 2 runs" in capsys.readouterr().err


def test_interval_of_a_change_holds_the_truth_where_neighbours_are_alike() -> None:
    """Two runs on a machine whose speed drifts for some rounds at a time."""

    def drifting(random: np.random.Generator) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        noise = random.normal(0, 0.05, 60)
        for i in range(1, noise.size):
            noise[i] += 0.5 * noise[i - 1]
        return np.asarray(1e7 * np.exp(noise))

    held = 0
    for trial in range(40):
        random = np.random.default_rng(trial)
        old, new = ([int(value) for value in drifting(random)] for _ in range(2))
        found = change_of_medians([2 * value for value in new], old, seed=trial)
        held += found.low <= 2 <= found.high
    assert held >= 33  # 35; rounds drawn one by one hold it 28 times


def test_change_of_medians_is_reckoned_from_equal_counts() -> None:
    with pytest.raises(InputError, match="cannot be paired"):
        change_of_medians([1, 2], [1, 2], seed=0, new_base_ns=[1], old_base_ns=[1, 2])
    assert change_of_medians([4] * 3, [2] * 9, seed=0).value == 2  # runs of unequal length
