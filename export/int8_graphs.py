"""Where INT8 stands in a graph: which convolutions may have it, and how Q and DQ are put around them.

`onnxruntime.quantization` was tried (1.23, 1.31) and not taken: whoever else reads a convolution's input, the skip above all, is
made to read the quantised values too, in RDSRN 42 nodes, which costs 0.032 dB on Set5 instead of 0.020. Placement follows NVIDIA's own tool (Model-Optimizer, onnx/quantization/int8.py): a pair of Q
and DQ on the data and one on the weights of each convolution, none on its result, no integer bias. Unlike there, what a residual
sum adds stays float as well: it runs through a whole network, and every pair on its way would round it again.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, version_converter

from edgesr.export.islands import made_from_statistics
from edgesr.export.ranges import TensorRange
from edgesr.export.rules import OURS
from edgesr.export.tensors import Tensors, drop_unread, prepared
from edgesr.runtime.errors import InputError

__all__ = ["FINEST", "Steps", "int8_convolutions", "on_grid", "steps_from_ranges", "with_int8", "with_typed_opset"]

TYPED_OPSET = 19  # the first whose QuantizeLinear knows FP16
TYPED_IR = 9  # what ONNX 1.14, which opset 19 came with, writes
CONVOLUTIONS = ("Conv", "ConvTranspose")
GROUP_MULTIPLE = 4  # NvInfer.h, IConvolutionLayer::setNbGroups, the same in 8.6 and 10
LARGEST = 127  # -128 stays unused, as TensorRT does with weights
FINEST = float(np.finfo(np.float16).smallest_normal)
"""The smallest step that every file holds in full, and whose reciprocal FP16 holds as well."""


@dataclass(frozen=True)
class Steps:
    """What one count of INT8 is worth: in a convolution's input, and in the weights of each output channel, (out,)."""

    data: float
    weights: NDArray[np.float32]


