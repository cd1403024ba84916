"""What stays FP32 and why: measured ranges, statistics found in the graph, constants; and the report that tells it."""

import json
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")

from tests.export.made import CONV, FRAME, SPEC, deployed, identity, loud, node, run, saved, types

from edgesr.export.islands import fp32_islands
from edgesr.export.precision import fp16_from_fp32
from edgesr.export.precision_report import precision_report, report_table
from edgesr.export.ranges import TensorRange, frames_for_ranges, measured_ranges
from edgesr.export.tensors import FLOAT, Tensors
from edgesr.runtime.errors import InputError


def islands(model: onnx.ModelProto, frames: Any = (FRAME,)) -> dict[str, str]:
    return fp32_islands(model, measured_ranges(model, frames))


def test_ranges_are_those_of_the_values() -> None:
    frame = np.array([[[10, 20, 30], [0, 200, 7]]], np.uint8)
    nodes = [node("Conv", "low w b", "a", **CONV), node("Relu", "a", "high")]
    model = deployed(nodes, {"w": identity(gain=-2), "b": np.array([1, 2, 3], np.float32)})
    found = measured_ranges(model, [frame, frame // 2])
    assert found["a"] == TensorRange(-398.0, 1.0) and found["high"] == TensorRange(0.0, 1.0)
    assert found["low"] == TensorRange(0.0, 200.0) and found["a"].magnitude == 398
    assert found["a"].headroom == pytest.approx(65504 / 398) and TensorRange(0.0, 0.0).headroom == float("inf")
    assert {"frame", "upscaled"}.isdisjoint(found)


def test_a_value_that_is_infinite_in_fp32_already_is_refused() -> None:
    nodes = [node("Exp", "low", "far"), node("Sub", "far far", "none"), node("Add", "none low", "high")]
    with pytest.raises(InputError, match="far is infinite or no number"):
        measured_ranges(deployed(nodes), [FRAME])


@pytest.mark.parametrize(("highest", "stays"), [(65504 / 8, []), (65504 / 8 + 1, ["up", "relu"])])
def test_a_factor_of_eight_is_enough_and_less_is_not(highest: float, stays: list[str]) -> None:
    assert list(fp32_islands(loud(), {"up": TensorRange(-highest, 5.0)})) == stays


def attention(pool: list[onnx.NodeProto], result: str = "deviation") -> onnx.ModelProto:
    nodes = [
        node("Conv", "low w", "features", **CONV),
        node("Add", "features low", "x"),
        *pool,
        node("Conv", f"{result} w", "excite", **CONV),
        node("Add", "excite eps", "shifted"),  # behind weights: no statistic any more
        node("Sigmoid", "shifted", "weight"),
        node("Mul", "x weight", "high"),
    ]
    return deployed(
        nodes, {"w": identity(gain=0.01), "two": np.float32(2), "eps": np.float32(1e-5), "sides": np.array([2, 3])}
    )


CONTRAST = [
    node("ReduceMean", "x", "m", axes=[2, 3]),
    node("Sub", "x m", "s"),
    node("Pow", "s two", "p"),
    node("ReduceMean", "p", "v", axes=[-2, -1]),
    node("Sqrt", "v", "d"),
    node("Add", "d m", "deviation"),
]
SECOND_MOMENT = [
    node("Mul", "x x", "square"),
    node("GlobalAveragePool", "square", "power"),
    node("Add", "power eps", "safe"),
    node("Sqrt", "safe", "deviation"),
]


@pytest.mark.parametrize(
    ("pool", "stays"),
    [
        (CONTRAST, ["m", "s", "p", "v", "d", "deviation"]),
        (SECOND_MOMENT, ["square", "power", "safe", "deviation"]),
        ([node("GlobalAveragePool", "x", "deviation")], ["deviation"]),
        ([node("ReduceSum", "x sides", "deviation")], ["deviation"]),
        (
            [node("ReduceMean", "x", "rows", axes=[2]), node("ReduceMean", "rows", "deviation", axes=[3])],
            ["rows", "deviation"],
        ),
        ([node("ReduceMax", "x", "deviation", axes=[2, 3])], []),  # nothing is summed
        ([node("ReduceMean", "x", "a", axes=[1]), node("Mul", "x a", "deviation")], []),  # over channels
    ],
)
def test_statistics_of_the_whole_frame_stay_fp32_whatever_they_are_called(
    pool: list[onnx.NodeProto], stays: list[str]
) -> None:
    model = attention(pool)
    small = FRAME // 8  # squares stay far below FP16's limit: the graph alone decides
    assert islands(model, [small]) == dict.fromkeys(stays, "statistic of the whole frame")
    typed = fp16_from_fp32(model, dict.fromkeys(stays, ""))
    assert {name for name, kind in types(typed).items() if kind == FLOAT} & set(Tensors.of(model).maker) == set(stays)
    assert np.abs(run(typed, small).astype(int) - run(model, small)).max() <= 1


def test_a_second_application_of_a_block_does_not_join_the_first_ones_island() -> None:
    nodes = [
        node("GlobalAveragePool", "low", "mean1"),
        node("Mul", "low mean1", "a"),
        node("Conv", "a w", "b", **CONV),
        node("Add", "b low", "c"),
        node("GlobalAveragePool", "c", "mean2"),
        node("Sub", "c mean2", "high"),
    ]
    frame = FRAME // 16  # low * mean stays small
    assert list(islands(deployed(nodes, {"w": identity()}), [frame])) == ["mean1", "mean2"]


def scaled(constant: Any, kind: str = "Mul") -> onnx.ModelProto:
    return deployed([node(kind, "low c", "a"), node("Clip", "a black white", "high")], {"c": np.float32(constant)})


def test_a_constant_that_fp16_cannot_hold_keeps_its_node_in_fp32() -> None:
    assert islands(scaled(1e6, "Min")) == {"a": "constant c reaches 1e+06, beyond FP16's 65504"}
    assert islands(scaled(65504, "Min")) == {}
    assert "constant c holds 1e-08, which FP16 would make 0" in islands(scaled(1e-8, "Add"))["a"]
    assert "constant c holds 1e-07, which FP16 would make 1.2e-07" in islands(scaled(1e-7))["a"]
    assert islands(scaled(2**-20)) == {}, "below FP16's normal range, and exact"
    assert islands(scaled(1e-5, "Add")) == {}, "1.0014e-5 in FP16, beside 255"
    with pytest.raises(InputError, match="constant c of node a holds NaN or infinity"):
        fp32_islands(scaled(np.nan), {})


def test_a_weight_that_becomes_zero_matters_only_where_it_shows() -> None:
    weight = identity()
    weight[0, 1], weight[2, 0] = 1e-9, 3e-8  # beside ones
    assert islands(deployed([node("Conv", "low w", "high", **CONV)], {"w": weight})) == {}
    whispers = [node("Conv", "low w", "quiet", **CONV), node("Mul", "quiet loud", "high")]
    model = deployed(whispers, {"w": identity(gain=1e-9), "loud": np.float32(1e9)})
    stays = islands(model)
    assert list(stays) == ["quiet", "high"] and "constant w holds 1e-09" in stays["quiet"]


def test_what_is_below_fp16s_full_precision_stays_fp32_too() -> None:
    nodes = [node("Mul", "low less", "soft"), node("Div", "soft more", "faint"), node("Mul", "faint more", "back")]
    nodes += [node("Div", "back less", "high")]
    model = deployed(nodes, {"less": np.float32(1e-3), "more": np.float32(5e3)})
    assert list(islands(model)) == ["faint", "back"]
    assert islands(model)["faint"] == "makes values of 5.1e-05 at most: FP16 has its full precision from 6e-05"
    assert fp32_islands(model, {"faint": TensorRange(0.0, 0.0)}) == {}


def test_ranges_can_use_the_users_own_images(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="reading images needs OpenCV")
    from edgesr.runtime.images import write_image

    for number in range(11):
        write_image(tmp_path / f"{number:02}.png", np.full((300, 10 + number, 3), number, np.uint8))
    open_size, fixed = loud(), deployed([node("Relu", "low", "high")], size=(19, 40))
    frames = frames_for_ranges(open_size, SPEC, tmp_path)
    assert len(frames) == 8 and [int(frame[0, 0, 0]) for frame in (frames[0], frames[-1])] == [0, 10]
    assert {frame.shape[0] for frame in frames} == {144}
    assert {frame.shape for frame in frames_for_ranges(fixed, SPEC, tmp_path)} == {(40, 19, 3)}
    with pytest.raises(InputError, match=r"no image in .* is 21x40 or larger"):
        frames_for_ranges(deployed([node("Relu", "low", "high")], size=(21, 40)), SPEC, tmp_path)


def test_report_tells_ranges_weights_islands_and_widths(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "low wide", "before", **CONV),
        node("Mul", "before gain", "up"),
        node("Mul", "up zero", "none"),
        node("Conv", "none narrow", "high", **CONV),
    ]
    wide = np.full((12, 3, 1, 1), 0.5, np.float32)
    wide[3, 1] = -0.001
    constants = {
        "wide": wide,
        "narrow": np.zeros((3, 12, 1, 1), np.float32),
        "gain": np.float32(100),
        "zero": np.float32(0),
    }
    report = precision_report(saved(deployed(nodes, constants), tmp_path / "a.onnx"))
    layers = {layer.name: layer for layer in report.layers}
    assert layers["before"].smallest_weight == pytest.approx(0.001) and layers["before"].fp32 == ""
    assert layers["up"].headroom == pytest.approx(65504 / layers["up"].highest)
    assert layers["up"].fp32.startswith("makes values up to") and layers["none"].fp32.startswith("reads values up to")
    assert layers["none"].headroom is None and layers["none"].smallest_weight is None and layers["none"].magnitude == 0
    assert report.awkward_widths == {"before": "3 to 12 channels", "high": "12 to 3 channels"}
    json.loads(json.dumps(asdict(report)), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    from rich.console import Console

    text = StringIO()
    Console(file=text, width=160).print(report_table(report))
    shown = text.getvalue()
    assert "made x1 in FP16" in shown and "makes values up to" in shown and "before" in shown
    assert "Transpose" not in shown, "what moves values only is left out"
