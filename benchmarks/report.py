"""One result as a table on the screen, as Markdown, as JSON: the same figures in all three."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgesr.benchmarks.condition import Condition
from edgesr.benchmarks.contenders import NETWORK, WHOLE_FRAME
from edgesr.benchmarks.energy import METHOD as ENERGY_METHOD
from edgesr.benchmarks.figures import NONE, figure, markdown_table
from edgesr.benchmarks.flicker import METHOD as FLICKER_METHOD
from edgesr.benchmarks.layer_report import layer_document, layer_markdown, layer_tables
from edgesr.benchmarks.outcome import Drift, LatencyResult, ModelResult
from edgesr.benchmarks.parity import METHOD as PARITY_METHOD
from edgesr.benchmarks.parity import Parity
from edgesr.benchmarks.quality import METHOD
from edgesr.benchmarks.settings import LEAST_ROUNDS
from edgesr.benchmarks.statistics import CONFIDENCE, RESAMPLES, Ratio

__all__ = [
    "DRIFT_COLUMNS",
    "KIND",
    "SCHEMA",
    "as_document",
    "as_json",
    "columns",
    "drift_line",
    "drift_rows",
    "figure",
    "finite",
    "headline",
    "latency_json",
    "latency_markdown",
    "latency_table",
    "markdown_table",
    "remarks",
    "rows",
]

KIND = "edgesr-bench latency"
SCHEMA = 2
"""Rises when a key of the JSON goes or changes its meaning, or one comes that readers cannot do without; docs/results-schema.json describes it."""


def headline(result: LatencyResult) -> list[str]:
    """What made the figures: three lines, and a first one where they must not be used."""
    settings, machine = result.settings, result.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    return [
        *([f"INVALID: {result.invalid}"] if result.invalid else []),
        (
            f"latency at {settings.width}x{settings.height}, threads: {settings.threads or 'all cores'}, "
            f"{result.rounds} interleaved rounds, seed {settings.seed}"
        ),
        f"{machine.name}, {machine.cores} cores, {machine.load_text}; {result.started}",
        versions,
    ]


def columns(result: LatencyResult) -> list[str]:
    timed = [f"{stage}{unit}" for stage in ("network", "whole frame") for unit in (", ms (p5–p95)", ", fps", ", ratio")]
    quality = [f"{name}: {unit}" for name in _data(result) for unit in ("PSNR, 8 bit", "SSIM")]
    parity = ("parity with PyTorch, dB", "parity: levels, beyond 1") if _has_parity(result) else ()
    flicker = ("flicker, levels", "flicker, of the input's") if _has_flicker(result) else ()
    energy = ("power, W", "J a frame") if _has_energy(result) else ()
    return ["model", "form", *timed, *quality, *parity, *flicker, *energy]


def rows(result: LatencyResult) -> Iterator[list[str]]:
    """One for each model, in the order given; `–` where there is nothing to say."""
    for place, model in enumerate(result.models):
        found = result.summaries(place)
        cells = [_name(model), f"x{model.spec.scale} {model.form}".strip()]
        for stage in (NETWORK, WHOLE_FRAME):
            if (timed := found.get(stage)) is None:
                cells += [NONE, NONE, NONE]
                continue
            spread = f"({figure(timed.p5_ms)}–{figure(timed.p95_ms)})"
            ratio = "1" if place == 0 else _ratio(result.ratio(place, stage))
            cells += [f"{figure(timed.median_ms)} {spread}", figure(timed.per_second), ratio]
        scores = {quality.data: quality for quality in model.quality}
        for name in _data(result):
            score = scores.get(name)
            cells += [f"{score.psnr_db:.2f}", f"{score.ssim:.4f}"] if score else [NONE, NONE]
        if _has_parity(result):
            cells += _parity_cells(model.parity)
        if _has_flicker(result):
            flicker = model.flicker
            cells += [figure(flicker.levels), figure(flicker.ratio)] if flicker else [NONE, NONE]
        if _has_energy(result):
            energy = model.energy
            cells += [figure(energy.watts), figure(energy.joules_per_frame)] if energy else [NONE, NONE]
        yield cells


def remarks(result: LatencyResult) -> list[str]:
    """How to read the table, and what is special about this run."""
    first = result.models[0].label
    lines = [
        (
            f"ms: median and 5th to 95th percentile of {result.rounds} samples; fps: of the median; ratio: of the medians "
            f"to {first}'s, with a {CONFIDENCE:.0%} bootstrap interval over rounds ({RESAMPLES} draws)"
        ),
        f"whole frame: {result.whole_frame}",
    ]
    if any(model.quality for model in result.models):
        lines.append(METHOD)
    if _has_parity(result):
        lines.append(PARITY_METHOD)
    if _has_flicker(result):
        lines.append(FLICKER_METHOD)
    if _has_energy(result):
        lines.append(ENERGY_METHOD)
    return lines + _condition_lines(result) + list(result.notes)


def _condition_lines(result: LatencyResult) -> list[str]:
    """The machine before, between and after: only what it tells."""
    before, after = _state(result.before), _state(result.after)
    lines = [f"machine before: {before}; after: {after}"] if before or after else []
    if result.clocks:
        courses = (f"{clock.title} {min(clock.mhz):.0f}–{max(clock.mhz):.0f} MHz" for clock in result.clocks)
        lines.append(f"clocks in the rounds: {', '.join(courses)}")
    else:
        lines.append("clocks in the rounds: this machine does not tell them")
    if result.other_cores is not None:
        lines.append(f"other programs in the rounds: {result.other_cores:.2f} of {result.machine.cores} cores")
    if result.before.throttled is not None and result.after.throttled is not None:
        lines.append(f"throttled {result.after.throttled - result.before.throttled} times meanwhile")
    return lines


def _state(condition: Condition) -> str:
    """`mode 15W, governor schedutil, hottest CPU-therm 48.5 °C, 5120 MiB free`."""
    found = [f"mode {condition.power_mode}"] if condition.power_mode else []
    if governors := sorted({clock.governor for clock in condition.clocks if clock.governor}):
        found.append(f"governor {', '.join(governors)}")
    if condition.temperatures_c:
        name, degrees = max(condition.temperatures_c.items(), key=lambda item: item[1])
        found.append(f"hottest {name} {degrees:.1f} °C")
    if condition.available_mib is not None:
        found.append(f"{condition.available_mib} MiB free")
    return ", ".join(found)


def latency_table(result: LatencyResult) -> Group:
    """For a terminal of 80 columns: figures that belong together stand below each other."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, leading=1)
    table.add_column("model", overflow="fold")
    pairs = [f"{name}\ndB, SSIM" for name in _data(result)]
    pairs += ["parity\ndB, levels"] * _has_parity(result)
    pairs += ["flicker\nlevels, ratio"] * _has_flicker(result) + ["power\nW, J/frame"] * _has_energy(result)
    for name in ("network\nms, fps", "ratio", "whole frame\nms, fps", "ratio", *pairs):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for cells in rows(result):
        table.add_row(*(Text(stack) for stack in _stacks(cells)))
    head, foot = Text("\n".join(headline(result)), "bold"), Text("\n".join(remarks(result)), "dim")
    return Group(head, "", table, "", *_drift_table(result), *layer_tables(result), foot)