def int8_convolutions(model: onnx.ModelProto, keep: Collection[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Names of the convolutions that may become INT8, and of those that stay float -> why; `model` as `prepared` gives it.

    keep: further ones that shall stay float. Raises InputError for a name that no convolution has.
    """
    convolutions = {node.name: node for node in model.graph.node if node.op_type in CONVOLUTIONS}
    for name in keep:
        if name not in convolutions:
            close = get_close_matches(name, convolutions, cutoff=0.4) or list(convolutions)[:3]
            raise InputError(f"no convolution is called {name}; expected one such as {', '.join(close)}")
    tensors = Tensors.of(model)
    small = made_from_statistics(model, tensors)
    first = _outermost(model.graph.node, "input", "output")
    last = _outermost(reversed(model.graph.node), "output", "input")
    floats = {}
    for name, node in convolutions.items():
        if name.startswith(OURS):
            floats[name] = "converts colours"
        elif small.issuperset(node.output):
            floats[name] = "works on statistics, one value a channel"
        elif name in first:
            floats[name] = "first convolution of the network"
        elif name in last:
            floats[name] = "makes the pixels of the frame"
        elif reason := _unfit(node, tensors):
            floats[name] = reason
        elif name in keep:
            floats[name] = "asked for"
    return [name for name in convolutions if name not in floats], floats


def _unfit(node: onnx.NodeProto, tensors: Tensors) -> str:
    """Why TensorRT would not, or not well, compute a convolution in INT8. Empty: nothing is against it."""
    if node.op_type == "ConvTranspose":
        return "transposed: TensorRT fuses nothing to it in INT8 (NVIDIA/TensorRT, issues 1699 and 2597)"
    if node.input[1] not in tensors.constants:
        return "its weights are computed"
    weight = tensors.constants[node.input[1]]
    group = next((helper.get_attribute_value(a) for a in node.attribute if a.name == "group"), 1)
    if group > 1 and (weight.shape[1] % GROUP_MULTIPLE or len(weight) // group % GROUP_MULTIPLE):
        return f"in groups of {weight.shape[1]} to {len(weight) // group} channels; INT8 takes multiples of {GROUP_MULTIPLE}"
    return ""


def _outermost(nodes: Iterable[onnx.NodeProto], near: str, far: str) -> set[str]:
    """Names of the network's convolutions that no other of them comes before, in the order of `nodes`."""
    found: set[str] = set()
    beyond: set[str] = set()
    for node in nodes:
        network = node.op_type in CONVOLUTIONS and not node.name.startswith(OURS)
        reached = not beyond.isdisjoint(getattr(node, near))
        if network and not reached:
            found.add(node.name)
        if network or reached:
            beyond.update(getattr(node, far))
    return found


def steps_from_ranges(
    model: onnx.ModelProto, names: Collection[str], ranges: Mapping[str, TensorRange]
) -> dict[str, Steps]:
    """Steps for the convolutions named, numbers that FP16 holds: 127 is the largest value seen, and of each channel's weights.

    Nothing is clipped. With the end of INT8 where the squared error is least, chosen on BSDS500, PSNR on Set14 is no better (ECBSR
    0.053 dB below FP32 instead of 0.051, RDSRN 0.043 instead of 0.017), and single pixels are off by 84 and 56 instead of 44 and 32.
    Entropy and the 99.99th percentile are alike on Set5, the 99.9th costs RDSRN 0.37 dB (2026-11-21).
    """
    constants = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
    steps = {}
    for node in model.graph.node:
        if node.name in names:
            weight = constants[node.input[1]]
            weights = np.abs(weight).reshape(len(weight), -1).max(axis=1) / LARGEST
            data = np.float16(ranges[node.input[0]].magnitude / LARGEST)
            steps[node.name] = Steps(float(data), np.maximum(weights, FINEST).astype(np.float16).astype(np.float32))
    return steps


def on_grid(model: onnx.ModelProto, steps: Mapping[str, Steps]) -> onnx.ModelProto:
    """A copy whose INT8 convolutions have the weights that INT8 makes of theirs, still as floats.

    So every file and every runtime has the same INT8 weights, however FP16 and they round.
    """
    model = prepared(model)
    constants = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
    snapped: dict[str, onnx.TensorProto] = {}
    for node in model.graph.node:
        if node.name in steps:
            name = f"{node.input[1]}.int8"
            weight = constants[node.input[1]]
            step = steps[node.name].weights.reshape(-1, *[1] * (weight.ndim - 1))
            snapped[name] = numpy_helper.from_array(np.clip(np.rint(weight / step), -LARGEST, LARGEST) * step, name)
            node.input[1] = name
    model.graph.initializer.extend(snapped.values())
    drop_unread(model.graph)
    return model


def with_int8(model: onnx.ModelProto, steps: Mapping[str, Steps]) -> onnx.ModelProto:
    """A copy, FP32 or FP16-typed, in which the convolutions named read data and weights through Q and DQ of their own.

    Scales have the type of what is quantised; zero points are 0, as TensorRT demands. `onnx.checker` has seen it.
    """
    model = prepared(model)
    tensors = Tensors.of(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.name in steps:
            for position, step in enumerate((np.float32(steps[node.name].data), steps[node.name].weights)):
                dtype = helper.tensor_dtype_to_np_dtype(tensors.types[node.input[position]])
                pair, stored = _pair(node, position, np.asarray(step, dtype))
                nodes += pair
                model.graph.initializer.extend(stored)
                node.input[position] = pair[-1].output[0]
        nodes.append(node)
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _pair(
    node: onnx.NodeProto, position: int, step: NDArray[Any]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Q and DQ for one input of a convolution, and the constants they read. A step for each output channel: along axis 0."""
    what = ("data", "weights")[position]
    axis: dict[str, Any] = {"axis": 0} if step.ndim else {}
    scale, zero, quantised, floats = (
        f"{node.name}.{what}.{end}" for end in ("scale", "zero", "QuantizeLinear", "DequantizeLinear")
    )
    pair = [
        helper.make_node("QuantizeLinear", [node.input[position], scale, zero], [quantised], name=quantised, **axis),
        helper.make_node("DequantizeLinear", [quantised, scale, zero], [floats], name=floats, **axis),
    ]
    return pair, [numpy_helper.from_array(step, scale), numpy_helper.from_array(np.zeros(step.shape, np.int8), zero)]


def with_typed_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in the opset that typed INT8 needs. Raises InputError where ONNX knows no way."""
    try:
        converted = version_converter.convert_version(model, TYPED_OPSET)
    except (RuntimeError, ValueError) as error:  # ConvertError is a RuntimeError
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"this graph cannot be brought to opset {TYPED_OPSET}: {reason}") from error
    converted.ir_version = TYPED_IR
    return prepared(converted)
