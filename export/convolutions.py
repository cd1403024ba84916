"""What the convolutions of a graph cost: the weight that each has in the proof of an engine's precision."""

import onnx

from edgesr.export.memory import with_shapes
from edgesr.export.proof import Convolution
from edgesr.export.tensors import prepared

__all__ = ["convolutions"]

KINDS = ("Conv", "ConvTranspose")


def convolutions(model: onnx.ModelProto) -> list[Convolution]:
    """Multiply-adds of every convolution for one pixel of the input, in the graph's order; nodes must have names of their own."""
    graph = with_shapes(prepared(model))
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.value_info, *graph.output]
    }
    shapes |= {constant.name: list(constant.dims) for constant in graph.initializer}
    _, height, width, _ = shapes[graph.input[0].name]
    found = []
    for node in graph.node:
        if node.op_type not in KINDS:
            continue
        out_channels, in_channels, *kernel = shapes[node.input[1]]  # of a group; (in, out) for ConvTranspose
        _, _, *positions = shapes[node.output[0] if node.op_type == "Conv" else node.input[0]]
        multiply_adds = out_channels * in_channels
        for side in (*kernel, *positions):
            multiply_adds *= side
        found.append(Convolution(node.name, multiply_adds / (height * width)))
    return found
