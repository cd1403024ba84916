"""What TensorRT asks of explicit INT8: pairs of QuantizeLinear and DequantizeLinear, and nothing else between the two.

Sources: onnx-tensorrt, branch 8.6-GA (ee0b139), builtin_op_importers.cpp, QuantDequantLinearHelper: three inputs, zero points all
zero and as many as scales, scales positive, a scale for each channel for weights alone and along a stated axis (its default is 0,
ONNX's is 1).
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgesr.export.tensors import Tensors

__all__ = ["QUANTISERS", "broken_int8_rules", "quantised_weights"]

QUANTISERS = {"QuantizeLinear", "DequantizeLinear"}


def broken_int8_rules(model: onnx.ModelProto, tensors: Tensors) -> Iterator[tuple[str, str]]:
    """Name of a node and the rule that it breaks, in the graph's order."""
    weights = quantised_weights(model, tensors)
    for node in model.graph.node:
        if node.op_type in QUANTISERS:
            if rule := _broken_by_quantiser(node, tensors, weights):
                yield node.name, rule
        elif any(tensors.types.get(name) == TensorProto.INT8 for name in node.input):
            yield node.name, "reads INT8; only a DequantizeLinear may"


def quantised_weights(model: onnx.ModelProto, tensors: Tensors) -> dict[str, str]:
    """Name of what a QuantizeLinear or DequantizeLinear makes of a constant alone -> the constant's name."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        source = found.get(node.input[0], node.input[0]) if node.op_type in QUANTISERS else ""
        if source in tensors.constants:
            found[node.output[0]] = source
    return found


def _broken_by_quantiser(node: onnx.NodeProto, tensors: Tensors, weights: dict[str, str]) -> str:
    """The first rule that a QuantizeLinear or DequantizeLinear breaks; empty: none."""
    if len(node.input) != 3 or not tensors.constants.keys() >= set(node.input[1:]):
        return "needs a constant scale and a constant zero point"
    scale, zero = (tensors.constants[name] for name in node.input[1:])
    if zero.dtype != np.int8:
        return f"has a zero point of {zero.dtype}; expected int8"
    if zero.any():
        return f"has the zero point {zero.ravel()[zero.ravel() != 0][0]}; TensorRT knows 0 alone"
    if zero.size != scale.size:
        return f"has {zero.size} zero points for {scale.size} scales"
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        return "has a scale that is not positive, or infinite"
    if scale.size > 1 and (rule := _broken_by_axis(node, scale.size, tensors, weights)):
        return rule
    return _broken_by_pair(node, tensors) if node.op_type == "DequantizeLinear" else ""


def _broken_by_axis(node: onnx.NodeProto, scales: int, tensors: Tensors, weights: dict[str, str]) -> str:
    source = weights.get(node.output[0])
    if source is None:
        return f"has {scales} scales for values of the frame; only weights may have one for each channel"
    shape = tensors.constants[source].shape
    axis = next((helper.get_attribute_value(a) for a in node.attribute if a.name == "axis"), None)
    if axis is None or not -len(shape) <= axis < len(shape) or shape[axis] != scales:
        return f"has {scales} scales along axis {axis} of weights {shape}; expected as many as there are channels"
    return ""


def _broken_by_pair(node: onnx.NodeProto, tensors: Tensors) -> str:
    before = tensors.maker.get(node.input[0])
    if before is None or before.op_type != "QuantizeLinear":
        return "reads INT8 that no QuantizeLinear made"
    scale = tensors.constants.get(next(iter(before.input[1:2]), ""))
    if scale is None or not np.array_equal(scale, tensors.constants[node.input[1]]):
        return f"has another scale than {before.name}, which made its INT8"
    return ""
