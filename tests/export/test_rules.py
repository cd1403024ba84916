"""What TensorRT asks of a graph: every network keeps it, and planted violations are named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")

from onnx import TensorProto, helper
from tests.export.made import deployed, identity, node

from edgesr.export.rules import SUPPORTED, awkward_widths, broken_rules, check_rules
from edgesr.runtime.errors import InputError

CONV = [node("Conv", "low w", "high", kernel_shape=[1, 1])]


def plain() -> onnx.ModelProto:
    return deployed(CONV, {"w": identity()})


def test_a_graph_as_we_write_it_breaks_no_rule() -> None:
    assert broken_rules(plain()) == []
    check_rules(plain())


def the(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def transposed_bytes(model: onnx.ModelProto) -> None:
    """The mistake that runs in ONNX Runtime and fails in TensorRT: bytes are permuted, then cast."""
    first, second = model.graph.node[:2]
    first.CopyFrom(node("Transpose", "frame", "floats", perm=[0, 3, 1, 2]))
    second.CopyFrom(node("Cast", "floats", "low", to=TensorProto.FLOAT))


def second_reader(model: onnx.ModelProto) -> None:
    model.graph.node.insert(1, node("Shape", "frame", "shape"))


def cast_to_integers(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].i = TensorProto.INT32


def bytes_transposed_last(model: onnx.ModelProto) -> None:
    pixels, cast = list(model.graph.node)[-2:]
    pixels.CopyFrom(node("Cast", "clip", "pixels", to=TensorProto.UINT8))
    cast.CopyFrom(node("Transpose", "pixels", "upscaled", perm=[0, 2, 3, 1]))


def no_round(model: onnx.ModelProto) -> None:
    the(model, "round").op_type = "Identity"


def no_clip(model: onnx.ModelProto) -> None:
    the(model, "clip").CopyFrom(node("Identity", "round", "clip"))


def other_bounds(model: onnx.ModelProto) -> None:
    constant = next(constant for constant in model.graph.initializer if constant.name == "white")
    constant.CopyFrom(onnx.numpy_helper.from_array(np.float32(256), "white"))


def unknown_operator(model: onnx.ModelProto) -> None:
    the(model, "high").CopyFrom(node("Det", "low", "high"))


def foreign_operator(model: onnx.ModelProto) -> None:
    the(model, "high").domain = "com.microsoft"


def odd_resize(model: onnx.ModelProto) -> None:
    the(model, "high").CopyFrom(node("Resize", "low - s", "high", mode="area"))


def integers_from_values(model: onnx.ModelProto) -> None:
    the(model, "high").CopyFrom(node("Cast", "low", "high", to=TensorProto.INT64))


def newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 18


def second_opset(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def float_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT


@pytest.mark.parametrize(
    ("plant", "name", "rule"),
    [
        (transposed_bytes, "floats", "the first node must be a Cast"),
        (second_reader, "shape", "reads the bytes of the frame"),
        (cast_to_integers, "floats", "the first node must be a Cast"),
        (bytes_transposed_last, "upscaled", "the last node must be the Cast"),
        (no_round, "upscaled", "a Round must stand before it"),
        (no_clip, "upscaled", "a Clip must stand before it"),
        (other_bounds, "clip", r"clamps to \(0.0, 256.0\)"),
        (unknown_operator, "high", "Det is not among the operators"),
        (foreign_operator, "high", "Conv is not among the operators"),
        (odd_resize, "high", "Resize has mode area"),
        (integers_from_values, "high", "INT64 on the data path"),
        (newer_opset, "the file", r"has opsets .*18"),
        (second_opset, "the file", r"has opsets .*com.microsoft"),
        (float_input, "the input", "one tensor of bytes"),
        (float_output, "the output", "one tensor of bytes"),
    ],
)
def test_a_planted_violation_is_named_with_its_node(
    plant: Callable[[onnx.ModelProto], None], name: str, rule: str
) -> None:
    model = plain()
    plant(model)
    assert name in [violation.node for violation in broken_rules(model)]
    with pytest.raises(InputError, match=rf"TensorRT cannot take this graph: {name}: .*{rule}"):
        check_rules(model)


def test_a_graph_without_nodes_is_refused() -> None:
    model = plain()
    model.graph.ClearField("node")
    with pytest.raises(InputError, match="the file: has no nodes"):
        check_rules(model)


def test_integers_made_from_the_shape_are_allowed() -> None:
    nodes = [
        node("Shape", "low", "shape"),
        node("Gather", "shape order", "same"),
        node("Reshape", "low same", "high"),
    ]
    assert broken_rules(deployed(nodes, {"order": np.arange(4)})) == []


def test_the_list_of_operators_holds_what_onnx_knows_at_opset_17() -> None:
    assert all(onnx.defs.get_schema(name, 17, "") for name in SUPPORTED)


def test_convolutions_that_tensor_cores_dislike_are_named() -> None:
    nodes = [
        node("Conv", "low w3x20", "a", kernel_shape=[1, 1]),
        node("Conv", "a w20x16", "b", kernel_shape=[1, 1]),
        node("Conv", "b w16x16", "c", kernel_shape=[1, 1]),
        node("Conv", "c grouped", "d", kernel_shape=[1, 1], group=4),
        node("GlobalAveragePool", "d", "mean"),
        node("Conv", "mean w16x4", "squeezed", kernel_shape=[1, 1]),
        node("Conv", "squeezed w4x16", "weight", kernel_shape=[1, 1]),
        node("Mul", "d weight", "e"),
        node("Conv", "e w16x3", "high", kernel_shape=[1, 1]),
    ]
    shapes = {"w3x20": (20, 3), "w20x16": (16, 20), "w16x16": (16, 16), "grouped": (16, 4), "w16x4": (4, 16)}
    shapes |= {"w4x16": (16, 4), "w16x3": (3, 16)}
    constants = {name: np.zeros((*shape, 1, 1), np.float32) for name, shape in shapes.items()}
    assert awkward_widths(deployed(nodes, constants)) == {
        "a": "3 to 20 channels",
        "b": "20 to 16 channels",
        "d": "4 to 4 channels in each of 4 groups",
    }


def pair(name: str) -> list[onnx.NodeProto]:
    return [
        node("QuantizeLinear", f"{name} scale zero", f"{name}.q"),
        node("DequantizeLinear", f"{name}.q scale zero", f"{name}.dq"),
    ]


def test_widths_that_int8_dislikes_are_those_of_quantised_convolutions() -> None:
    nodes = [
        node("Conv", "low w3x16", "a", kernel_shape=[1, 1]),
        *pair("a"),
        *pair("w16x32"),
        node("Conv", "a.dq w16x32.dq", "b", kernel_shape=[1, 1]),
        *pair("b"),
        *pair("w32x32"),
        node("Conv", "b.dq w32x32.dq", "c", kernel_shape=[1, 1]),
        node("Conv", "c w32x12", "d", kernel_shape=[1, 1]),
        node("Conv", "d w12x3", "high", kernel_shape=[1, 1]),
    ]
    shapes = {"w3x16": (16, 3), "w16x32": (32, 16), "w32x32": (32, 32), "w32x12": (12, 32), "w12x3": (3, 12)}
    constants = {name: np.ones((*shape, 1, 1), np.float32) for name, shape in shapes.items()}
    model = deployed(nodes, constants | {"scale": np.float32(1), "zero": np.int8(0)})
    assert awkward_widths(model) == {"d": "32 to 12 channels", "high": "12 to 3 channels"}
    assert awkward_widths(model, 32) == {"b": "16 to 32 channels"}


def test_a_network_that_breaks_a_rule_is_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="networks are made with PyTorch")
    from edgesr.export import rules
    from edgesr.export.onnx import export_onnx
    from edgesr.train.networks import seeded_network

    monkeypatch.setattr(rules, "SUPPORTED", SUPPORTED - {"DepthToSpace"})
    with pytest.raises(InputError, match=r"frame_io.DepthToSpace_\d+: DepthToSpace is not among"):
        export_onnx(seeded_network("ecbsr", 4), tmp_path / "a.onnx", trained=False)
    assert list(tmp_path.iterdir()) == []
    export_onnx(seeded_network("ecbsr", 4), tmp_path / "a.onnx", target="cpu", trained=False)
