import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edgesr.benchmarks.__main__ import run
from edgesr.benchmarks.settings import WarmUp
from edgesr.benchmarks.size_process import SizeProcess
from edgesr.benchmarks.sizes import SizesSettings, measure_sizes, sizes_between
from edgesr.benchmarks.sizes_report import sizes_json, sizes_table
from edgesr.benchmarks.statistics import exponent_of_medians
from edgesr.runtime.command import command
from edgesr.runtime.errors import BackendFailed, FrameTooLarge, InputError

HASTY = WarmUp(window=1, slow_window=1, tolerance=1e9, least_s=0.0, limit_s=1.0)
MakeModel = Callable[..., Path]


def settings(model: str | Path, **options: Any) -> SizesSettings:
    return SizesSettings(model=str(model), threads=1, warm_up=HASTY, **{"rounds": 5, **options})


@pytest.mark.parametrize("multiple", [1, 4, 30])
def test_sizes_keep_the_aspect_and_the_ends(multiple: int) -> None:
    sizes = sizes_between((160, 90), (1920, 1080), 6, multiple)
    assert (sizes[0], sizes[-1]) == ((160, 90), (1920, 1080))
    assert all(width * 9 == height * 16 for width, height in sizes)
    assert all(width % multiple == height % multiple == 0 for width, height in sizes[1:-1])
    widths = [width for width, _ in sizes]
    assert widths == sorted(set(widths)) and len(widths) >= 4


def test_the_exponent_of_a_power_is_found() -> None:
    pixels = [100, 400, 1600]
    exact = [[round(pixel**1.5 * 1000)] * 5 for pixel in pixels]
    fit = exponent_of_medians(pixels, exact, seed=0)
    assert (fit.value, fit.low, fit.high) == pytest.approx((1.5, 1.5, 1.5), abs=1e-4)
    noise = np.random.default_rng(0).uniform(0.9, 1.1, (3, 40))
    noisy = exponent_of_medians(pixels, [list(row[0] * by) for row, by in zip(exact, noise, strict=True)], seed=0)
    assert noisy.low < 1.5 < noisy.high and noisy.high - noisy.low < 0.1
    for wrong in ([100, 100, 400], [100, 400]):
        with pytest.raises(InputError, match="expected two sizes"):
            exponent_of_medians(wrong, exact, seed=0)


def test_time_and_memory_grow() -> None:
    result = measure_sizes(settings("bicubic:4", first=(160, 90), last=(640, 360), count=3))
    assert [size.title for size in result.sizes] == ["160x90", "320x180", "640x360"]
    assert all(len(size.samples_ns) == 5 for size in result.sizes)
    found = json.loads(sizes_json(result))
    assert found["exponent"]["low"] <= found["exponent"]["value"] <= found["exponent"]["high"]
    assert found["exponent"]["value"] > 0
    small, _, large = (size["peak_mib"] for size in found["sizes"])
    assert large - small > 640 * 360 * 3 * 16 / 2**20  # the result alone
    assert found["bytes_per_pixel"] > 3 * 16


def test_the_command_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, ["sizes", "bicubic:4", "--from", "160x90", "--to", "1920x1200"]) == 2
    assert "not of one aspect" in capsys.readouterr().err


def test_sizes_that_do_not_fit_are_left_out_and_named(make_model: MakeModel) -> None:
    """min_size stands for memory: a refusal of the frame, from the model in its process."""
    result = measure_sizes(settings(make_model("large", min_size=24), first=(16, 16), last=(128, 128), count=4))
    assert list(result.left_out) == ["16x16"]
    assert [size.title for size in result.sizes] == ["32x32", "64x64", "128x128"]
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(sizes_table(result))
    assert "left out: 16x16" in console.export_text()
    assert json.loads(sizes_json(result))["left_out"].keys() == {"16x16"}


def test_too_few_sizes_are_an_error(make_model: MakeModel) -> None:
    with pytest.raises(InputError, match=r"1 of 3 sizes can be measured; expected 3: .*32x16 only"):
        measure_sizes(settings(make_model("fixed", size=(32, 16)), first=(32, 16), last=(128, 64), count=3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 2}, "count is 2"),
        ({"rounds": 2}, "at least 5"),
        ({"last": (1920, 1200)}, "not of one aspect"),
        ({"last": (160, 90)}, "a smaller size, then a larger"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings("bicubic", **options)


def test_a_frame_beyond_memory_is_refused_in_its_process() -> None:
    with pytest.raises(FrameTooLarge, match="GiB are free"):
        SizeProcess("bicubic:8", 10000, 10000)


def test_a_process_that_dies_is_named() -> None:
    with SizeProcess("bicubic:2", 32, 16, 1) as process:
        assert len(process.turn(2).samples_ns["network"]) == 2
        process._process.terminate()
        process._process.join()
        with pytest.raises(BackendFailed, match=r"the process of 32x16 ended by itself, code -15"):
            process.turn(1)
