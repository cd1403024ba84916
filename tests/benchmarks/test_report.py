import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.plot import check_plot, draw_plot
from edgesr.benchmarks.quality import Quality
from edgesr.benchmarks.report import SCHEMA, latency_json, latency_markdown, latency_table
from edgesr.runtime.errors import InputError


def on_screen(result: LatencyResult) -> str:
    """At the least width that a terminal usually has."""
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(latency_table(result))
    return console.export_text()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]


def test_markdown_holds_the_figures(result: LatencyResult) -> None:
    lines = latency_markdown(result).splitlines()
    table = [cells(line) for line in lines if line.startswith("|")]
    assert {len(row) for row in table} == {10}
    assert table[2] == [
        "fast",
        "x2 cpu",
        "10.0 (10.0–10.0)",
        "100",
        "1",
        "12.0 (12.0–12.0)",
        "83.3",
        "1",
        "30.50",
        "0.8750",
    ]
    assert table[3][:8] == [
        "slow/one (untrained)", "x2 portable", "20.0 (20.0–20.0)", "50.0", "2.00 (2.00–2.00)",
        "22.0 (22.0–22.0)", "45.5", "1.83 (1.83–1.83)",
    ]  # fmt: skip
    assert table[3][8:] == ["–", "–"]
    assert table[4][4:] == ["0.50 (0.50–0.50)", "–", "–", "–", "–", "–"]


def test_every_output_tells_what_made_it(result: LatencyResult) -> None:
    shown = " ".join(on_screen(result).split())
    for text in (shown, latency_markdown(result)):
        for words in (
            "32x16", "threads: 1", "5 interleaved rounds", "seed 0", "a processor, 2 cores", "numpy 2", "2026-01-01",
            "load before 1.50: something else was running", "H.264 decode", "random weights, for timing only",
        ):  # fmt: skip
            assert words in text


def test_narrow_terminals_break_no_figure(result: LatencyResult) -> None:
    lines = on_screen(result).splitlines()
    assert max(len(line) for line in lines) <= 80
    for figure in (" 20.0–20.0 ", " 1.83–1.83 ", " 45.5 fps ", "0.8750", "slow|one (untrained)"):
        assert any(figure in line for line in lines)


def test_json_is_strict_and_complete(result: LatencyResult) -> None:
    found = json.loads(latency_json(result), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (found["schema"], found["kind"], found["rounds"]) == (SCHEMA, "edgesr-bench latency", 5)
    fast, slow, floats = found["models"]
    assert fast["samples_ns"] == {"network": [10_000_000] * 5, "whole frame": [12_000_000] * 5}
    assert fast["summary"]["whole frame"]["median_ms"] == 12
    assert fast["ratio_to_first"] == {}
    assert slow["ratio_to_first"]["network"] == {"value": 2.0, "low": 2.0, "high": 2.0}
    assert (fast["untrained"], slow["untrained"]) == (False, True)
    assert set(floats["summary"]) == {"network"}
    assert found["settings"]["warm_up"]["window"] == 5
    assert found["machine"]["load"] == [1.5, 1.0, 0.5]


def test_infinite_psnr_is_null(result: LatencyResult) -> None:
    same = replace(result.models[0], quality=(Quality("Set5", 5, float("inf"), 1.0),))
    found = json.loads(latency_json(replace(result, models=(same,))))
    assert found["models"][0]["quality"][0]["psnr_db"] is None


def test_tiny_and_huge_figures_stay_readable(result: LatencyResult) -> None:
    slow = replace(result.models[0], samples_ns={"network": [6_400_000_000] * 5})
    quick = replace(result.models[0], samples_ns={"network": [16_000] * 5})
    text = latency_markdown(replace(result, models=(slow, quick)))
    assert "| 6400 (6400–6400) | 0.16 |" in text
    assert "| 0.016 (0.016–0.016) | 62500 | 2.5e-06" in text


def test_plot_is_a_picture(result: LatencyResult, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.png"
    check_plot(path)
    draw_plot(result, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["plot.png"]


def test_plots_that_cannot_be(result: LatencyResult, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"end in \.png"):
        check_plot(tmp_path / "plot.svg")
    with pytest.raises(InputError, match="nothing to plot"):
        draw_plot(replace(result, models=result.models[1:]), tmp_path / "plot.png")
    assert not list(tmp_path.iterdir())
