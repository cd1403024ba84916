"""Editing graphs and the frame's ends, on graphs made by hand: none of this needs torch."""

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")

import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from edgesr.export.frame_io import deployed_graph
from edgesr.export.memory import peak_bytes_per_pixel
from edgesr.export.onnx_graph import Graph
from edgesr.runtime.resize import bicubic_taps, upscale
from edgesr.runtime.spec import Colour, ModelSpec

RNG = np.random.default_rng(7)


def spec(scale: int, colour: Colour) -> ModelSpec:
    return ModelSpec(
        name="made", scale=scale, colour=colour, parameters=0, multiply_adds_per_pixel=1.0, receptive_field=1
    )


def made(nodes: list[Any], constants: dict[str, Any], channels: int, size: tuple[int, int] | None = None) -> Any:
    """A bare graph `low` -> `high` of the nodes, open or of a fixed (width, height)."""
    width, height = size or ("width", "height")
    low = helper.make_tensor_value_info("low", TensorProto.FLOAT, [1, channels, height, width])
    high = helper.make_tensor_value_info("high", TensorProto.FLOAT, [1, channels, None, None])
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "made", [low], [high], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def nearest(scale: int, channels: int, size: tuple[int, int] | None = None) -> Any:
    """A pixel shuffle that repeats each pixel, by a 1x1 convolution: the answer is known by heart."""
    weight = np.zeros((channels * scale**2, channels, 1, 1), np.float32)
    for out in range(len(weight)):
        weight[out, out // scale**2] = 1
    nodes = [
        helper.make_node("Conv", ["low", "w"], ["sub"], kernel_shape=[1, 1]),
        helper.make_node("DepthToSpace", ["sub"], ["high"], blocksize=scale, mode="CRD"),
    ]
    return made(nodes, {"w": weight}, channels, size)


def run(model: Any, **feeds: Any) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


@pytest.mark.parametrize("form", ["portable", "cpu"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [None, (7, 5)])
def test_rgb_frame_keeps_its_colours_and_places(form: Any, scale: int, size: tuple[int, int] | None) -> None:
    frame = RNG.integers(0, 256, (1, 5, 7, 3), dtype=np.uint8)
    out = run(deployed_graph(nearest(scale, 3, size), spec(scale, "rgb"), form), frame=frame)
    assert out.dtype == np.uint8
    assert np.array_equal(out, frame.repeat(scale, 1).repeat(scale, 2))


@pytest.mark.parametrize("form", ["portable", "cpu"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [None, (13, 11)])
def test_luma_frame_is_nearest_luma_and_bicubic_chroma(form: Any, scale: int, size: tuple[int, int] | None) -> None:
    from edgesr.runtime.quality import RULER

    frame = RNG.integers(40, 200, (1, 11, 13, 3), dtype=np.uint8)
    out = run(deployed_graph(nearest(scale, 1, size), spec(scale, "luma"), form), frame=frame)
    padded = np.pad(frame[0].astype(float), ((4, 4), (4, 4), (0, 0)), mode="edge")
    colour = upscale(padded, scale)[4 * scale : -4 * scale, 4 * scale : -4 * scale]
    luma = RULER.luma(frame[0]).repeat(scale, 0).repeat(scale, 1)
    expected = colour + ((luma - RULER.luma(colour)) * 255 / 219)[..., None]
    assert np.abs(out[0] - expected.clip(0, 255)).max() < 0.51


@pytest.mark.parametrize("colour", ["rgb", "luma"])
def test_both_forms_give_the_same_bytes_at_extremes(colour: Colour) -> None:
    model = nearest(4, 3 if colour == "rgb" else 1)
    frame = RNG.choice(np.array([0, 1, 127, 128, 254, 255], np.uint8), (1, 33, 41, 3))
    forms = [run(deployed_graph(model, spec(4, colour), form), frame=frame) for form in ("portable", "cpu")]
    assert np.array_equal(*forms)


@pytest.mark.parametrize("colour", ["rgb", "luma"])
@pytest.mark.parametrize("size", [None, (9, 6)])
def test_portable_form_casts_first_and_last_and_nothing_else_touches_bytes(
    colour: Colour, size: tuple[int, int] | None
) -> None:
    """TensorRT: a uint8 tensor may only be cast, at the network's edge."""
    graph = deployed_graph(nearest(2, 3 if colour == "rgb" else 1, size), spec(2, colour), "portable").graph
    assert [node.op_type for node in graph.node if "frame" in node.input] == ["Cast"]
    assert graph.node[0].op_type == graph.node[-1].op_type == "Cast"
    assert not {"QuantizeLinear", "Cast"} & {node.op_type for node in graph.node[1:-1]}


def test_a_network_without_shuffle_gets_its_ends_too() -> None:
    scales = np.array([1, 1, 2, 2], np.float32)
    resize = helper.make_node(
        "Resize",
        ["low", "", "s"],
        ["high"],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    frame = RNG.integers(0, 256, (1, 5, 7, 3), dtype=np.uint8)
    for form in ("portable", "cpu"):
        out = run(deployed_graph(made([resize], {"s": scales}, 3), spec(2, "rgb"), form), frame=frame)
        assert np.array_equal(out, frame.repeat(2, 1).repeat(2, 2))
    luma = run(deployed_graph(made([resize], {"s": scales}, 1), spec(2, "luma"), "portable"), frame=frame[:, :1, :1])
    assert np.abs(luma.astype(int) - frame[:, :1, :1]).max() <= 1  # one pixel: luma and chroma are both constant


def test_a_shuffle_by_another_factor_is_refused() -> None:
    with pytest.raises(Exception, match="shuffles by 2, not by the network's scale of 4"):
        deployed_graph(nearest(2, 3), spec(4, "rgb"), "cpu")


ADD = helper.make_node("Add", ["sub", "low"], ["high"])
CASES = {
    "into a convolution": ([helper.make_node("Conv", ["low", "w", "b"], ["high"], kernel_shape=[1, 1])], set()),
    "into both sides of a sum": (
        [helper.make_node("Conv", ["low", "w"], ["sub"], kernel_shape=[1, 1]), ADD],
        {"Gather", "Mul"},  # the sum's other side is the input itself: mapped by nodes
    ),
    "behind what it does not know": ([helper.make_node("Sigmoid", ["low"], ["high"])], {"Gather", "Mul", "Add"}),
    "not into what is used twice": (
        [
            helper.make_node("Conv", ["low", "w"], ["sub"], kernel_shape=[1, 1]),
            helper.make_node("Sigmoid", ["sub"], ["other"]),
            helper.make_node("Add", ["sub", "other"], ["high"]),
        ],
        {"Gather", "Mul", "Add"},
    ),
    "into constants": (
        [
            helper.make_node("Conv", ["low", "w"], ["sub"], kernel_shape=[1, 1]),
            helper.make_node("Add", ["sub", "c"], ["high"]),
        ],
        set(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_map_of_channels_goes_as_deep_as_it_can(case: str) -> None:
    nodes, added = CASES[case]
    constants = {
        "w": RNG.standard_normal((3, 3, 1, 1)).astype(np.float32),
        "b": RNG.standard_normal(3).astype(np.float32),
        "c": RNG.standard_normal((1, 3, 1, 1)).astype(np.float32),
    }
    model = made(nodes, constants, 3)
    x = RNG.standard_normal((1, 3, 4, 5)).astype(np.float32)
    plain = run(model, low=x)
    graph = Graph(model, "mapped")
    out = graph.mapped(graph.output, [2, 0, 1], 3.0, 0.25)
    end = helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, 3, None, None])
    edited = graph.finish(list(model.graph.input), [end])
    assert np.allclose(run(edited, low=x), plain[:, [2, 0, 1]] * 3 + 0.25, atol=1e-5)
    new = [node.op_type for node in edited.graph.node if node.name.startswith("mapped")]
    assert set(new) <= added, f"{new} were added"


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_taps_sum_to_one_and_are_mirror_images(scale: int) -> None:
    taps, radius = bicubic_taps(scale)
    assert taps.shape == (scale, 2 * radius + 1) and radius == 2
    assert np.allclose(taps.sum(axis=1), 1) and np.allclose(taps, taps[::-1, ::-1])


def test_peak_memory_counts_what_is_alive_at_once() -> None:
    nodes = [
        helper.make_node("Conv", ["low", "w"], ["a"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["b", "low"], ["high"]),
    ]
    model = made(nodes, {"w": np.zeros((3, 3, 1, 1), np.float32)}, 3)
    assert peak_bytes_per_pixel(model) == 3 * 3 * 4  # low lives on while b is made from a: three times three floats
