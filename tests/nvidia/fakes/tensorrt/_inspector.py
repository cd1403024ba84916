"""What the engine inspector prints. The one place that knows its formats.

8.6 and 10.x have one field `Format/Datatype` and the list `Bindings`; 11 splits the field and has `I/O Tensors`. 10.x
tells the bare type where no execution context was given. 8.6 does not escape the character between two nodes' names.
Sources: NVIDIA's page "Migrating IEngineInspector Usage from TensorRT 10.x to 11.x"; layers printed in NVIDIA/TensorRT issues 2418,
3583, 3876 and 4020 (names of fields, of formats and of tactics).
"""

import json
from typing import Any

import onnx
from onnx import TensorProto

from ._plan import element_types, fixed, precisions, shape_of, weights_of

__all__ = ["layers_json"]

TYPES = {
    "fp32": (
        "Float",
        "FP32",
        "f32f32_f32f32_f32_nhwckrsc_nchw_tilesize128x32x8_stage3_warpsize2x2x1_g1_ffma_aligna4_alignc4",
    ),
    "tf32": (
        "Float",
        "FP32",
        "tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize64x32x64_stage5_warpsize2x2x1_g1_tensor16x8x8",
    ),
    "fp16": (
        "Half",
        "FP16",
        "f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize64x32x64_stage5_warpsize2x2x1_g1_tensor16x8x16_t1r3s3",
    ),
    "bf16": (
        "BFloat16",
        "BF16",
        "bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize64x32x64_stage5_warpsize2x2x1_g1_tensor16x8x16",
    ),
    "int8": (
        "Int8",
        "Int8",
        "i8i8_i8i32_f32_nchw_vect_c_32kcrs_vect_c_32_tilesize32x64x64_stage6_warpsize2x2x1_g1_tensor16x8x32",
    ),
}
FORMATS = {
    "FP32": "Row major linear FP32",
    "FP16": "Channel major FP16 format where channel % 8 == 0",
    "BF16": "Channel major BF16 format where channel % 8 == 0",
    "Int8": "Thirty-two wide channel vectorized row major Int8 format",
}
OF_ONNX = {
    TensorProto.FLOAT: ("Float", "Row major linear FP32"),
    TensorProto.FLOAT16: ("Half", "Row major linear FP16 format"),
    TensorProto.BFLOAT16: ("BFloat16", "Row major linear BF16 format"),
    TensorProto.UINT8: ("UInt8", "Row major linear UInt8 format"),
    TensorProto.INT8: ("Int8", "Row major linear Int8 format"),
    TensorProto.INT32: ("Int32", "Row major linear INT32 format"),
}
SEPARATOR = "\x1e"


def layers_json(header: dict[str, Any], model: onnx.ModelProto, *, with_context: bool) -> str:
    """The text of get_engine_information(JSON). A convolution takes the Relu behind it along in one layer."""
    version: str = header["tensorrt"]
    known = fixed(model, {model.graph.input[0].name: header["profiles"][0][1]})
    shapes = {v.name: shape_of(v) for v in (*known.graph.input, *known.graph.value_info, *known.graph.output)}
    if not header["static"]:
        shapes = {name: [-1 if axis > 16 else axis for axis in shape] for name, shape in shapes.items()}
    wordy = (version.startswith("8.") or with_context) if header["static"] or with_context else None
    kinds, types = precisions(model, header), element_types(model)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    layers: list[Any] = []
    fused: set[str] = set()
    for node in model.graph.node:
        if node.name in fused or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        together = [node]
        after = readers.get(node.output[0], [])
        if node.name in kinds and len(after) == 1 and after[0].op_type in ("Relu", "LeakyRelu"):
            together.append(after[0])
            fused.add(after[0].name)
        title = " + ".join(part.name for part in together)
        if not header["detailed"]:
            layers.append(title)
            continue
        data, kind = node.input[:1], kinds.get(node.name)
        layer: dict[str, Any] = {
            "Name": title,
            "LayerType": _layer_type(node),
            "Inputs": [_tensor(name, version, shapes, types, kind, wordy) for name in data],
            "Outputs": [_tensor(name, version, shapes, types, kind, wordy) for name in together[-1].output],
        }
        if kind is not None:
            layer |= _convolution(model, node, kind, header["capability"], relu=len(together) > 1)
        layer |= {"StreamId": 0, "Metadata": SEPARATOR.join(f"[ONNX Layer: {part.name}]" for part in together)}
        layers.append(layer)
    ends = [*model.graph.input, *model.graph.output]
    if version.startswith("11."):
        io = [_end(value, number < len(model.graph.input), header) for number, value in enumerate(ends)]
        return json.dumps({"Layers": layers, "I/O Tensors": io})
    text = json.dumps({"Layers": layers, "Bindings": [value.name for value in ends]})
    return text.replace("\\u001e", SEPARATOR) if version.startswith("8.") else text


