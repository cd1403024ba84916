"""The plots of a report: quality against time, how the samples spread, how they came, what the clocks did, which layers are slow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgesr.benchmarks.condition import ClockTrack
from edgesr.benchmarks.contenders import NETWORK, WHOLE_FRAME
from edgesr.benchmarks.figures import figure
from edgesr.benchmarks.layer_profile import LayerProfile
from edgesr.benchmarks.layer_report import short_name
from edgesr.benchmarks.outcome import LatencyResult, ModelResult
from edgesr.benchmarks.statistics import Summary
from edgesr.benchmarks.svg import Plot, linear, logarithmic, short

__all__ = ["Point", "clock_plot", "front", "histogram", "layer_plot", "pareto_plot", "points", "series_plot"]

KINDS = {NETWORK: "one", WHOLE_FRAME: "two"}
"""Colour classes of the style sheet."""

MOST_DOTS = 3000
"""More would weigh the page down: then the highest and lowest of each bin are drawn."""

WIDE = 20.0
"""Where the longest sample is so many times the shortest, a linear axis would show nothing but that one."""

REALTIME_MS = 1000 / 30

NAMES_WIDTH, FIGURES_WIDTH, ROW_HEIGHT = 280, 170, 20


@dataclass(frozen=True)
class Point:
    label: str
    time: Summary
    psnr_db: float


def points(results: Sequence[LatencyResult], data: str, names: Sequence[str]) -> list[Point]:
    """Models with a whole-frame time and a finite score on `data`; names: of the runs, put before a label where there
    are several."""
    found = []
    for name, result in zip(names, results, strict=True):
        for model in result.models:
            score = next((score.psnr_db for score in model.quality if score.data == data), None)
            time = model.summary(WHOLE_FRAME)
            if score is not None and time is not None and np.isfinite(score):
                label = f"{name}: {model.label}" if len(results) > 1 else model.label
                found.append(Point(label, time, score))
    return found


def front(found: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both time and quality, by time."""
    best: list[Point] = []
    for point in sorted(found, key=lambda point: (point.time.median_ms, -point.psnr_db)):
        if not best or point.psnr_db > best[-1].psnr_db:
            best.append(point)
    return best


def pareto_plot(found: Sequence[Point], data: str) -> str:
    plot = Plot(f"Whole-frame time against PSNR on {data}", height=380)
    ends = [end for point in found for end in (point.time.p5_ms, point.time.p95_ms)]
    x = logarithmic([*ends], plot.left, plot.right)
    y = linear([point.psnr_db for point in found], plot.bottom, plot.top, pad=0.15)
    plot.axes(x, y, "whole frame, ms: median, p5–p95 (logarithmic)", f"PSNR on {data}, dB (Y, 8 bit)")
    if x.low < REALTIME_MS < x.high:
        plot.line(x(REALTIME_MS), plot.top, x(REALTIME_MS), plot.bottom, "mark")
        plot.text(x(REALTIME_MS) + 4, plot.bottom - 6, "30 fps", "tick")
    best = front(found)
    corners = [(x(best[0].time.median_ms), y(best[0].psnr_db))]
    for point in best[1:]:
        corners += [(x(point.time.median_ms), corners[-1][1]), (x(point.time.median_ms), y(point.psnr_db))]
    plot.course(corners, "front")
    for point in found:
        at, height = x(point.time.median_ms), y(point.psnr_db)
        plot.line(x(point.time.p5_ms), height, x(point.time.p95_ms), height, "spread")
        hint = f"{point.label}: {point.time.median_ms:.3g} ms, {point.psnr_db:.2f} dB"
        plot.dot(at, height, "dot two" if point in best else "dot one", hint)
    for point in sorted(found, key=lambda point: -point.psnr_db):
        plot.label(x(point.time.median_ms), y(point.psnr_db), point.label)
    return str(plot)


