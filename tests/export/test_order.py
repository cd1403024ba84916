"""The order of nodes, on graphs made by hand; and OpenCV, for which it is chosen."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")

import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from edgesr.export.order import longest_branch_first

RNG = np.random.default_rng(5)
CONV = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


def made(nodes: list[Any]) -> Any:
    """`low` (1, 3, 8, 9) -> `high` (1, 4, 8, 9), with all weights that the nodes below ask for."""
    shapes = {"to luma": (1, 3, 1, 1), "to 4": (4, 1, 3, 3), "4 to 4": (4, 4, 3, 3), "half": ()}
    constants = {name: np.float32(RNG.random(shape)) for name, shape in shapes.items()}
    used = {name for node in nodes for name in node.input}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 8, 9])
        for name, channels in (("low", 3), ("high", 4))
    ]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used]
    graph = helper.make_graph(nodes, "made", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs, list(outputs), **attributes)


def residual(*, swapped: bool = False) -> Any:
    """A luma plane, its half added to four channels made of it; the half is listed long before it is needed."""
    return made(
        [
            node("Conv", ["low", "to luma"], "luma", kernel_shape=[1, 1]),
            node("Mul", ["luma", "half"], "part"),
            node("Conv", ["luma", "to 4"], "four", **CONV),
            node("Conv", ["four", "4 to 4"], "more", **CONV),
            node("Add", ["part", "more"] if swapped else ["more", "part"], "high"),
        ]
    )


def kinds(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def run(model: Any, low: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)  # among others, that all is made before it is used
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"low": low})[0])


@pytest.mark.parametrize("swapped", [False, True])
def test_a_short_branch_comes_just_before_its_sum_and_nothing_else_changes(swapped: bool) -> None:
    model = residual(swapped=swapped)
    before, low = onnx.ModelProto(), np.float32(RNG.random((1, 3, 8, 9)))
    before.CopyFrom(model)
    longest_branch_first(model)
    assert kinds(model) == ["Conv", "Conv", "Conv", "Mul", "Add"]
    assert run(model, low).tobytes() == run(before, low).tobytes()
    del before.graph.node[:], model.graph.node[:]
    assert model == before


def test_several_outputs_left_out_inputs_and_nodes_that_nobody_uses() -> None:
    nodes = [
        node("Split", ["low"], "one", "two", "three", axis=1),
        node("Identity", ["two"], "nobody's"),
        node("Concat", ["one", "two", "three", "one"], "high before", axis=1),
        node("Clip", ["high before", "", "half"], "high"),
    ]
    model = made(nodes)
    longest_branch_first(model)
    assert sorted(kinds(model)) == ["Clip", "Concat", "Identity", "Split"]
    assert run(model, np.ones((1, 3, 8, 9), np.float32)).shape == (1, 4, 8, 9)


def test_a_graph_of_thousands_of_nodes() -> None:
    names = [*(f"step {number}" for number in range(3000)), "last"]
    nodes = [node("Conv", ["low", "to luma"], "luma", kernel_shape=[1, 1]), node("Relu", ["luma"], names[0])]
    nodes += [node("Relu", [before], after) for before, after in pairwise(names)]
    model = made([*nodes, node("Concat", ["last"] * 4, "high", axis=1)])
    longest_branch_first(model)
    assert [made_by.output[0] for made_by in model.graph.node] == ["luma", *names, "high"]


def test_opencv_adds_what_has_to_be_broadcast() -> None:
    cv2 = pytest.importorskip("cv2")
    model, low = residual(), np.float32(RNG.random((1, 3, 8, 9)))
    longest_branch_first(model)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    net.setInput(low)
    np.testing.assert_allclose(net.forward(), run(model, low), rtol=1e-5)


def test_an_exported_network_is_listed_so(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="this half of the export starts from PyTorch")
    cv2 = pytest.importorskip("cv2")
    from edgesr.export.onnx import export_onnx
    from edgesr.runtime.backends import open_backend
    from edgesr.train.networks import seeded_network

    path, frame = tmp_path / "ecbsr.onnx", RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    export_onnx(seeded_network("ecbsr", scale=2), path)
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(frame[None])
    with open_backend(path) as ours:
        assert np.abs(np.int16(net.forward()[0]) - ours.infer(frame)).max() <= 1