def _layer_type(node: onnx.NodeProto) -> str:
    kinds = {
        "Conv": "CaskConvolution",
        "ConvTranspose": "CaskDeconvolutionV2",
        "Cast": "Reformat",
        "Transpose": "Shuffle",
    }
    return kinds.get(node.op_type, "PointWiseV2")


def _tensor(
    name: str,
    version: str,
    shapes: dict[str, list[int]],
    types: dict[str, int],
    kind: "str | None",
    wordy: "bool | None",
) -> dict[str, Any]:
    """wordy: None where shapes are not known."""
    if kind is None:
        datatype, format_ = OF_ONNX.get(types.get(name, 1), ("Float", "Row major linear FP32"))
    else:
        datatype, short, _ = TYPES[kind]
        format_ = FORMATS[short]
    if wordy is None:
        format_ = "N/A due to dynamic shapes"
    entry: dict[str, Any] = {"Name": name, "Location": "Device", "Dimensions": shapes.get(name, [])}
    if version.startswith("11."):
        return entry | {"Format": format_, "DataType": datatype}
    return entry | {"Format/Datatype": datatype if wordy is False else format_}


def _convolution(
    model: onnx.ModelProto, node: onnx.NodeProto, kind: str, capability: str, *, relu: bool
) -> dict[str, Any]:
    weights = weights_of(model, node)
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    count = 1
    for size in weights:
        count *= size
    groups = int(attributes.get("group", 1))
    maps = weights[1] * groups if node.op_type == "ConvTranspose" else weights[0]
    kernel = weights[2:]
    pads = list(attributes.get("pads", [0] * 2 * len(kernel)))
    datatype, _, tactic = TYPES[kind]
    sm = capability.replace(".", "")
    return {
        "ParameterType": "Convolution" if node.op_type == "Conv" else "Deconvolution",
        "Kernel": kernel,
        "PaddingMode": "kEXPLICIT_ROUND_DOWN",
        "PrePadding": pads[: len(kernel)],
        "PostPadding": pads[len(kernel) :],
        "Stride": list(attributes.get("strides", [1] * len(kernel))),
        "Dilation": list(attributes.get("dilations", [1] * len(kernel))),
        "OutMaps": maps,
        "Groups": groups,
        "Weights": {"Type": datatype, "Count": count},
        "Bias": {"Type": "Float" if kind == "int8" else datatype, "Count": maps if len(node.input) > 2 else 0},
        "HasBias": int(len(node.input) > 2),
        "HasReLU": int(relu),
        "HasSparseWeights": 0,
        "HasDynamicFilter": 0,
        "HasDynamicBias": 0,
        "HasResidual": 0,
        "ConvXAsActInputIdx": -1,
        "BiasAsActInputIdx": -1,
        "ResAsActInputIdx": -1,
        "Activation": "RELU" if relu else "NONE",
        "TacticName": f"sm{'80' if sm in ('87', '89') else sm}_xmma_fprop_implicit_gemm_{tactic}",
        "TacticValue": "0x7121ec1db3f80c67",
    }


def _end(value: onnx.ValueInfoProto, is_input: bool, header: dict[str, Any]) -> dict[str, Any]:
    profile = header["profiles"][0]
    names = {"MinShape": 0, "OptShape": 1, "MaxShape": 2}
    entry: dict[str, Any] = {
        "Name": value.name,
        "IOMode": "Input" if is_input else "Output",
        "DataType": "UInt8",
        "Dimensions": shape_of(value),
        "Location": "Device",
        "IsShapeInferenceIO": False,
    }
    shapes = {name: profile[which] for name, which in names.items()} if is_input else {}
    return entry | {"ProfileInfo": [shapes | {"Format": "Row major linear UInt8 format (kLINEAR)"}]}
