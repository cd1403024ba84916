"""Which nodes of a graph must stay FP32 when the rest becomes FP16, and why. Decided by the graph and by measured ranges."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
import onnx
from onnx import helper

from edgesr.export.ranges import TensorRange
from edgesr.export.tensors import ANY_TYPE, Tensors, stays_float
from edgesr.runtime.errors import InputError

__all__ = ["LEAST_HEADROOM", "fp32_islands", "made_from_statistics", "statistics"]

LEAST_HEADROOM = 8.0  # frames that nobody measured reach further than those that somebody did
LARGEST = float(np.finfo(np.float16).max)
SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)
ROUNDING = 2.0**-11  # of FP16, relative

SUMMED = {"ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"}
POOLED = {"GlobalAveragePool", "GlobalLpPool", "InstanceNormalization"}
ARITHMETIC = {"Abs", "Add", "Div", "Exp", "Log", "Mul", "Neg", "Pow", "Reciprocal", "Sqrt", "Sub", "Max", "Min"}
BEFORE_A_SUM = {"Abs", "Div", "Exp", "Mul", "Pow", "Sqrt", "Sub"}
"""What belongs to a statistic when it feeds one: (x - mean)², not the sum of branches that x is."""


def fp32_islands(model: onnx.ModelProto, ranges: Mapping[str, TensorRange]) -> dict[str, str]:
    """Name of each node that computes in FP32 -> why, in the graph's order; `ranges` as `measured_ranges` gives them.

    Raises InputError for a constant that no float type holds (NaN or infinite).
    """
    tensors = Tensors.of(model)
    found: dict[str, str] = dict.fromkeys(statistics(model, tensors), "statistic of the whole frame")
    for node in model.graph.node:
        reason = _unfit_constant(node, tensors, ranges) or _beyond_range(node, ranges)
        if reason and node.op_type not in ANY_TYPE:
            found.setdefault(node.name, reason)
    return {node.name: found[node.name] for node in model.graph.node if node.name in found}


def _beyond_range(node: onnx.NodeProto, ranges: Mapping[str, TensorRange]) -> str:
    """Why a node's range forbids FP16: it makes, or reads, a tensor that is too loud or too quiet. Empty: it does not."""
    for verb, names in (("makes", node.output), ("reads", node.input)):
        for name in (name for name in names if name in ranges):
            largest, headroom = ranges[name].magnitude, ranges[name].headroom
            if headroom < LEAST_HEADROOM:
                return f"{verb} values up to {largest:.5g}: headroom {headroom:.2g}"
            if 0 < largest < SMALLEST_NORMAL:
                return f"{verb} values of {largest:.2g} at most: FP16 has its full precision from {SMALLEST_NORMAL:.1g}"
    return ""


def statistics(model: onnx.ModelProto, tensors: Tensors) -> list[str]:
    """Names of the nodes that make up means and deviations over height or width.

    Those that sum over the frame; the arithmetic on pixels that feeds them; and the arithmetic behind them until
    pixels, or learnt weights of a convolution, come in.
    """
    sums = [node for node in model.graph.node if _sums_over_the_frame(node, tensors)]
    found = {node.name for node in sums}
    _walk(sums, tensors.makers, lambda node: node.op_type in BEFORE_A_SUM, found)
    small = made_from_statistics(model, tensors, through=ARITHMETIC)
    found |= {node.name for node in model.graph.node if small.issuperset(node.output)}
    return [node.name for node in model.graph.node if node.name in found]


def _walk(
    start: list[onnx.NodeProto],
    step: Callable[[onnx.NodeProto], list[onnx.NodeProto]],
    wanted: Callable[[onnx.NodeProto], bool],
    found: set[str],
) -> None:
    todo = list(start)
    while todo:
        for node in step(todo.pop()):
            if wanted(node) and node.name not in found:
                found.add(node.name)
                todo.append(node)


def made_from_statistics(
    model: onnx.ModelProto, tensors: Tensors, *, through: Collection[str] | None = None
) -> set[str]:
    """Tensors that are computed from sums over the frame and constants alone: one value a channel, no pixels.

    through: operators that may stand between; None: all.
    """
    found: set[str] = set()
    for node in model.graph.node:
        read = tensors.computed(node.input)
        pooled = node.op_type != "InstanceNormalization" and _sums_over_the_frame(node, tensors)
        behind = read and found.issuperset(read) and (through is None or node.op_type in through)
        if pooled or behind:
            found.update(node.output)
    return found


def _sums_over_the_frame(node: onnx.NodeProto, tensors: Tensors) -> bool:
    if node.op_type not in SUMMED:
        return node.op_type in POOLED
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    axes = attributes.get("axes")
    if len(node.input) > 1 and node.input[1]:  # ReduceSum of opset 13
        axes = tensors.constants.get(node.input[1])
    return axes is None or any(axis in (2, 3, -1, -2) for axis in axes)  # (1, C, H, W)


def _unfit_constant(node: onnx.NodeProto, tensors: Tensors, ranges: Mapping[str, TensorRange]) -> str:
    """Why a constant forbids FP16: it is too large, or so small that FP16's rounding of it would show."""
    for position, name in enumerate(node.input):
        if name not in tensors.constants or not tensors.floats([name]) or stays_float(node, position):
            continue
        value = tensors.constants[name].astype(np.float64)
        if not np.isfinite(value).all():
            raise InputError(f"constant {name} of node {node.name} holds NaN or infinity: its training diverged")
        if value.size and np.abs(value).max() > LARGEST:
            return f"constant {name} reaches {np.abs(value).max():.5g}, beyond FP16's {LARGEST:.0f}"
        if value.size and _rounding_shows(node, position, value, ranges):
            smallest = np.abs(value[value != 0]).min()
            return f"constant {name} holds {smallest:.2g}, which FP16 would make {float(np.float16(smallest)):.2g}"
    return ""


def _rounding_shows(node: onnx.NodeProto, position: int, value: np.ndarray, ranges: Mapping[str, TensorRange]) -> bool:
    """Whether FP16 loses more of a constant below its normal range (6.1e-5) than it rounds off elsewhere anyway.

    Weights of a convolution and terms of a sum are measured by the node's result, all else by the constant's largest
    value; but where FP16 would make nothing but zeros of a constant, as of the 1e-8 that guards a division, it always shows.
    """
    tiny = np.abs(value) < SMALLEST_NORMAL
    lost = np.where(tiny, np.abs(value - value.astype(np.float16)), 0.0)
    measured = ranges.get(node.output[0])
    if node.op_type == "Conv" and measured and node.input[0] in ranges:
        fed = ranges[node.input[0]].magnitude if position == 1 else 1.0
        lost_at_most = lost.reshape(len(lost), -1).sum(axis=1).max() * fed
        return bool(lost_at_most > ROUNDING * measured.magnitude)
    if node.op_type in ("Add", "Sub") and measured and value.astype(np.float16).any():
        return bool(lost.max() > ROUNDING * measured.magnitude)
    return bool(lost.max() > ROUNDING * np.abs(value).max())
