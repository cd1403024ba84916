"""Cost against size as a table on the screen, and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgesr.benchmarks.report import as_json, figure
from edgesr.benchmarks.sizes import SizesResult
from edgesr.benchmarks.statistics import CONFIDENCE, RESAMPLES

__all__ = ["KIND", "SCHEMA", "sizes_json", "sizes_table"]

KIND = "edgesr-bench sizes"
SCHEMA = 1
NONE = "–"


def sizes_table(result: SizesResult) -> Group:
    """For a terminal."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("input")
    for name in (
        "network, ms\n(p5–p95)",
        "fps",
        "ns a\npixel",
        "exponent\nof the step",
        "memory\npeak, MiB",
        "model's\nMiB",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for cells in _rows(result):
        table.add_row(*map(Text, cells))
    settings, machine = result.settings, result.machine
    head = [
        *([f"INVALID: {result.invalid}"] if result.invalid else []),
        f"{result.spec.title} on {result.backend.get('backend', 'its backend')}",
        f"threads: {settings.threads or 'all cores'}, {len(result.orders)} interleaved rounds, seed {settings.seed}",
        f"{machine.name}, {machine.cores} cores, {machine.load_text}; {result.started}",
    ]
    return Group(Text("\n".join(head), "bold"), "", table, "", Text("\n".join(_verdict(result))))


def _rows(result: SizesResult) -> Iterator[list[str]]:
    for place, size in enumerate(result.sizes):
        timed, step = size.summary, result.step_exponent(place)
        yield [
            size.title,
            f"{figure(timed.median_ms)} ({figure(timed.p5_ms)}–{figure(timed.p95_ms)})",
            figure(timed.per_second),
            figure(timed.median_ms * 1e6 / size.pixels),
            NONE if step is None else f"{step:.2f}",
            *(NONE if mib is None else f"{mib:.0f}" for mib in (size.peak_mib, size.model_mib)),
        ]
    for title in result.left_out:
        yield [title, *[NONE] * 6]


def _verdict(result: SizesResult) -> Iterator[str]:
    fit = result.exponent
    yield (
        f"time grows as the pixels to the power {fit.value:.2f} ({fit.low:.2f}–{fit.high:.2f}: {CONFIDENCE:.0%} bootstrap over "
        f"rounds, {RESAMPLES} draws; where the steps' exponents differ, one power does not describe it)"
    )
    if result.bytes_per_pixel is not None:
        yield f"memory grows by {result.bytes_per_pixel:.0f} bytes a pixel of the input"
    yield from (f"left out: {title}: {reason}" for title, reason in result.left_out.items())
    yield from result.notes


def sizes_json(result: SizesResult) -> str:
    """Everything, every sample included."""
    document: dict[str, Any] = {"schema": SCHEMA, "kind": KIND, **asdict(result)}
    document |= {
        "sizes": [
            asdict(size) | {"summary": asdict(size.summary), "step_exponent": result.step_exponent(place)}
            for place, size in enumerate(result.sizes)
        ],
        "exponent": asdict(result.exponent),
        "bytes_per_pixel": result.bytes_per_pixel,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
    }
    return as_json(document)
