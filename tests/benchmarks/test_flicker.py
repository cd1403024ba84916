from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgesr.benchmarks.flicker import Flicker, measure_flicker
from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.report import columns, latency_json, latency_markdown, rows
from edgesr.benchmarks.stored import read_results
from edgesr.runtime.backends import open_backend
from edgesr.runtime.frame import Pixels

MakeModel = Callable[..., Path]


def test_a_model_that_repeats_pixels_flickers_as_its_input(make_model: MakeModel) -> None:
    """A difference of two draws of deviation 2 has deviation 2.83, and its mean size is 0.8 of that."""
    with open_backend(make_model("nearest")) as backend:
        found = measure_flicker(backend, 64, 48)
    assert found.ratio == pytest.approx(1.0)
    assert found.levels == pytest.approx(2.26, abs=0.15)


def test_smoothing_calms_and_sharpening_stirs() -> None:
    class Sharpened:
        """Twice the distance from the middle of the range, where the scene leaves room."""

        def infer(self, pixels: Pixels) -> Pixels:
            return ((pixels.astype(int) - 128) * 2 + 128).clip(0, 255).astype("uint8")

    with open_backend("bicubic:2") as backend:
        assert measure_flicker(backend, 64, 48).ratio < 0.98
    assert measure_flicker(Sharpened(), 64, 48).ratio > 1.2


def test_it_is_measured_when_asked_for(make_model: MakeModel, hasty: Callable[..., LatencySettings]) -> None:
    models = "bicubic:2", make_model("random", trained=False), make_model("floats", "bare")
    found = measure_latency(hasty(*models, flicker=True))
    assert [model.flicker is not None for model in found.models] == [True, False, False]
    assert measure_latency(hasty("bicubic:2")).models[0].flicker is None


def test_columns_are_there_only_when_measured(result: LatencyResult, tmp_path: Path) -> None:
    assert not any("flicker" in column for column in columns(result))
    first = replace(result.models[0], flicker=Flicker(1.75, 0.8))
    result = replace(result, models=(first, *result.models[1:]))
    assert columns(result)[-2:] == ["flicker, levels", "flicker, of the input's"]
    assert [cells[-2:] for cells in rows(result)] == [["1.75", "0.80"], ["–", "–"], ["–", "–"]]
    assert "a still scene with a sensor's noise" in latency_markdown(result)
    path = tmp_path / "r.json"
    path.write_text(latency_json(result))
    assert read_results(path) == (result,)