def _drift_table(result: LatencyResult) -> Iterator[Table | Text]:
    if found := list(drift_rows(result)):
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for place, name in enumerate(DRIFT_COLUMNS):
            table.add_column(name, overflow="fold", justify="left" if place < 2 else "right")
        for cells in found:
            table.add_row(*map(Text, cells))
        yield table
        yield Text(f"\n{drift_line(result)}\n", "dim")


def _stacks(cells: list[str]) -> Iterator[str]:
    name, form, *figures = cells
    yield f"{name}\n{form}"
    for stage in (figures[:3], figures[3:6]):
        time, rate, ratio = (figure.replace(" (", "\n").rstrip(")") for figure in stage)
        yield time if time == NONE else f"{time}\n{rate} fps"
        yield ratio
    for upper, lower in zip(figures[6::2], figures[7::2], strict=True):
        yield upper if upper == NONE else f"{upper}\n{lower}"


def latency_markdown(result: LatencyResult) -> str:
    """The table with its head and remarks, for a README."""
    head = [f"{line}  " for line in headline(result)]
    table = markdown_table(columns(result), rows(result), left=2)
    if found := list(drift_rows(result)):
        table += ["", *markdown_table(DRIFT_COLUMNS, found, left=2), "", f"{drift_line(result)}."]
    table += layer_markdown(result)
    return "\n".join([*head, "", *table, "", *(f"- {line}" for line in remarks(result)), ""])


