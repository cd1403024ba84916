"""A model seen by its tensors: what type each has, who makes it, who reads it. Needs no torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgesr.export.onnx_graph import copied

__all__ = ["ANY_TYPE", "FLOAT", "FLOAT16", "Tensors", "drop_unread", "prepared", "stays_float"]

FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16
ANY_TYPE = {"Cast", "Shape", "Size"}
"""Operators that read a float of either width as it comes."""
OPSET = 17


@dataclass(frozen=True)
class Tensors:
    """types: ONNX element type by name; constants: initialisers by name; maker, readers: nodes by name of tensor."""

    types: dict[str, int]
    constants: dict[str, NDArray[Any]]
    maker: dict[str, onnx.NodeProto]
    readers: dict[str, list[onnx.NodeProto]]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> "Tensors":
        graph = onnx.shape_inference.infer_shapes(model).graph
        types = {v.name: v.type.tensor_type.elem_type for v in [*graph.input, *graph.value_info, *graph.output]}
        types |= {constant.name: constant.data_type for constant in graph.initializer}
        readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in filter(None, dict.fromkeys(node.input)):
                readers.setdefault(name, []).append(node)
        constants = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
        return cls(types, constants, {name: node for node in model.graph.node for name in node.output}, readers)

    def computed(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are neither empty nor constants."""
        return [name for name in names if name and name not in self.constants]

    def makers(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes whose results `node` reads."""
        return [self.maker[name] for name in node.input if name in self.maker]

    def floats(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are FP32 tensors."""
        return [name for name in names if self.types.get(name) == FLOAT]


def stays_float(node: onnx.NodeProto, position: int) -> bool:
    """Whether ONNX knows this input of the operator as FP32 only, as it does the scales of Resize."""
    inputs = onnx.defs.get_schema(node.op_type, OPSET, node.domain).inputs
    return bool(inputs[min(position, len(inputs) - 1)].type_str == "tensor(float)")  # the last may be many


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has a name of its own and every constant is an initialiser."""
    copy = copied(model)
    names: set[str] = set()
    for position, node in enumerate(list(copy.graph.node)):
        if node.op_type == "Constant":
            value = helper.get_node_attr_value(node, "value")
            copy.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value), node.output[0]))
            copy.graph.node.remove(node)
        elif not node.name or node.name in names:
            node.name = f"{node.name or node.op_type}.{position}"
        names.add(node.name)
    return copy


def drop_unread(graph: onnx.GraphProto) -> None:
    """Nodes and constants that nothing reads any more."""
    read = {end.name for end in graph.output}
    for node in reversed(list(graph.node)):
        if read.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            read.update(node.input)
    for constant in list(graph.initializer):
        if constant.name not in read:
            graph.initializer.remove(constant)
