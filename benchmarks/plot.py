"""Latency against quality, one point for each model whose quality is known."""

from importlib import import_module
from pathlib import Path
from typing import Any

from edgesr.benchmarks.contenders import WHOLE_FRAME
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.report import headline
from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.files import replaced
from edgesr.runtime.installed import pip_install

__all__ = ["check_plot", "draw_plot"]

WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 7.0, 4.5, 150


def check_plot(path: Path) -> None:
    """Raise before any work where `path` is no .png, or matplotlib is not installed."""
    if path.suffix.lower() != ".png":
        raise InputError(f"{path} does not end in .png, the one kind of plot that is written")
    _figure_class()


def draw_plot(result: LatencyResult, path: Path) -> None:
    """Whole-frame median (logarithmic, bar from p5 to p95) against PSNR on the first data set, as PNG.

    Raises InputError where no model has quality, OutputFailed.
    """
    points = [
        (model.label, time, model.quality[0])
        for model in result.models
        if model.quality and (time := model.summary(WHOLE_FRAME)) is not None
    ]
    if not points:
        raise InputError(
            "no model here has quality, so there is nothing to plot; add --data FOLDER, and trained models"
        )
    figure = _figure_class()(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
    axes = figure.add_subplot()
    for label, time, quality in points:
        bar = [[time.median_ms - time.p5_ms], [time.p95_ms - time.median_ms]]
        axes.errorbar(time.median_ms, quality.psnr_db, xerr=bar, fmt="o", capsize=3)
        axes.annotate(label, (time.median_ms, quality.psnr_db), xytext=(5, 5), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:g}")
    # All nine would run into each other where the axis spans more than a decade.
    axes.xaxis.set_minor_formatter(lambda value, _place: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.margins(0.15)
    axes.set_xlabel("whole frame, ms: median, p5–p95 (log)")
    axes.set_ylabel(f"PSNR on {points[0][2].data}, dB (Y, 8 bit)")
    axes.grid(True, which="both", alpha=0.3)
    missing = [model.label for model in result.models if model.label not in [label for label, _, _ in points]]
    left_out = [f"without quality (untrained, bare or refused), not drawn: {', '.join(missing)}"] if missing else []
    axes.set_title("\n".join([*headline(result), *left_out]), fontsize=6, loc="left")
    with replaced(path) as beside:
        figure.savefig(beside, dpi=DOTS_PER_INCH, format="png")


def _figure_class() -> Any:
    """matplotlib's Figure, without pyplot: no window, no global state."""
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise MissingDependency(f"--plot needs matplotlib ({error}): {pip_install('bench')}") from error
