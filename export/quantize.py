"""An FP32 graph → two INT8 graphs with explicit Q and DQ: steps from real frames, and what they cost before a board sees them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from edgesr.export.calibration import BEST_DB, Pair, exact_session, frame_pairs, scores, upscaled
from edgesr.export.int8_graphs import (
    FINEST,
    Steps,
    int8_convolutions,
    on_grid,
    steps_from_ranges,
    with_int8,
    with_typed_opset,
)
from edgesr.export.islands import fp32_islands
from edgesr.export.memory import peak_bytes_per_pixel
from edgesr.export.onnx_file import fixed_size, metadata, portable_model
from edgesr.export.precision import fp16_from_fp32
from edgesr.export.ranges import measured_ranges
from edgesr.export.rounding import rounded_in_fp32
from edgesr.export.rules import INT8_WIDTH, awkward_widths, check_rules
from edgesr.export.tensors import prepared
from edgesr.runtime.errors import InputError, QualityLost
from edgesr.runtime.files import replaced
from edgesr.runtime.memory import check_fits
from edgesr.runtime.spec import ModelSpec

__all__ = ["Int8Export", "export_int8", "sensitivity"]

ARENA = 2.0  # what ONNX Runtime holds for each byte of live tensors, at most: 1.72 (RDSRN), and what is quantised
SENSITIVITY_WORK = 1e12  # multiply-adds for all layers together
SENSITIVITY_IMAGES = 4
SENSITIVITY_SIDES = (16, 64)
WORST = 3


@dataclass(frozen=True)
class Int8Export:
    """What was written: `path` (opset 17, FP32 around INT8) and `typed` (opset 19, FP16 around INT8), and what INT8 costs.

    fp32_db, int8_db, typed_db: mean PSNR over `images` frames; typed_db with every FP16 result really rounded.
    cost_db: fp32_db less the lower of the other two.
    sensitivity: INT8 convolution -> what it costs, in dB, when it is the only one; the dearest first.
    float_layers: convolution that stays float -> why. fp32_nodes: nodes that stay FP32 in both -> why.
    awkward_widths: INT8 convolutions whose channels are no multiples of 32 -> their widths; see `edgesr.export.rules`.
    """

    path: Path
    typed: Path
    spec: ModelSpec
    fp32_db: float
    int8_db: float
    typed_db: float
    cost_db: float
    images: int
    sensitivity: dict[str, float]
    float_layers: dict[str, str]
    fp32_nodes: dict[str, str]
    awkward_widths: dict[str, str]


def export_int8(
    source: Path,
    path: Path,
    typed: Path,
    *,
    calibrate: Path,
    budget_db: float = 0.2,
    keep: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Int8Export:
    """Write both INT8 forms of `source`, a portable FP32 file of edgesr-export.

    calibrate: folder of high-resolution images; up to 16 of them, spread over it, are used. budget_db: what INT8 may cost.
    keep: names of convolutions that shall stay float. tell: is given a line for each stage.
    Raises ForeignModel for another kind of file, InputError for a graph, a folder or a name that cannot be used, QualityLost where
    the cost is above the budget: then nothing is written.
    """
    if path == typed:
        raise InputError(f"both INT8 graphs would be written to {path}; give them two names")
    if not budget_db >= 0:
        raise InputError(f"the budget of INT8 is {budget_db} dB; expected 0 or more")
    model, spec = portable_model(source)
    check_rules(model)
    model = prepared(model)
    pairs = frame_pairs(calibrate, spec, fixed_size(model))
    pixels = max(pair.low[..., 0].size for pair in pairs)
    check_fits(ARENA * peak_bytes_per_pixel(model) * pixels, f"calibrating {spec.title} with {pixels} pixels")

    tell(f"choosing INT8's steps on {len(pairs)} images")
    fp32_db = _mean(model, pairs, spec)
    if fp32_db >= BEST_DB:
        raise InputError(
            f"{spec.title} gives {calibrate} back to within one code value already in FP32: such flat images tell nothing; "
            "calibrate on frames of the kind that it will see"
        )
    steps, float_layers, islands = _chosen(model, pairs, keep)
    plain, half = _int8_graphs(model, steps, islands, pairs[0])

    tell(f"comparing with FP32 on {len(pairs)} images")
    int8_db, typed_db = (_mean(graph, pairs, spec) for graph in (plain, rounded_in_fp32(half)))
    # Only whether it loads: before 1.31 ONNX Runtime truncates where an FP16 QuantizeLinear rounds (microsoft/onnxruntime, 32452).
    upscaled(exact_session(half), pairs[0].low)
    cost_db = fp32_db - min(int8_db, typed_db)
    tell(f"measuring what each of {len(steps)} convolutions costs")
    costs = sensitivity(model, steps, pairs, spec)
    if not cost_db <= budget_db:
        raise QualityLost(_too_dear(spec, fp32_db, cost_db, budget_db, len(pairs), costs))

    notes = {
        "edgesr.precision": "int8",
        "edgesr.fp32_nodes": json.dumps(list(islands)),
        "edgesr.float_layers": json.dumps(float_layers),
        "edgesr.int8_cost_db": f"{cost_db:.3f}",
        "edgesr.memory_bytes_per_pixel": str(peak_bytes_per_pixel(plain)),
    }
    with replaced(path) as beside, replaced(typed) as typed_beside:
        for graph, kind, file in ((plain, "int8", beside), (half, "int8-typed", typed_beside)):
            helper.set_model_props(graph, metadata(graph) | notes | {"edgesr.graph": kind})
            check_rules(graph)
            file.write_bytes(graph.SerializeToString())
    return Int8Export(
        path=path,
        typed=typed,
        spec=spec,
        fp32_db=fp32_db,
        int8_db=int8_db,
        typed_db=typed_db,
        cost_db=cost_db,
        images=len(pairs),
        sensitivity=costs,
        float_layers=float_layers,
        fp32_nodes=islands,
        awkward_widths=awkward_widths(plain, INT8_WIDTH),
    )


def _chosen(
    model: onnx.ModelProto, pairs: Sequence[Pair], keep: Sequence[str]
) -> tuple[dict[str, Steps], dict[str, str], dict[str, str]]:
    """Steps of the convolutions that become INT8, why the others stay float, and why nodes stay FP32."""
    names, floats = int8_convolutions(model, keep)
    ranges = measured_ranges(model, [pair.low for pair in pairs])
    islands = fp32_islands(model, ranges)
    floats |= {name: islands[name] for name in names if name in islands}
    steps = steps_from_ranges(model, [name for name in names if name not in floats], ranges)
    for name, step in steps.items():
        for what, size in (("data", step.data), ("weights", float(step.weights.max()))):
            if size <= FINEST:
                floats[name] = f"its {what} are so small that a step of INT8 is below {FINEST:.1g}, FP16's normal range"
    steps = {name: step for name, step in steps.items() if name not in floats}
    if not steps:
        reasons = ", ".join(f"{name} ({why})" for name, why in floats.items()) or "there is none"
        raise InputError(f"no convolution can become INT8: {reasons}; build it with --precision fp16")
    return steps, floats, islands


def _int8_graphs(
    model: onnx.ModelProto, steps: Mapping[str, Steps], islands: Mapping[str, str], pair: Pair
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The graph with FP32 around its INT8, and the one with FP16."""
    snapped = on_grid(model, steps)
    newer = with_typed_opset(snapped)
    before, after = (upscaled(exact_session(graph), pair.low) for graph in (snapped, newer))
    if not np.array_equal(before, after):
        raise InputError(
            f"onnx {onnx.__version__} makes another graph of this one when it raises its opset; use another version"
        )
    return with_int8(snapped, steps), with_int8(fp16_from_fp32(newer, islands), steps)


