"""Where a model's time goes, in words and figures: the same in every output."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgesr.benchmarks.contenders import NETWORK
from edgesr.benchmarks.figures import NONE, figure, markdown_table
from edgesr.benchmarks.layer_profile import LayerMedian, LayerProfile
from edgesr.benchmarks.outcome import LatencyResult, ModelResult
from edgesr.benchmarks.settings import USUAL_LAYERS

__all__ = [
    "LAYER_COLUMNS",
    "LAYER_METHOD",
    "all_layer_rows",
    "layer_document",
    "layer_lines",
    "layer_markdown",
    "layer_rows",
    "layer_tables",
    "most_layers",
    "profiled",
    "short_name",
]

LAYER_COLUMNS = ("layer", "kind", "ms", "share, %")
LAYER_METHOD = (
    "Layers are timed by the runtime's own profiler, on frames of noise, after the rounds and with the model opened anew. ms: median "
    "of each layer; share: of the sum of these. Names and kinds are the runtime's, which may make one layer of several."
)
KINDS_NAMED = 4
LONGEST_NAME = 42
TOLERANCE = 0.05


def profiled(result: LatencyResult) -> Iterator[tuple[ModelResult, LayerProfile]]:
    """Models that have a profile."""
    for model in result.models:
        if model.layer_profile is not None:
            yield model, model.layer_profile


def most_layers(result: LatencyResult) -> int:
    return result.settings.profile or USUAL_LAYERS


def layer_rows(profile: LayerProfile, most: int) -> Iterator[list[str]]:
    """The slowest, and what they and the others are together."""
    slowest = profile.slowest(most)
    yield from _rows(profile, slowest)
    if rest := len(profile.layers) - len(slowest):
        shown_ms = sum(layer.median_ms for layer in slowest)
        yield _sum(profile, f"the {len(slowest)} slowest", shown_ms)
        yield _sum(profile, f"{rest} others", profile.sum_ms - shown_ms)
    yield _sum(profile, f"all {len(profile.layers)} layers", profile.sum_ms)


def all_layer_rows(profile: LayerProfile) -> Iterator[list[str]]:
    """In the order in which they ran."""
    return _rows(profile, profile.layers)


def _rows(profile: LayerProfile, layers: Iterable[LayerMedian]) -> Iterator[list[str]]:
    for layer in layers:
        yield _sum(profile, short_name(layer.name), layer.median_ms, layer.kind or NONE)


def _sum(profile: LayerProfile, name: str, time_ms: float, kind: str = "") -> list[str]:
    return [name, kind, figure(time_ms), f"{100 * profile.share(time_ms):.1f}"]


def short_name(name: str) -> str:
    """A runtime may join dozens of names in one: its two ends tell most."""
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def layer_lines(model: ModelResult, profile: LayerProfile) -> list[str]:
    """What kinds the time goes to, and what profiling cost."""
    kinds = [f"{kind or 'not told'} {figure(ms)} ms ({profile.share(ms):.0%})" for kind, ms in profile.kinds().items()]
    more = [f"{len(kinds) - KINDS_NAMED} more"] if len(kinds) > KINDS_NAMED else []
    in_rounds = model.summary(NETWORK)
    took = (
        f"the network took {figure(profile.frame_ms)} ms with the profiler and {figure(profile.plain_ms)} ms without, right before "
        f"(medians of {profile.frames} frames each)"
    )
    layers = f"the layers took {figure(profile.in_layers_ms)} ms of a profiled frame"
    if abs(profile.sum_ms - profile.in_layers_ms) > TOLERANCE * profile.in_layers_ms:
        layers += f"; their own medians add up to {figure(profile.sum_ms)} ms, since they varied from frame to frame"
    return [
        f"by kind: {', '.join([*kinds[:KINDS_NAMED], *more])}",
        took if in_rounds is None else f"{took}; {figure(in_rounds.median_ms)} ms in the rounds",
        layers,
    ]


def layer_tables(result: LatencyResult) -> Iterator[Table | Text]:
    """For a terminal: a section a model."""
    for model, profile in profiled(result):
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for place, name in enumerate(LAYER_COLUMNS):
            table.add_column(name, overflow="fold", justify="left" if place < 2 else "right")
        for cells in layer_rows(profile, most_layers(result)):
            table.add_row(*map(Text, cells))
        yield Text(f"layers of {model.label}", "bold")
        yield table
        yield Text("\n".join(["", *layer_lines(model, profile), ""]), "dim")
    if any(profiled(result)):
        yield Text(f"{LAYER_METHOD}\n", "dim")


def layer_markdown(result: LatencyResult) -> Iterator[str]:
    """Lines."""
    for model, profile in profiled(result):
        yield from ("", f"**Layers of {model.label}**", "")
        yield from markdown_table(LAYER_COLUMNS, layer_rows(profile, most_layers(result)), left=2)
        yield from ("", *(f"- {line}" for line in layer_lines(model, profile)))
    if any(profiled(result)):
        yield from ("", LAYER_METHOD)


def layer_document(result: LatencyResult, profile: LayerProfile | None) -> dict[str, Any] | None:
    """For JSON: the profile, with shares and what the slowest are together."""
    if profile is None:
        return None
    slowest = profile.slowest(most_layers(result))
    slowest_ms = sum(layer.median_ms for layer in slowest)
    return asdict(profile) | {
        "sum_ms": profile.sum_ms,
        "slowest": {"count": len(slowest), "ms": slowest_ms, "share": profile.share(slowest_ms)},
        "layers": [asdict(layer) | {"share": profile.share(layer.median_ms)} for layer in profile.layers],
    }
