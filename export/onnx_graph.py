"""A small hand for editing ONNX graphs: add nodes at either end, and push a channel-wise map into what is there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

__all__ = ["Graph", "copied"]

Array = NDArray[Any]


class Graph:
    """Wraps a model's graph while it is edited. Names of what is added start with `prefix`."""

    def __init__(self, model: onnx.ModelProto, prefix: str) -> None:
        self.prefix, self.added = prefix, 0
        self.input, self.output = model.graph.input[0].name, model.graph.output[0].name
        self.sizes = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]  # 0 where open
        self.versions = {"opset_imports": list(model.opset_import), "ir_version": model.ir_version}
        self.nodes = list(copied(model).graph.node)
        self.head: list[onnx.NodeProto] = []
        self.tail: list[onnx.NodeProto] = []
        self.into = self.tail
        self.constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        self.channels = _channels(model)

    def constant(self, value: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """A new initialiser; its name."""
        name = self._name("constant")
        self.constants[name] = np.asarray(value, dtype)
        return name

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A new node at the end in work (`head` or `tail`); its output's name, or their names where there are several."""
        names = [self._name(kind) for _ in range(outputs)]
        self.into.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x: str, weight: ArrayLike, bias: ArrayLike, *, group: int = 1) -> str:
        """A convolution without padding; weight is (out, in / group, height, width)."""
        kernel = np.asarray(weight).shape[2:]
        return str(
            self.add("Conv", x, self.constant(weight), self.constant(bias), kernel_shape=list(kernel), group=group)
        )

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        return next((node for node in self.nodes if tensor in node.output), None)

    def uses(self, tensor: str) -> int:
        return sum(list(node.input).count(tensor) for node in self.nodes) + int(tensor == self.output)

    def feed(self, tensor: str) -> None:
        """Let the graph read `tensor` where it read its input."""
        for node in self.nodes:
            for position, name in enumerate(node.input):
                if name == self.input:
                    node.input[position] = tensor
        self.input = tensor

    def mapped(self, tensor: str, order: Sequence[int], gain: float, offset: float = 0.0) -> str:
        """The name of a tensor that equals gain * tensor[:, order] + offset, (N, C, H, W).

        Folded into the convolutions, sums and constants that made the tensor as far as they let it, so that
        nothing is left to compute; what they do not let becomes a node right there.
        """
        node = self.producer(tensor)
        if node is not None and self.uses(tensor) == 1:
            if node.op_type == "Conv" and node.input[1] in self.constants:
                return self._map_conv(node, list(order), gain, offset)
            if node.op_type == "Add":
                return self._map_add(node, order, gain, offset)
            if node.op_type == "Resize" and not offset:  # linear, channel by channel: cheaper before than behind
                node.input[0] = self.mapped(node.input[0], order, gain)
                return tensor
        return self._map_by_nodes(tensor, order, gain, offset)

    def _map_conv(self, node: onnx.NodeProto, order: list[int], gain: float, offset: float) -> str:
        weight = self.constants[node.input[1]]
        biased = len(node.input) > 2 and node.input[2] in self.constants
        bias = self.constants[node.input[2]] if biased else np.zeros(len(weight), np.float32)
        inputs = [node.input[0], self.constant(weight[order] * gain), self.constant(bias[order] * gain + offset)]
        del node.input[:]
        node.input.extend(inputs)
        return str(node.output[0])

    def _map_add(self, node: onnx.NodeProto, order: Sequence[int], gain: float, offset: float) -> str:
        left, right = node.input
        if left in self.constants or self._channels(left) == 1:
            left, right = right, left
        right_order = order if self._channels(right) != 1 else [0]
        if right in self.constants:
            value = self.constants[right]
            right = self.constant(np.take(value, right_order, axis=-3) * gain if value.ndim > 2 else value * gain)
        else:
            right = self.mapped(right, right_order, gain)
        node.input[0], node.input[1] = self.mapped(left, order, gain, offset), right
        return str(node.output[0])

    def _map_by_nodes(self, tensor: str, order: Sequence[int], gain: float, offset: float) -> str:
        new: list[onnx.NodeProto] = []
        kept, self.into = self.into, new
        out: str = tensor
        if list(order) != list(range(len(order))):
            out = self.add("Gather", out, self.constant(order, np.int64), axis=1)
        if gain != 1:
            out = self.add("Mul", out, self.constant(gain))
        if offset:
            out = self.add("Add", out, self.constant(offset))
        self.into = kept
        place = next((i + 1 for i, node in enumerate(self.nodes) if tensor in node.output), 0)
        self.nodes[place:place] = new
        return out

    def _channels(self, tensor: str) -> int | None:
        if tensor in self.constants:
            shape = self.constants[tensor].shape
            return int(shape[-3]) if len(shape) > 2 else 1
        return self.channels.get(tensor)

    def finish(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The edited model with new ends and only the constants that are used."""
        nodes = [*self.head, *self.nodes, *self.tail]
        used = {name for node in nodes for name in node.input}
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items() if name in used]
        graph = helper.make_graph(nodes, self.prefix, inputs, outputs, constants)
        return helper.make_model(graph, **self.versions)

    def _name(self, kind: str) -> str:
        self.added += 1
        return f"{self.prefix}.{kind}_{self.added}"


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    new = onnx.ModelProto()
    new.CopyFrom(model)
    return new


def _channels(model: onnx.ModelProto) -> dict[str, int]:
    """Channels of every (N, C, H, W) tensor whose shape can be inferred."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    dims = {v.name: v.type.tensor_type.shape.dim for v in [*graph.input, *graph.value_info, *graph.output]}
    return {name: dim[1].dim_value for name, dim in dims.items() if len(dim) == 4}
