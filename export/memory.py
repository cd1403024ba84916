"""How much memory a graph needs while it runs, from the shapes of its tensors."""

from collections import Counter

import onnx

from edgesr.export.onnx_graph import copied

__all__ = ["peak_bytes_per_pixel", "with_shapes"]


def peak_bytes_per_pixel(model: onnx.ModelProto, width: int = 64, height: int = 48) -> float:
    """Bytes alive at the worst moment, for each pixel of the input, if every tensor goes after its last use.

    A graph with open sizes is measured at width x height.
    """
    graph = with_shapes(model, width, height)
    sizes = {value.name: _bytes(value) for value in [*graph.input, *graph.value_info, *graph.output]}
    constants = {constant.name for constant in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input if name not in constants)
    uses.update(output.name for output in graph.output)
    alive = peak = sum(sizes[value.name] for value in graph.input)
    for node in graph.node:
        alive += sum(sizes.get(name, 0) for name in node.output)
        peak = max(peak, alive)
        for name in node.input:
            uses[name] -= name in uses
            if name in uses and uses[name] == 0:
                alive -= sizes.get(name, 0)
    shape = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    return float(peak) / int(shape[1] * shape[2] if shape[-1] == 3 else shape[2] * shape[3])


def with_shapes(model: onnx.ModelProto, width: int = 64, height: int = 48) -> onnx.GraphProto:
    """The graph with the shape of every tensor; open sizes become width x height."""
    sized = copied(model)
    for dim in sized.graph.input[0].type.tensor_type.shape.dim:
        if dim.dim_param:
            dim.dim_value = {"width": width, "height": height}[dim.dim_param]
    del sized.graph.value_info[:]
    for output in sized.graph.output:  # to be inferred anew: their open sizes have names of their own
        output.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(sized, data_prop=True).graph


def _bytes(value: onnx.ValueInfoProto) -> int:
    tensor = value.type.tensor_type
    count = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    for dim in tensor.shape.dim:
        count *= dim.dim_value
    return int(count)