def histogram(model: ModelResult, stage: str, found: Summary) -> str:
    """Of one stage. What lies far out is counted in words, so that the rest can be seen; the series shows it in place."""
    plot = Plot(f"{model.label}: how the times of the {stage} spread", width=420, height=220)
    values = np.asarray(model.samples_ns[stage]) / 1e6
    reach = 6 * max(found.p95_ms - found.median_ms, found.median_ms - found.p5_ms, found.median_ms / 200)
    inside = values[values <= found.median_ms + reach]
    bins = int(np.clip(np.sqrt(inside.size) * 2, 8, 40))
    low, high = float(inside.min()), float(inside.max())
    room = max(high - low, found.median_ms / 100)
    counts, edges = np.histogram(inside, bins, range=(low, low + room))
    x = linear(edges, plot.left, plot.right, pad=0.02)
    y = linear([0, int(counts.max())], plot.bottom, plot.top)
    plot.axes(x, y, f"{stage}, ms", f"frames (of {found.count})")
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            plot.bar(x(left), x(right), y(int(count)), KINDS[stage], f"{left:.4g}–{right:.4g} ms: {count}")
    plot.line(x(found.median_ms), plot.top, x(found.median_ms), plot.bottom, "mark")
    if beyond := values.size - inside.size:
        plot.text(plot.right, plot.top - 10, f"{beyond} beyond, up to {found.max_ms:.0f} ms", "tick end")
    return str(plot)


def series_plot(model: ModelResult) -> str:
    """Every sample of network and whole frame, in the order of measuring."""
    plot = Plot(f"{model.label}: every sample", width=420, height=220)
    stages = {stage: np.asarray(model.samples_ns[stage]) / 1e6 for stage in KINDS if stage in model.samples_ns}
    rounds = len(next(iter(stages.values())))
    x = linear([1, max(rounds, 2)], plot.left, plot.right, pad=0.02)
    ends = [float(v) for values in stages.values() for v in (values.min(), values.max())]
    is_wide = max(ends) > WIDE * min(ends)
    y = (logarithmic if is_wide else linear)(ends, plot.bottom, plot.top)
    plot.axes(x, y, "round", "ms (logarithmic)" if is_wide else "ms")
    for place, (stage, values) in enumerate(stages.items()):
        median = float(np.median(values))
        plot.line(plot.left, y(median), plot.right, y(median), f"median {KINDS[stage]}")
        plot.dots([(x(i + 1), y(values[i])) for i in _drawn(values)], f"dots {KINDS[stage]}")
        plot.text(plot.right - 80 * (len(stages) - 1 - place), plot.top - 10, stage, f"key end {KINDS[stage]}")
    return str(plot)


def _drawn(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[int]:
    """Places to draw: all, or of too many the lowest and highest of each stretch."""
    if values.size <= MOST_DOTS:
        return list(range(values.size))
    stretches = np.array_split(np.arange(values.size), MOST_DOTS // 2)
    return sorted({int(s[pick(values[s])]) for s in stretches for pick in (np.argmin, np.argmax)})


def clock_plot(domain: str, clocks: Sequence[ClockTrack]) -> str:
    """All clocks of a domain; the range is in the table beside it."""
    plot = Plot(f"{domain} clocks in the rounds", width=420, height=220)
    x = linear([0, max(max(clock.at_s[-1] for clock in clocks), 1)], plot.left, plot.right, pad=0.02)
    highest = max(max(clock.mhz) for clock in clocks)
    y = linear([0, highest], plot.bottom, plot.top)
    plot.axes(x, y, "s since the first round", f"{domain}, MHz")
    for clock in clocks:
        readings = list(zip(clock.at_s, clock.mhz, strict=True))
        course = [(x(at), y(mhz)) for at, mhz in [*readings, (max(readings[-1][0], 1), readings[-1][1])]]
        plot.course(course, "clock")
        plot.dot(*course[-1], "dot one", f"{clock.title}: {short(min(clock.mhz))}–{short(max(clock.mhz))} MHz", 3)
    return str(plot)


def layer_plot(label: str, profile: LayerProfile, most: int) -> str:
    """A bar for each of the slowest layers; convolutions in one colour, what stands between them in another."""
    slowest = profile.slowest(most)
    plot = Plot(f"{label}: the slowest layers", height=ROW_HEIGHT * (len(slowest) + 1))
    plot.left, top = NAMES_WIDTH, ROW_HEIGHT // 2
    x = linear([0, slowest[0].median_ms], plot.left, plot.right - FIGURES_WIDTH, pad=0)
    for place, layer in enumerate(slowest):
        end, y = x(layer.median_ms), top + ROW_HEIGHT * place
        told = f"{figure(layer.median_ms)} ms · {profile.share(layer.median_ms):.1%} · {layer.kind}".removesuffix(" · ")
        is_convolution = "conv" in (layer.kind or layer.name).lower()
        plot.text(plot.left - 6, y + 12, short_name(layer.name), "tick end")
        plot.strip(end, y, y + ROW_HEIGHT - 4, "one" if is_convolution else "two", f"{layer.name}: {told}")
        plot.text(end + 6, y + 12, told, "label")
    return str(plot)