def sensitivity(
    model: onnx.ModelProto, steps: Mapping[str, Steps], pairs: Sequence[Pair], spec: ModelSpec
) -> dict[str, float]:
    """What each convolution costs, in dB, when it alone is INT8; the dearest first.

    On the middle of up to four frames, at most 64x64 and smaller for a large network; where the size is fixed, on one whole frame.
    """
    small = pairs[:1] if fixed_size(model) else _small(pairs, spec, len(steps))
    best = _mean(model, small, spec)
    costs = {}
    for name in steps:
        alone = {name: steps[name]}
        costs[name] = best - _mean(with_int8(on_grid(model, alone), alone), small, spec)
    return dict(sorted(costs.items(), key=lambda entry: -entry[1]))


def _mean(model: onnx.ModelProto, pairs: Sequence[Pair], spec: ModelSpec) -> float:
    return float(np.mean(scores(model, pairs, spec.scale)))


def _small(pairs: Sequence[Pair], spec: ModelSpec, layers: int) -> list[Pair]:
    spread = np.unique(np.linspace(0, len(pairs) - 1, SENSITIVITY_IMAGES).astype(int))
    affordable = (SENSITIVITY_WORK / (layers * len(spread) * max(spec.multiply_adds_per_pixel, 1))) ** 0.5
    side = max(spec.min_size, int(np.clip(affordable, *SENSITIVITY_SIDES)))
    side += -side % spec.size_multiple
    return [_cut(pairs[index], side, spec.scale) for index in spread]


def _cut(pair: Pair, side: int, scale: int) -> Pair:
    height, width = (min(side, length) for length in pair.low.shape[:2])
    top, left = (pair.low.shape[0] - height) // 2, (pair.low.shape[1] - width) // 2
    low, high = (
        np.ascontiguousarray(pixels[top * by : (top + height) * by, left * by : (left + width) * by])
        for pixels, by in ((pair.low, 1), (pair.high, scale))
    )
    return Pair(low, high)


def _too_dear(
    spec: ModelSpec, fp32_db: float, cost_db: float, budget_db: float, images: int, costs: Mapping[str, float]
) -> str:
    worst = list(costs.items())[:WORST]
    layers = ", ".join(f"{name} {cost:.3f} dB" for name, cost in worst)
    return (
        f"{spec.title} has {fp32_db - cost_db:.2f} dB in INT8 and {fp32_db:.2f} dB in FP32 over {images} images: it costs "
        f"{cost_db:.2f} dB, more than {budget_db:g} dB; nothing was written. The dearest layers alone: {layers}. "
        f"Keep them in floating point (--int8-keep {worst[0][0]}), or allow more (--int8-budget-db)"
    )
