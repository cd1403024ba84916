"""The fake's plan: a header that says how it was built, the ONNX, and a checksum; and what its convolutions compute in."""

import json
import zlib
from typing import Any

import onnx
from onnx import TensorProto

__all__ = ["fixed", "pack", "precisions", "shape_of", "unpack", "weights_of"]

MAGIC = b"FAKEPLAN"


def pack(header: dict[str, Any], model: bytes) -> bytes:
    text = json.dumps(header).encode()
    body = len(text).to_bytes(4, "little") + text + model
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def unpack(plan: bytes) -> "tuple[dict[str, Any], bytes] | None":
    """None for anything that `pack` did not write."""
    if plan[:8] != MAGIC or zlib.crc32(plan[12:]) != int.from_bytes(plan[8:12], "little"):
        return None
    size = int.from_bytes(plan[12:16], "little")
    return json.loads(plan[16 : 16 + size]), plan[16 + size :]


def fixed(model: onnx.ModelProto, shapes: dict[str, list[int]]) -> onnx.ModelProto:
    """A copy with these input shapes and all that follows from them."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for value in copy.graph.input:
        for axis, size in zip(value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False):
            axis.dim_value = size
    del copy.graph.value_info[:]
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(copy, data_prop=True)


def shape_of(value: onnx.ValueInfoProto) -> list[int]:
    """-1 for what is not known."""
    return [axis.dim_value if axis.HasField("dim_value") else -1 for axis in value.type.tensor_type.shape.dim]


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model)
    values = [*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {constant.name: constant.data_type for constant in inferred.graph.initializer}


def weights_of(model: onnx.ModelProto, node: onnx.NodeProto) -> "list[int]":
    """Shape of a convolution's kernel, also behind Q/DQ."""
    constants = {constant.name: constant for constant in model.graph.initializer}
    maker = {output: other for other in model.graph.node for output in other.output}
    name = node.input[1]
    while name not in constants and name in maker:
        name = maker[name].input[0]
    return list(constants[name].dims) if name in constants else []


def precisions(model: onnx.ModelProto, header: dict[str, Any]) -> dict[str, str]:
    """Name of each convolution -> fp32, tf32, fp16, bf16 or int8, as TensorRT would decide."""
    types = element_types(model)
    maker = {output: node.op_type for node in model.graph.node for output in node.output}
    pinned = set(header["pinned"]) if header["obeys"] else set()
    plain = "tf32" if "TF32" in header["flags"] else "fp32"
    found = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        quantised = all(maker.get(name) == "DequantizeLinear" for name in node.input[:2])
        if header["fp32_anyway"]:
            kind = plain
        elif quantised:
            kind = "int8"
        elif header["typed"]:
            by_type = {TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
            kind = by_type.get(types.get(node.input[0], TensorProto.FLOAT), plain)
        elif node.name in pinned:
            kind = plain
        else:
            kind = "fp16" if "FP16" in header["flags"] else "bf16" if "BF16" in header["flags"] else plain
        found[node.name] = kind
    return found
