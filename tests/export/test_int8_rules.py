"""What TensorRT asks of explicit INT8: graphs as they are made keep it, and planted violations are named."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")

from onnx import helper, numpy_helper
from tests.export.made import FRAME, deployed, identity, node, saved

from edgesr.export.int8_graphs import Steps, with_int8, with_typed_opset
from edgesr.export.onnx_file import metadata
from edgesr.export.precision import fp16_from_fp32
from edgesr.export.rules import broken_rules


def plain() -> onnx.ModelProto:
    return deployed([node("Conv", "low w", "high", kernel_shape=[1, 1])], {"w": identity()})


def the(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def int8(kind: str = "int8") -> onnx.ModelProto:
    """One convolution of 3 to 3 channels, data and weights in INT8; the pair of the weights comes first of all."""
    nodes = [
        node("QuantizeLinear", "low scale zero", "data.q"),
        node("DequantizeLinear", "data.q scale zero", "data.dq"),
        node("QuantizeLinear", "w scales zeros", "w.q", axis=0),
        node("DequantizeLinear", "w.q scales zeros", "w.dq", axis=0),
        node("Conv", "data.dq w.dq", "high", kernel_shape=[1, 1]),
    ]
    constants = {"w": identity(), "scale": np.float32(2), "zero": np.int8(0)}
    model = deployed(nodes, constants | {"scales": np.full(3, 1 / 127, np.float32), "zeros": np.zeros(3, np.int8)})
    helper.set_model_props(model, {"edgesr.graph": kind})
    for name in ("w.dq", "w.q"):
        moved = the(model, name)
        model.graph.node.remove(moved)
        model.graph.node.insert(0, moved)
    if kind == "int8-typed":
        model.opset_import[0].version = 19
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.mark.parametrize("kind", ["int8", "int8-typed"])
def test_explicit_int8_breaks_no_rule_where_the_file_says_so(kind: str) -> None:
    assert [first.name for first in int8(kind).graph.node[:3]] == ["w.q", "w.dq", "floats"]
    assert broken_rules(int8(kind)) == []


def test_a_typed_int8_graph_may_be_fp16() -> None:
    half = fp16_from_fp32(plain(), {})
    steps = {"high": Steps(2.0, np.full(3, 2**-7, np.float32))}
    typed = with_int8(with_typed_opset(half), steps)
    helper.set_model_props(typed, metadata(typed) | {"edgesr.graph": "int8-typed"})
    assert broken_rules(typed) == []


def test_onnx_runtimes_own_quantiser_keeps_the_rules(tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Once(quantization.CalibrationDataReader):
        frames: ClassVar = [{"frame": FRAME[None]}]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.frames.pop() if self.frames else None

    saved(plain(), tmp_path / "a.onnx", graph="int8")
    options = dict.fromkeys(["ActivationSymmetric", "WeightSymmetric", "AddQDQPairToWeight"], True)
    int8, kinds = quantization.QuantType.QInt8, ["Conv"]
    quantization.quantize_static(
        tmp_path / "a.onnx",
        tmp_path / "b.onnx",
        Once(),
        per_channel=True,
        activation_type=int8,
        weight_type=int8,
        op_types_to_quantize=kinds,
        extra_options=options | {"QuantizeBias": False},
    )
    model = onnx.load(tmp_path / "b.onnx")
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) == 3
    assert broken_rules(model) == []


def set_constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    stored = next(constant for constant in model.graph.initializer if constant.name == name)
    stored.CopyFrom(numpy_helper.from_array(np.asarray(value), name))


def not_said(model: onnx.ModelProto) -> None:
    model.ClearField("metadata_props")


def other_kind(model: onnx.ModelProto) -> None:
    helper.set_model_props(model, {"edgesr.graph": "int4"})


def typed_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 19


def plain_opset(model: onnx.ModelProto) -> None:
    helper.set_model_props(model, {"edgesr.graph": "int8-typed"})


def nonzero_point(model: onnx.ModelProto) -> None:
    set_constant(model, "zeros", np.array([0, 3, 0], np.int8))


def unsigned(model: onnx.ModelProto) -> None:
    set_constant(model, "zero", np.uint8(0))


def negative_scale(model: onnx.ModelProto) -> None:
    set_constant(model, "scale", np.float32(-2))


def scale_of_no_number(model: onnx.ModelProto) -> None:
    set_constant(model, "scale", np.float32("nan"))


def no_zero_point(model: onnx.ModelProto) -> None:
    the(model, "w.dq").input.pop()


def nothing_given(model: onnx.ModelProto) -> None:
    del the(model, "data.q").input[1:]


def computed_scale(model: onnx.ModelProto) -> None:
    the(model, "data.q").input[1] = "max"
    model.graph.node.insert(4, node("ReduceMax", "low", "max", keepdims=0))


def one_zero_point(model: onnx.ModelProto) -> None:
    set_constant(model, "zeros", np.int8(0))


def scales_for_the_frame(model: onnx.ModelProto) -> None:
    the(model, "data.q").CopyFrom(node("QuantizeLinear", "low scales zeros", "data.q", axis=1))


def other_axis(model: onnx.ModelProto) -> None:
    the(model, "w.q").attribute[0].i = 2


def no_axis(model: onnx.ModelProto) -> None:
    the(model, "w.q").ClearField("attribute")


def other_scale(model: onnx.ModelProto) -> None:
    the(model, "data.dq").input[1] = "scale2"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(3), "scale2"))


def stored_int8(model: onnx.ModelProto) -> None:
    model.graph.node.remove(the(model, "w.q"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((3, 3, 1, 1), np.int8), "w.q"))


def something_between(model: onnx.ModelProto) -> None:
    model.graph.node.insert(5, node("Identity", "data.q", "between"))
    the(model, "data.dq").input[0] = "between"


def no_round(model: onnx.ModelProto) -> None:
    the(model, "round").op_type = "Identity"


def unknown_operator(model: onnx.ModelProto) -> None:
    the(model, "high").CopyFrom(node("Det", "low", "high"))


@pytest.mark.parametrize(
    ("plant", "name", "rule"),
    [
        (not_said, "w.q", "QuantizeLinear stands in a graph that does not say it is INT8"),
        (other_kind, "the file", "says that its graph is 'int4'; expected int8 or int8-typed"),
        (typed_opset, "the file", r"has opsets .*19.*; expected 17"),
        (plain_opset, "the file", r"has opsets .*17.*; expected 19"),
        (nonzero_point, "w.q", "has the zero point 3"),
        (unsigned, "data.q", "has a zero point of uint8"),
        (negative_scale, "data.q", "a scale that is not positive"),
        (scale_of_no_number, "data.dq", "a scale that is not positive"),
        (no_zero_point, "w.dq", "needs a constant scale and a constant zero point"),
        (nothing_given, "data.q", "needs a constant scale"),
        (computed_scale, "data.q", "needs a constant scale"),
        (one_zero_point, "w.q", "has 1 zero points for 3 scales"),
        (scales_for_the_frame, "data.q", "only weights may have one for each channel"),
        (other_axis, "w.q", r"3 scales along axis 2 of weights \(3, 3, 1, 1\)"),
        (no_axis, "w.q", "3 scales along axis None"),
        (other_scale, "data.dq", "has another scale than data.q"),
        (stored_int8, "w.dq", "reads INT8 that no QuantizeLinear made"),
        (something_between, "between", "reads INT8; only a DequantizeLinear may"),
        (no_round, "upscaled", "a Round must stand before it"),
        (unknown_operator, "high", "Det is not among the operators"),
    ],
)
def test_a_violation_planted_in_an_int8_graph_is_named(
    plant: Callable[[onnx.ModelProto], None], name: str, rule: str
) -> None:
    model = int8()
    plant(model)
    found = [f"{violation.node}: {violation.rule}" for violation in broken_rules(model)]
    assert any(re.search(f"^{re.escape(name)}: .*{rule}", line) for line in found), found
