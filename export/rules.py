"""What TensorRT asks of a deployed graph, checked before a file is installed; and which widths its tensor cores dislike.

Sources: onnx-tensorrt, branch 8.6-GA (ee0b139), docs/operators.md (operators, opset) and builtin_op_importers.cpp (cubic Resize,
which operators.md leaves out); NvInferRuntimeBase.h, the same in 8.6, 10.13 and 11.1 (bytes: cast at the edge, truncating).
"""

from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, helper

from edgesr.export.int8_rules import QUANTISERS, broken_int8_rules, quantised_weights
from edgesr.export.islands import made_from_statistics
from edgesr.export.onnx_file import metadata
from edgesr.export.tensors import FLOAT, FLOAT16, Tensors
from edgesr.runtime.errors import InputError

__all__ = ["SUPPORTED", "Violation", "awkward_widths", "broken_rules", "check_rules"]

OPSETS = {"": 17, "int8": 17, "int8-typed": 19}
"""By `edgesr.graph` of the metadata, which only INT8 graphs have: the opset, 19 where QuantizeLinear has to know FP16."""
_DOCUMENTED = """
Abs Add AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose DepthToSpace Div
Elu Erf Exp Expand Flatten Floor Gather Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity
InstanceNormalization LeakyRelu Log MatMul Max MaxPool Mean Min Mul Neg Pad Pow PRelu Reciprocal ReduceL1 ReduceL2
ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu Reshape Resize Round Shape Sigmoid Slice Softmax
Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze
"""
SUPPORTED = frozenset(_DOCUMENTED.split())
"""Of those that TensorRT 8.6 documents, what a super-resolution network is made of."""
RESIZES = {"nearest", "linear", "cubic"}
MOVES = {"DepthToSpace", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
FP16_WIDTH, INT8_WIDTH = 8, 32  # "Optimizing for Tensor Cores", TensorRT's performance guide
COLOURS = 3
OURS = ("frame_io.", "cubic.")  # colour conversion, chroma and the other bicubic, whose widths no network chooses


@dataclass(frozen=True)
class Violation:
    """A node (or what else of the file) and the rule that it breaks."""

    node: str
    rule: str


def check_rules(model: onnx.ModelProto) -> None:
    """Raise InputError, naming node and rule, where TensorRT would not take a portable graph."""
    if found := broken_rules(model):
        first, *rest = found
        more = f" (and {len(rest)} more)" if rest else ""
        raise InputError(f"TensorRT cannot take this graph: {first.node}: {first.rule}{more}; change the network")


def broken_rules(model: onnx.ModelProto) -> list[Violation]:
    """All violations, none for a graph that TensorRT 8.6 to 11 should parse; no TensorRT has been asked."""
    kind = metadata(model).get("edgesr.graph", "")
    if not model.graph.node:
        return [Violation("the file", "has no nodes")]
    if kind not in OPSETS:
        return [Violation("the file", f"says that its graph is {kind!r}; expected {' or '.join(filter(None, OPSETS))}")]
    opsets, wanted = [(opset.domain, opset.version) for opset in model.opset_import], OPSETS[kind]
    found = [] if opsets == [("", wanted)] else [Violation("the file", f"has opsets {opsets}; expected {wanted} alone")]
    found += _operators(model, is_int8=bool(kind))
    if found:  # types are inferred for known operators only
        return found
    tensors = Tensors.of(model)
    found = _head(model, tensors) + _tail(model, tensors) + _data_path(model, tensors)
    return found + [Violation(*broken) for broken in broken_int8_rules(model, tensors)]


def _operators(model: onnx.ModelProto, *, is_int8: bool) -> list[Violation]:
    found = []
    for node in model.graph.node:
        if node.op_type in QUANTISERS and not node.domain:
            if not is_int8:
                found.append(Violation(node.name, f"{node.op_type} stands in a graph that does not say it is INT8"))
        elif node.domain or node.op_type not in SUPPORTED:
            found.append(Violation(node.name, f"{node.op_type} is not among the operators that TensorRT 8.6 supports"))
        elif node.op_type == "Resize" and (mode := _attribute(node, "mode", "nearest")) not in RESIZES:
            found.append(Violation(node.name, f"Resize has mode {mode}; expected one of {', '.join(sorted(RESIZES))}"))
    return found


def _head(model: onnx.ModelProto, tensors: Tensors) -> list[Violation]:
    ends = [(end.name, end.type.tensor_type.elem_type) for end in model.graph.input]
    if len(ends) != 1 or ends[0][1] != TensorProto.UINT8:
        return [Violation("the input", "must be one tensor of bytes")]
    weights = quantised_weights(model, tensors)  # a frame is not needed for those, so they may come before it
    first = next((node for node in model.graph.node if not weights.keys() >= set(node.output)), model.graph.node[0])
    readers = tensors.readers.get(ends[0][0], [])
    found = [
        Violation(n.name, "reads the bytes of the frame; only the first node, a Cast, may")
        for n in readers
        if n != first
    ]
    if first.op_type != "Cast" or first not in readers or _attribute(first, "to", 0) not in (FLOAT, FLOAT16):
        found.append(Violation(first.name, "the first node must be a Cast of the frame to FP32 or FP16"))
    return found


def _tail(model: onnx.ModelProto, tensors: Tensors) -> list[Violation]:
    ends = [(end.name, end.type.tensor_type.elem_type) for end in model.graph.output]
    if len(ends) != 1 or ends[0][1] != TensorProto.UINT8:
        return [Violation("the output", "must be one tensor of bytes")]
    last = model.graph.node[-1]
    if last.op_type != "Cast" or ends[0][0] not in last.output:
        return [Violation(last.name, "the last node must be the Cast that makes the output's bytes")]
    found = [
        Violation(node.name, "makes bytes; only the last node, a Cast, may")
        for node in model.graph.node[:-1]
        if any(tensors.types.get(name) == TensorProto.UINT8 for name in node.output)
    ]
    finish: dict[str, onnx.NodeProto] = {}  # Clip and Round, in either order
    node = tensors.maker.get(last.input[0])
    while node is not None and (node.op_type in MOVES or (node.op_type in ("Clip", "Round", "Cast"))):
        finish.setdefault(node.op_type, node)
        node = tensors.maker.get(node.input[0])
    if "Round" not in finish:
        found.append(Violation(last.name, "truncates: a Round must stand before it"))
    if "Clip" not in finish:
        found.append(Violation(last.name, "is undefined outside 0–255: a Clip must stand before it"))
    elif (bounds := _bounds(finish["Clip"], tensors)) != (0, 255):
        found.append(Violation(finish["Clip"].name, f"clamps to {bounds} before the bytes; expected (0, 255)"))
    return found


def _bounds(clip: onnx.NodeProto, tensors: Tensors) -> tuple[float | None, ...]:
    names = [*clip.input[1:], "", ""][:2]
    return tuple(float(tensors.constants[name]) if name in tensors.constants else None for name in names)


def _data_path(model: onnx.ModelProto, tensors: Tensors) -> list[Violation]:
    """No integers may be computed from the frame's values; from its shape they may."""
    data = {model.graph.input[0].name}
    found = []
    for node in model.graph.node:
        if node.op_type in ("Shape", "Size") or not data.intersection(node.input):
            continue
        data.update(node.output)
        for name in node.output:
            kind = tensors.types.get(name, TensorProto.UNDEFINED)
            quantised = kind == TensorProto.INT8 and node.op_type == "QuantizeLinear"
            if kind not in (FLOAT, FLOAT16, TensorProto.UINT8) and not quantised:
                found.append(
                    Violation(node.name, f"{TensorProto.DataType.Name(kind)} on the data path; expected FP32 or FP16")
                )
    return found


def awkward_widths(model: onnx.ModelProto, multiple: int = FP16_WIDTH) -> dict[str, str]:
    """Name of each convolution whose channels (of a group) are no such multiples -> its widths, in words.

    multiple: 8, or 32 for INT8: then of those convolutions alone whose weights are quantised.
    Not blamed: colours (three channels or fewer), the converters at the frame's ends, the last convolution's sub-pixels, and
    what computes on statistics, one value a channel.
    """
    tensors = Tensors.of(model)
    small, quantised = made_from_statistics(model, tensors), quantised_weights(model, tensors)
    found = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or node.name.startswith(OURS) or small.issuperset(node.output):
            continue
        weight = tensors.constants.get(quantised.get(node.input[1], node.input[1]))
        if weight is None or (multiple == INT8_WIDTH and node.input[1] not in quantised):
            continue
        group = _attribute(node, "group", 1)
        into, out = weight.shape[1], weight.shape[0] // group
        if node.op_type == "ConvTranspose":
            into, out = out, into
        widths = [into] if _makes_the_frame(node, tensors) else [into, out]
        if any(width > COLOURS and width % multiple for width in widths):
            found[node.name] = f"{into} to {out} channels" + (f" in each of {group} groups" if group > 1 else "")
    return found


def _makes_the_frame(node: onnx.NodeProto, tensors: Tensors) -> bool:
    """Whether no convolution of the network comes behind this one."""
    todo = list(node.output)
    seen: set[str] = set()
    while todo:
        for reader in tensors.readers.get(todo.pop(), []):
            if reader.op_type in ("Conv", "ConvTranspose") and not reader.name.startswith(OURS):
                return False
            todo += [name for name in reader.output if name not in seen]
            seen.update(reader.output)
    return True


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    value = next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
    return value.decode() if isinstance(value, bytes) else value
