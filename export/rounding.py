"""What an FP16 graph computes where FP16 is real, shown on a CPU: computed in FP32, every FP16 result rounded."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgesr.export.onnx_graph import copied
from edgesr.export.tensors import FLOAT, FLOAT16, Tensors

__all__ = ["rounded_in_fp32"]


def rounded_in_fp32(model: onnx.ModelProto) -> onnx.ModelProto:
    """An FP16-typed graph → an FP32 graph that rounds to FP16, and overflows, where that one does.

    Behind every node with an FP16 result stand two explicit casts, which ONNX Runtime keeps. Sums inside a
    convolution are FP32; a GPU kernel that adds in FP16 rounds more often than this.
    """
    types = Tensors.of(model).types
    copy = copied(model)
    nodes: list[onnx.NodeProto] = []
    for node in copy.graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == FLOAT16:
                attribute.i = FLOAT
            if attribute.HasField("t") and attribute.t.data_type == FLOAT16:
                attribute.t.CopyFrom(_widened(attribute.t))
        nodes.append(node)
        for position, name in enumerate(node.output):
            if types.get(name) == FLOAT16:
                exact, half = f"{name}.exact", f"{name}.half"
                node.output[position] = exact
                nodes.append(helper.make_node("Cast", [exact], [half], name=half, to=FLOAT16))
                nodes.append(helper.make_node("Cast", [half], [name], name=f"{name}.rounded", to=FLOAT))
    constants = [_widened(c) if c.data_type == FLOAT16 else c for c in model.graph.initializer]
    copy.graph.ClearField("node")
    copy.graph.ClearField("initializer")
    copy.graph.ClearField("value_info")
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(constants)
    return copy


def _widened(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
