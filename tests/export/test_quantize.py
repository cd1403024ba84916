"""INT8: which convolutions get it, that both files compute the same integers, and that nobody gets a file that costs too much."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")
pytest.importorskip("cv2", reason="calibration reads images")

from onnx import numpy_helper
from tests.export.made import deployed, node, run, saved

from edgesr.export.calibration import exact_session, frame_pairs, upscaled
from edgesr.export.int8_graphs import (
    FINEST,
    Steps,
    int8_convolutions,
    on_grid,
    steps_from_ranges,
    with_int8,
    with_typed_opset,
)
from edgesr.export.parity import frames_for_checks
from edgesr.export.quantize import Int8Export, export_int8
from edgesr.export.ranges import TensorRange
from edgesr.export.rules import broken_rules
from edgesr.export.tensors import Tensors, prepared
from edgesr.runtime.errors import ForeignModel, InputError, QualityLost
from edgesr.runtime.images import write_image
from edgesr.runtime.spec import ModelSpec

WIDE = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
SHIPPED = Path(__file__).parents[2] / "runtime" / "models" / "ecbsr_x4.onnx"


def weights(out: int, into: int, *, noise: float = 0.02, gain: float = 1.0, seed: int = 0) -> np.ndarray:
    """3x3 weights that hand the first channels on, times gain, with a little noise."""
    made = np.random.default_rng(seed).normal(0, noise, (out, into, 3, 3))
    for channel in range(min(out, into)):
        made[channel, channel, 1, 1] += gain
    return np.asarray(made, np.float32)


def network(nodes: list[Any] | None = None, size: tuple[int, int] | None = None, **constants: Any) -> onnx.ModelProto:
    """first, middle and behind (8 channels, with a skip around the two) and last; between them what a test wants."""
    body = [
        node("Conv", "low w1", "first", **WIDE),
        node("Conv", "first w2 b2", "middle", **WIDE),
        node("Relu", "middle", "relu"),
        node("Conv", "relu w3", "behind", **WIDE),
        node("Add", "behind first", "skip"),
        *(nodes or []),
        node("Conv", f"{nodes[-1].output[0] if nodes else 'skip'} w4", "high", **WIDE),
    ]
    known = {
        "w1": weights(8, 3, gain=1 / 255, noise=0.0001),
        "w2": weights(8, 8, seed=1),
        "b2": np.full(8, 0.01, np.float32),
        "w3": weights(8, 8, seed=2),
        "w4": weights(3, 8, gain=127.5, noise=0, seed=3),
    }
    return deployed(body, known | constants, size)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(3):
        write_image(folder / f"{seed}.png", frames_for_checks([(40, 32)], seed=seed)[0])
    return folder


def exported(model: onnx.ModelProto, images: Path, budget_db: float = 100.0, **options: Any) -> Int8Export:
    folder = images.parent
    source = saved(model, folder / "a.onnx")
    return export_int8(source, folder / "b.onnx", folder / "c.onnx", calibrate=images, budget_db=budget_db, **options)


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}


def test_data_and_weights_go_through_q_and_dq_and_nothing_else_does(images: Path) -> None:
    done = exported(network(), images)
    for path, dtype in ((done.path, np.float32), (done.typed, np.float16)):
        model = onnx.load(path)
        tensors, known = Tensors.of(model), constants(model)
        convolutions = {n.name: n for n in model.graph.node if n.op_type == "Conv"}
        for name in ("middle", "behind"):
            for position, shape in enumerate(((), (8,))):
                dq = tensors.maker[convolutions[name].input[position]]
                q = tensors.maker[dq.input[0]]
                assert (dq.op_type, q.op_type) == ("DequantizeLinear", "QuantizeLinear")
                assert list(dq.input[1:]) == list(q.input[1:])
                scale, zero = (known[given] for given in q.input[1:])
                assert scale.dtype == dtype and scale.shape == zero.shape == shape and (scale > 0).all()
                assert zero.dtype == np.int8 and not zero.any()
        assert convolutions["middle"].input[2] in known and known[convolutions["middle"].input[2]].dtype == dtype
        assert [n.op_type for n in model.graph.node].count("QuantizeLinear") == 4
        skip = next(n for n in model.graph.node if n.name == "skip")
        assert list(skip.input) == ["behind", "first"]
        assert all(
            tensors.maker[c.input[0]].op_type != "DequantizeLinear" for c in map(convolutions.get, ("first", "high"))
        )


def test_both_files_have_the_same_integers(images: Path) -> None:
    done = exported(network(), images)
    plain, typed = (constants(onnx.load(path)) for path in (done.path, done.typed))
    for name in ("w2", "w3"):
        owner = {"w2": "middle", "w3": "behind"}[name]
        found = []
        for known, suffix in ((plain, ""), (typed, ".fp16")):
            step = known[f"{owner}.weights.scale"].astype(np.float64).reshape(-1, 1, 1, 1)
            counts = known[f"{name}.int8{suffix}"].astype(np.float64) / step
            assert np.abs(counts - np.rint(counts)).max() < 0.1, "on the grid: no rounding can move them"
            found.append(np.rint(counts))
        assert np.array_equal(*found)
        assert np.abs(found[0]).reshape(8, -1).max(axis=1).tolist() == [127] * 8
        assert plain[f"{owner}.data.scale"] == typed[f"{owner}.data.scale"]
    assert done.typed_db == pytest.approx(done.int8_db, abs=0.5)


def test_what_is_computed_is_integer_arithmetic() -> None:
    """127 * 127 twice, which a kernel that adds pairs in 16 bits cannot hold."""
    ones = np.ones((8, 8, 1, 1), np.float32)
    nodes = [
        node("Concat", "low low low", "nine", axis=1),
        node("Slice", "nine from to axis", "eight"),
        node("Conv", "eight ones", "middle", kernel_shape=[1, 1]),
        node("Conv", "middle back", "high", kernel_shape=[1, 1]),
    ]
    numbers = {name: np.array([value]) for name, value in (("from", 0), ("to", 8), ("axis", 1))}
    model = prepared(deployed(nodes, {**numbers, "ones": ones, "back": np.full((3, 8, 1, 1), 1 / 64, np.float32)}))
    steps = {"middle": Steps(2.0, np.full(8, 1 / 128, np.float32))}
    frame = np.full((8, 8, 3), 254, np.uint8)
    exact = 8 * 127 * 127 * 2 / 128 * 8 / 64
    assert np.array_equal(
        upscaled(exact_session(with_int8(on_grid(model, steps), steps)), frame), np.full_like(frame, round(exact))
    )


def test_metadata_and_opsets(images: Path) -> None:
    done = exported(network(), images)
    before = {entry.key: entry.value for entry in onnx.load(images.parent / "a.onnx").metadata_props}
    for path, kind, opset, ir in ((done.path, "int8", 17, 8), (done.typed, "int8-typed", 19, 9)):
        model = onnx.load(path)
        entries = {entry.key: entry.value for entry in model.metadata_props}
        assert (entries["edgesr.precision"], entries["edgesr.graph"]) == ("int8", kind)
        assert ([(o.domain, o.version) for o in model.opset_import], model.ir_version) == ([("", opset)], ir)
        assert entries["edgesr.spec"] == before["edgesr.spec"] and entries["edgesr.form"] == "portable"
        assert json.loads(entries["edgesr.float_layers"]) == done.float_layers
        assert json.loads(entries["edgesr.fp32_nodes"]) == list(done.fp32_nodes) == []
        assert float(entries["edgesr.int8_cost_db"]) == pytest.approx(done.cost_db, abs=1e-3)
        assert run(model, frames_for_checks([(20, 12)])[0]).shape == (12, 20, 3) and broken_rules(model) == []
    assert done.awkward_widths == dict.fromkeys(("middle", "behind"), "8 to 8 channels")


def test_an_int8_file_is_no_source(images: Path) -> None:
    done = exported(network(), images)
    with pytest.raises(ForeignModel, match="has int8 in its graph already"):
        export_int8(done.path, images / "x.onnx", images / "y.onnx", calibrate=images)


def test_head_tail_statistics_groups_and_what_is_asked_for_stay_float() -> None:
    body = [
        node("ReduceMean", "skip", "mean", axes=[2, 3]),
        node("Conv", "mean dense", "squeeze", kernel_shape=[1, 1]),
        node("Mul", "skip squeeze", "weighted"),
        node("Conv", "weighted deep", "depthwise", group=8, **WIDE),
        node("Conv", "depthwise halves", "grouped", group=2, **WIDE),
        node("ConvTranspose", "grouped dense", "transposed", kernel_shape=[1, 1]),
    ]
    made = {"dense": np.ones((8, 8, 1, 1), np.float32), "deep": weights(8, 1), "halves": weights(8, 4)}
    names, floats = int8_convolutions(prepared(network(body, **made)), ["behind", "first"])
    assert names == ["middle", "grouped"]
    assert {name: why.split(":")[0] for name, why in floats.items()} == {
        "first": "first convolution of the network",
        "behind": "asked for",
        "squeeze": "works on statistics, one value a channel",
        "depthwise": "in groups of 1 to 1 channels; INT8 takes multiples of 4",
        "transposed": "transposed",
        "high": "makes the pixels of the frame",
    }


def test_a_name_that_nobody_has_is_answered_with_those_that_are_alike(images: Path) -> None:
    with pytest.raises(InputError, match="no convolution is called midle; expected one such as middle"):
        exported(network(), images, keep=["midle"])


def test_what_is_too_loud_or_too_quiet_for_fp16_stays_float(images: Path) -> None:
    body = [
        node("Mul", "skip gain", "loud"),
        node("Conv", "loud w2", "shouting", **WIDE),
        node("Mul", "shouting tiny", "quiet"),
        node("Conv", "quiet w2", "whispering", **WIDE),
        node("Mul", "whispering back", "again"),
    ]
    gains = {"gain": np.float32(1e5), "tiny": np.float32(1e-8), "back": np.float32(1e3)}
    done = exported(network(body, **gains), images)
    assert "shouting" in done.fp32_nodes and done.float_layers["shouting"] == done.fp32_nodes["shouting"]
    assert done.float_layers["whispering"].startswith("its data are so small that a step of INT8 is below 6e-05")
    assert list(done.sensitivity) and set(done.sensitivity) == {"middle", "behind"}


def test_a_dead_channel_does_not_keep_its_convolution_from_int8() -> None:
    weight = weights(8, 8)
    weight[3], weight[5] = 0, 1e-9
    model = prepared(network(w2=weight))
    steps = steps_from_ranges(model, ["middle"], {"first": TensorRange(-1.0, 2.0)})
    assert steps["middle"].data == np.float16(2 / 127)
    assert steps["middle"].weights[[3, 5]].tolist() == [FINEST, FINEST]
    snapped = constants(on_grid(model, steps))["w2.int8"]
    assert not snapped[[3, 5]].any() and np.abs(snapped - weight)[[0, 1, 2]].max() <= steps["middle"].weights.max() / 2


def test_nothing_is_left_to_become_int8(images: Path) -> None:
    with pytest.raises(InputError, match=r"no convolution can become INT8: .*behind \(asked for\).*--precision fp16"):
        exported(network(), images, keep=["middle", "behind"])


def test_a_cost_above_the_budget_names_the_dearest_layers_and_writes_nothing(images: Path) -> None:
    clean = weights(8, 8, noise=0)
    coarse = clean.copy()
    coarse[:, 7, 0, 0] = 90.0  # for a channel that is always zero; it makes the steps of all others coarse
    model = network(w1=weights(8, 3, gain=1 / 250, noise=0), w2=clean, b2=np.zeros(8, np.float32), w3=coarse)
    with pytest.raises(
        QualityLost, match=r"more than 0.2 dB; nothing was written.*alone: behind .*\(--int8-keep behind\)"
    ):
        exported(model, images, 0.2)
    assert sorted(path.name for path in images.parent.iterdir()) == ["a.onnx", "images"]
    dear, kept = exported(model, images), exported(model, images, keep=["behind"])
    assert kept.cost_db < dear.cost_db - 1 and list(kept.sensitivity) == ["middle"]
    assert list(dear.sensitivity) == ["behind", "middle"] and dear.sensitivity["behind"] > dear.sensitivity["middle"]


def test_black_frames_among_others_do_not_count_and_alone_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    write_image(tmp_path / "black.png", np.zeros((96, 96, 3), np.uint8))
    with pytest.raises(InputError, match="such flat images tell nothing"):
        export_int8(SHIPPED, *files, calibrate=tmp_path)
    write_image(tmp_path / "a.png", frames_for_checks([(96, 96)])[0])
    assert export_int8(SHIPPED, *files, calibrate=tmp_path, budget_db=0.5).images == 2


@pytest.mark.parametrize("budget_db", [-0.1, float("nan")])
def test_a_budget_that_is_none_is_refused(images: Path, budget_db: float) -> None:
    with pytest.raises(InputError, match="the budget of INT8 is"):
        exported(network(), images, budget_db)


def test_one_name_for_two_files_is_refused(images: Path) -> None:
    source = saved(network(), images.parent / "a.onnx")
    with pytest.raises(InputError, match="give them two names"):
        export_int8(source, images / "b.onnx", images / "b.onnx", calibrate=images)


SPEC = ModelSpec(
    name="made", scale=2, colour="rgb", parameters=0, multiply_adds_per_pixel=1e3, receptive_field=1, size_multiple=4
)


def test_frames_are_whole_images_by_the_ruler_cut_where_the_network_needs_it(images: Path) -> None:
    write_image(images / "odd.png", frames_for_checks([(45, 39)])[0])
    write_image(images / "tiny.png", frames_for_checks([(20, 20)])[0])
    assert [pair.low.shape for pair in frame_pairs(images, SPEC, None)] == [(16, 20, 3)] * 4
    assert all(pair.high.shape == (32, 40, 3) for pair in frame_pairs(images, SPEC, None))
    assert [pair.low.shape for pair in frame_pairs(images, SPEC, (20, 16))] == [(16, 20, 3)] * 4
    with pytest.raises(InputError, match=r"no image in .*images is 160x32 or larger"):
        frame_pairs(images, SPEC, (80, 16))


def test_the_work_is_bounded_and_the_choice_always_the_same(tmp_path: Path) -> None:
    for number in range(20):
        write_image(tmp_path / f"{number:02}.png", np.full((64, 64, 3), number, np.uint8))
    chosen = [int(pair.high[0, 0, 0]) for pair in frame_pairs(tmp_path, SPEC, None)]
    assert len(chosen) == 16 and (chosen[0], chosen[-1]) == (0, 19) and chosen == sorted(chosen)
    slow = ModelSpec(**{**vars(SPEC), "multiply_adds_per_pixel": 2e12 / 16 / 21**2})
    assert frame_pairs(tmp_path, slow, None)[0].low.shape == (20, 20, 3)
    assert len(frame_pairs(tmp_path, slow, (32, 32))) == 6


def test_an_empty_folder_is_told(images: Path) -> None:
    (images / "none").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        frame_pairs(images / "none", SPEC, None)


def test_a_fixed_size_is_calibrated_at_that_size(images: Path) -> None:
    done = exported(network(size=(24, 20)), images)
    assert done.images == 3 and set(done.sensitivity) == {"middle", "behind"}


def test_a_newer_opset_changes_no_byte() -> None:
    nodes = [
        node("Pad", "low edges", "padded", mode="edge"),
        node("ReduceMean", "padded", "mean", axes=[2, 3]),
        node("ReduceMax", "padded", "most", axes=[-1], keepdims=1),
        node("Resize", "padded - doubled", "double", mode="cubic", cubic_coeff_a=-0.5),
        node("Resize", "double - halved", "half", mode="linear"),
        node("Sub", "half mean", "off"),
        node("Add", "off mean", "on"),
        node("Min", "on most", "least"),
        onnx.helper.make_node("Split", ["least", "parts"], ["red", "rest"], name="split", axis=1),
        node("Concat", "red rest", "high", axis=1),
    ]
    numbers = {"edges": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "parts": np.array([1, 2])}
    scales = {"doubled": np.array([1, 1, 2, 2], np.float32), "halved": np.array([1, 1, 0.5, 0.5], np.float32)}
    model = deployed(nodes, numbers | scales)
    newer = with_typed_opset(model)
    assert newer.opset_import[0].version == 19
    frame = frames_for_checks([(20, 12)])[0]
    assert np.array_equal(run(newer, frame), run(model, frame))


def test_the_shipped_network_is_within_the_budget(shared: Path, tmp_path: Path) -> None:
    told: list[str] = []
    done = export_int8(
        SHIPPED, tmp_path / "a.onnx", tmp_path / "b.onnx", calibrate=shared / "data" / "Set5", tell=told.append
    )
    assert done.fp32_db > 30.9 and 0 < done.cost_db < 0.2
    assert done.images == 5 and len(told) == 3 and len(done.sensitivity) == 12
    assert list(done.sensitivity.values()) == sorted(done.sensitivity.values(), reverse=True)


@pytest.mark.slow
def test_published_rdsrn_is_within_the_budget(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the published weights are PyTorch's")
    from edgesr.export.onnx import export_onnx
    from edgesr.train.published import network_from_published

    network = network_from_published(shared / "weights" / "rdsrn" / "x4.pth", "rdsrn", 4)
    source = export_onnx(network, tmp_path / "rdsrn_x4.onnx").path
    done = export_int8(source, tmp_path / "a.onnx", tmp_path / "b.onnx", calibrate=shared / "data" / "Set5")
    assert done.cost_db == pytest.approx(0.02, abs=0.01) and len(done.sensitivity) == 51 and len(done.fp32_nodes) == 24


@pytest.mark.parametrize(
    ("name", "scale", "options"),
    [
        ("ecbsr", 2, None),
        ("carn", 3, {"features": 8}),
        ("rdn", 4, {"blocks": 2, "layers": 2, "growth": 8, "features": 8}),
        ("rdsrn", 2, {"features": 32}),
    ],
)
def test_every_network_can_be_had_in_int8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, scale: int, options: dict[str, Any] | None
) -> None:
    pytest.importorskip("torch", reason="networks are made with PyTorch")
    from edgesr.export.onnx import export_onnx
    from edgesr.train.networks import seeded_network

    monkeypatch.setattr("edgesr.export.quantize.SENSITIVITY_SIDES", (16, 16))
    write_image(tmp_path / "a.png", frames_for_checks([(80, 72)])[0])
    source = export_onnx(seeded_network(name, scale, options), tmp_path / "a.onnx", trained=False).path
    done = export_int8(source, tmp_path / "b.onnx", tmp_path / "c.onnx", calibrate=tmp_path, budget_db=50)
    assert done.sensitivity and sum("first convolution" in why for why in done.float_layers.values()) == 1
    assert sum("makes the pixels" in why for why in done.float_layers.values()) >= 1
    contrast = [node for node in done.fp32_nodes if "attention" in node]
    assert bool(contrast) == (name == "rdsrn")
