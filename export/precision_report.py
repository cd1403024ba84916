"""What FP16 would mean for a file, layer by layer, before it is made. Needs no torch."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf
from pathlib import Path

import numpy as np
import onnx
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgesr.export.islands import LEAST_HEADROOM, fp32_islands
from edgesr.export.onnx_file import portable_model
from edgesr.export.ranges import TensorRange, frames_for_ranges, measured_ranges
from edgesr.export.rules import awkward_widths, check_rules
from edgesr.export.tensors import Tensors, prepared, stays_float
from edgesr.runtime.spec import ModelSpec

__all__ = ["Layer", "PrecisionReport", "counted", "precision_report", "report_table"]

MOVES = {
    *("Cast", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice"),
    *("Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}
"""Change no value: in the table only where they stay FP32."""
MUCH = 1000


@dataclass(frozen=True)
class Layer:
    """One node that makes floats.

    lowest, highest, magnitude: of what it makes, over all frames. headroom: how many times larger the values could get
    before FP16 overflows; None where all are zero. smallest_weight: the smallest constant it reads that is not zero, as
    a magnitude; None where there is none. fp32: why it stays FP32; empty where it becomes FP16.
    """

    name: str
    kind: str
    lowest: float
    highest: float
    magnitude: float
    headroom: float | None
    smallest_weight: float | None
    fp32: str


@dataclass(frozen=True)
class PrecisionReport:
    """frames: (width, height) of those that ran; awkward_widths: see `edgesr.export.rules`."""

    spec: ModelSpec
    frames: list[tuple[int, int]]
    layers: list[Layer]
    awkward_widths: dict[str, str]


def precision_report(path: Path, *, frames: Path | None = None) -> PrecisionReport:
    """Measure a portable FP32 file over a folder of images, or frames made by `pattern:natural`.

    Raises MissingFile, ForeignModel, InputError as `export_fp16` does.
    """
    model, spec = portable_model(path)
    check_rules(model)
    model = prepared(model)
    pixels = frames_for_ranges(model, spec, frames)
    ranges = measured_ranges(model, pixels)
    islands, tensors = fp32_islands(model, ranges), Tensors.of(model)
    layers = [_layer(node, tensors, ranges, islands) for node in model.graph.node if tensors.floats(node.output)]
    return PrecisionReport(spec, [(p.shape[1], p.shape[0]) for p in pixels], layers, awkward_widths(model))


def _layer(
    node: onnx.NodeProto, tensors: Tensors, ranges: Mapping[str, TensorRange], islands: Mapping[str, str]
) -> Layer:
    made = [ranges[name] for name in tensors.floats(node.output)]
    whole = TensorRange(min(r.lowest for r in made), max(r.highest for r in made))
    read = [name for at, name in enumerate(node.input) if name in tensors.constants and not stays_float(node, at)]
    values = [np.abs(tensors.constants[name]) for name in tensors.floats(read)]
    weights = [float(value[value > 0].min()) for value in values if (value > 0).any()]
    return Layer(
        name=node.name,
        kind=node.op_type,
        lowest=whole.lowest,
        highest=whole.highest,
        magnitude=whole.magnitude,
        headroom=None if isinf(whole.headroom) else whole.headroom,
        smallest_weight=min(weights, default=None),
        fp32=islands.get(node.name, ""),
    )


def report_table(report: PrecisionReport) -> Table:
    """A row for every layer that changes values, or stays FP32 (why stands below its name)."""
    sizes = ", ".join(f"{width}x{height}" for width, height in report.frames)
    caption = f"over {len(report.frames)} frames ({sizes}); headroom: how often it fits into 65504, FP16 wants {LEAST_HEADROOM:.0f}"
    table = Table(title=f"{report.spec.title} in FP16", caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    table.add_column("operator", no_wrap=True)
    for column in ("min", "max", "largest", "headroom", "least weight"):
        table.add_column(column, justify="right", no_wrap=column != "least weight")
    for layer in report.layers:
        if layer.kind in MOVES and not layer.fp32:
            continue
        numbers = (layer.lowest, layer.highest, layer.magnitude, layer.headroom, layer.smallest_weight)
        cells = ["–" if number is None else f"{number:.3g}" for number in numbers]
        if layer.headroom and layer.headroom >= MUCH:
            cells[3] = f">{MUCH}"
        name = f"{layer.name}\n  FP32: {layer.fp32}" if layer.fp32 else layer.name
        table.add_row(Text(name), layer.kind, *cells, style="yellow" if layer.fp32 else "")
    return table


def counted(fp32_nodes: Mapping[str, str]) -> str:
    """`18 nodes stay FP32: 18 statistic of the whole frame`; what a range or constant measured is left out."""
    kinds = Counter(_kind(reason) for reason in fp32_nodes.values())
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{len(fp32_nodes)} nodes stay FP32" + (f": {told}" if told else "")


def _kind(reason: str) -> str:
    if reason.startswith(("makes", "reads")):
        return "beyond FP16's range"
    return "with a constant that FP16 does not hold" if reason.startswith("constant") else reason