def latency_json(result: LatencyResult) -> str:
    """Everything: settings, machine, every sample in nanoseconds, and what was computed from them."""
    return as_json(as_document(result))


def as_json(document: dict[str, Any]) -> str:
    return json.dumps(finite(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_document(result: LatencyResult) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "started": result.started,
        "settings": asdict(result.settings),
        "machine": asdict(result.machine),
        "rounds": result.rounds,
        "measured_s": result.measured_s,
        "whole_frame": result.whole_frame,
        "quality_method": METHOD,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "notes": list(result.notes),
        "orders": [list(order) for order in result.orders],
        "models": [_model(result, place) for place in range(len(result.models))],
        "before": asdict(result.before),
        "after": asdict(result.after),
        "clocks": [asdict(clock) for clock in result.clocks],
        "other_cores": result.other_cores,
        "invalid": result.invalid,
        "round_ends_s": list(result.round_ends_s),
        "interrupted": result.interrupted,
    }


def _model(result: LatencyResult, place: int) -> dict[str, Any]:
    summaries = {stage: asdict(s) | {"per_second": s.per_second} for stage, s in result.summaries(place).items()}
    ratios = {stage: result.ratio(place, stage) for stage in (NETWORK, WHOLE_FRAME)}
    return asdict(result.models[place]) | {
        "layer_profile": layer_document(result, result.models[place].layer_profile),
        "untrained": not result.models[place].spec.trained,
        "summary": summaries,
        "ratio_to_first": {stage: asdict(ratio) for stage, ratio in ratios.items() if ratio is not None},
        "drift": {stage: asdict(drift) for stage, drift in _drifts(result, place)},
    }


def _drifts(result: LatencyResult, place: int) -> Iterator[tuple[str, Drift]]:
    """Of a run that was made to last."""
    for stage in (NETWORK, WHOLE_FRAME) if result.settings.duration_s is not None else ():
        if (drift := result.drift(place, stage)) is not None:
            yield stage, drift


DRIFT_COLUMNS = ("model", "stage", "at first, ms", "at last, ms", "drift")


def drift_rows(result: LatencyResult) -> Iterator[list[str]]:
    """One for each model and stage; none where the run was not made to last."""
    for place, model in enumerate(result.models):
        for stage, drift in _drifts(result, place):
            change = [
                f"{100 * (value - 1):+.1f}" for value in (drift.change.value, drift.change.low, drift.change.high)
            ]
            times = [figure(found.median_ms) for found in (drift.first, drift.last)]
            yield [_name(model), stage, *times, "{} % ({} to {})".format(*change)]


def drift_line(result: LatencyResult) -> str:
    """What the table of drifts shows."""
    window_s = next(drift.window_s for place in range(len(result.models)) for _, drift in _drifts(result, place))
    return (
        f"the rounds took {result.round_ends_s[-1]:.0f} s; medians of the first and the last {window_s:.0f} s, at least "
        f"{LEAST_ROUNDS} rounds; drift with a {CONFIDENCE:.0%} bootstrap interval over blocks of rounds"
    )


def finite(value: Any) -> Any:
    """JSON knows no infinity (the PSNR of equal images): null."""
    if isinstance(value, dict):
        return {name: finite(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _data(result: LatencyResult) -> list[str]:
    """Names of the data sets that some model has a score on."""
    return list(dict.fromkeys(quality.data for model in result.models for quality in model.quality))


def _has_parity(result: LatencyResult) -> bool:
    return any(model.parity for model in result.models)


def _parity_cells(parity: Parity | None) -> list[str]:
    """`61.2` and `1 (0 %)`, which is how far and how much of the frame."""
    if parity is None:
        return [NONE, NONE]
    decibels = figure(parity.psnr_db) if parity.difference else "equal"
    return [decibels, f"{parity.difference} ({figure(100 * parity.beyond_one)} %)"]


def _has_flicker(result: LatencyResult) -> bool:
    return any(model.flicker for model in result.models)


def _has_energy(result: LatencyResult) -> bool:
    return any(model.energy for model in result.models)


def _name(model: ModelResult) -> str:
    return model.label if model.spec.trained else f"{model.label} (untrained)"


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return NONE
    return f"{figure(ratio.value)} ({figure(ratio.low)}–{figure(ratio.high)})"
