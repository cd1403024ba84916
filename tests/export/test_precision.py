"""FP16 lives in the graph: which nodes stay FP32, what is cast, and that a file which would overflow is not written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")

import onnxruntime
from onnx import TensorProto, numpy_helper
from tests.export.made import CONV, FRAME, deployed, identity, loud, node, run, saved, types

from edgesr.export.parity import FP16, check_frame, frames_for_checks
from edgesr.export.precision import Fp16Export, export_fp16, fp16_from_fp32
from edgesr.export.precision_report import precision_report
from edgesr.export.rounding import rounded_in_fp32
from edgesr.export.tensors import FLOAT, FLOAT16
from edgesr.runtime.backends import open_backend
from edgesr.runtime.errors import ForeignModel, InputError, MissingFile, ParityFailed


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_exactly_what_makes_or_reads_large_values_stays_fp32(tmp_path: Path) -> None:
    source = saved(loud(), tmp_path / "loud.onnx")
    done = export_fp16(source, tmp_path / "half.onnx")
    assert list(done.fp32_nodes) == ["up", "relu", "down"]
    assert done.fp32_nodes["up"].startswith("makes values up to 2") and done.fp32_nodes["down"].startswith(
        "reads values"
    )
    model = onnx.load(done.path)
    found = types(model)
    assert [name for name in ("before", "up", "relu", "down", "high") if found[name] == FLOAT] == ["up", "relu", "down"]
    assert [n.op_type for n in model.graph.node] == [
        *("Cast", "Transpose", "Conv"),
        *("Cast", "Mul", "Relu", "Div", "Cast"),  # neighbours in FP32 hand over FP32
        *("Conv", "Round", "Clip", "Transpose", "Cast"),
    ]
    assert max(parity.difference for parity in done.parity) <= 1  # weights of 1 and 100: only 1/8 steps of 0–255
    assert np.array_equal(run(model), FRAME)


def test_an_fp16_file_is_typed_tells_so_and_keeps_its_ends(tmp_path: Path) -> None:
    source = saved(loud(), tmp_path / "loud.onnx", weights_sha256="abc")
    done = export_fp16(source, tmp_path / "half.onnx")
    entries = metadata(done.path)
    assert entries["edgesr.precision"] == "fp16" and json.loads(entries["edgesr.fp32_nodes"]) == ["up", "relu", "down"]
    assert {key: entries[key] for key in metadata(source)} == metadata(source)
    model = onnx.load(done.path)
    assert model.ir_version == 8 and [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    first, last = model.graph.node[0], model.graph.node[-1]
    assert (first.op_type, list(first.input), first.attribute[0].i) == ("Cast", ["frame"], FLOAT16)
    assert (last.op_type, list(last.output), last.attribute[0].i) == ("Cast", ["upscaled"], TensorProto.UINT8)
    with open_backend(done.path) as half, open_backend(source) as full:
        assert (half.settings["precision"], full.settings["precision"]) == ("fp16", "fp32")


def test_an_overflow_that_onnx_runtime_hides_is_seen_by_the_rounded_graph() -> None:
    typed = fp16_from_fp32(loud(gain=1000), {})
    assert np.array_equal(run(typed), FRAME), "ONNX Runtime computes it in FP32: should this fail, the detour can go"
    rounded = run(rounded_in_fp32(typed))
    quiet = FRAME.max(axis=2) < 65
    assert 0 < quiet.sum() < quiet.size
    assert np.array_equal(rounded[quiet], FRAME[quiet]) and (rounded[~quiet] != FRAME[~quiet]).any(axis=1).all()


def test_rounding_is_that_of_numpy() -> None:
    model = fp16_from_fp32(deployed([node("Mul", "low third", "high")], {"third": np.float32(1 / 3)}), {})
    kept = rounded_in_fp32(model)
    kept.graph.output.append(onnx.helper.make_tensor_value_info("high", FLOAT, [1, 3, None, None]))
    session = onnxruntime.InferenceSession(kept.SerializeToString(), providers=["CPUExecutionProvider"])
    high = session.run(["high"], {"frame": FRAME[None]})[0]
    exact = FRAME.astype(np.float32) * np.float32(np.float16(1 / 3))
    assert np.array_equal(high[0].transpose(1, 2, 0), exact.astype(np.float16).astype(np.float32))


def test_nothing_is_written_when_frames_come_out_too_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(loud(gain=1000), tmp_path / "loud.onnx")
    monkeypatch.setattr("edgesr.export.precision.fp32_islands", lambda *_: {})
    with pytest.raises(
        ParityFailed, match=r"made x1 in FP16 at 96x64 differs from made x1 .*nothing was written \(\d+ by"
    ):
        export_fp16(source, tmp_path / "half.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["loud.onnx"]


def test_a_black_frame_is_called_so() -> None:
    with pytest.raises(ParityFailed, match="the frame is black: something overflowed"):
        check_frame(FRAME, FRAME, np.zeros_like(FRAME), FP16, model="a", original="b")


def test_a_quiet_tensor_is_not_lost_between_two_nodes(tmp_path: Path) -> None:
    whispers = [node("Conv", "low w", "quiet", **CONV), node("Mul", "quiet loud", "high")]
    source = saved(deployed(whispers, {"w": identity(gain=1e-9), "loud": np.float32(1e9)}), tmp_path / "a.onnx")
    assert max(parity.difference for parity in export_fp16(source, tmp_path / "b.onnx").parity) <= 1


def test_a_constant_that_both_kinds_of_nodes_read_is_stored_in_both_types() -> None:
    third = np.float32(1 / 3)
    nodes = [node("Mul", "low third", "a"), node("Mul", "a third", "high")]
    model = fp16_from_fp32(deployed(nodes, {"third": third}), {"a": "planted"})
    stored = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    assert stored["third"] == third and stored["third"].dtype == np.float32
    assert stored["third.fp16"] == np.float16(third) and stored["third.fp16"].dtype == np.float16
    readers = {n.name: list(n.input) for n in model.graph.node}
    assert readers["a"] == ["low.fp32", "third"] and readers["high"] == ["a.fp16", "third.fp16"]


def test_a_constant_is_never_clipped() -> None:
    model = deployed([node("Min", "low far", "high")], {"far": np.float32(1e6)})
    with pytest.raises(InputError, match="constant far does not fit into FP16"):
        fp16_from_fp32(model, {})
    assert np.array_equal(run(fp16_from_fp32(model, {"high": "planted"})), FRAME)


def test_shape_arithmetic_and_the_scales_of_resize_stay_what_they_are() -> None:
    nodes = [
        node("Shape", "low", "shape"),
        node("Slice", "shape two four", "sides"),
        node("Concat", "front sides", "same", axis=0),
        node("Resize", "low - doubled", "double", mode="linear", coordinate_transformation_mode="asymmetric"),
        node("Resize", "double - halved", "half", mode="nearest", coordinate_transformation_mode="asymmetric"),
        node("Pad", "half edges", "padded"),
        node("Reshape", "padded same", "high"),
    ]
    constants = {"two": np.array([2]), "four": np.array([4]), "front": np.array([1, 3]), "edges": np.zeros(8, np.int64)}
    scales = {"doubled": np.array([1, 1, 2, 2], np.float32), "halved": np.array([1, 1, 0.5, 0.5], np.float32)}
    model = deployed(nodes, {**constants, **scales})
    typed = fp16_from_fp32(model, {})
    stored = {c.name: numpy_helper.to_array(c).dtype.name for c in typed.graph.initializer}
    assert stored == dict.fromkeys(constants, "int64") | dict.fromkeys(scales, "float32") | dict.fromkeys(
        ("black.fp16", "white.fp16"), "float16"
    )
    assert {types(typed)[name] for name in ("shape", "sides", "same")} == {TensorProto.INT64}
    assert [n.op_type for n in typed.graph.node].count("Cast") == 2
    assert np.array_equal(run(typed), run(model)) and np.array_equal(run(typed), FRAME)


def test_nodes_without_names_and_constants_among_the_nodes_are_taken_in() -> None:
    constant = onnx.helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.float32(0.5)))
    model = deployed([constant, node("Mul", "low c", "a"), node("Mul", "a c", "high")])
    for made in model.graph.node:
        made.name = ""
    typed = fp16_from_fp32(model, {})
    names = [made.name for made in typed.graph.node]
    assert all(names) and len(set(names)) == len(names) and "Constant" not in {n.op_type for n in typed.graph.node}
    assert {types(typed)[name] for name in ("a", "high")} == {FLOAT16}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"form": "cpu"}, "has the cpu form"),
        ({"form": "bare"}, "has the bare form"),
        ({"precision": "fp16"}, "has fp16 in its graph already"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    source = saved(loud(), tmp_path / "a.onnx", **entries)
    with pytest.raises(ForeignModel, match=message):
        export_fp16(source, tmp_path / "b.onnx")
    with pytest.raises(ForeignModel, match=message):
        precision_report(source)


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    foreign, broken = tmp_path / "foreign.onnx", tmp_path / "broken.onnx"
    model = loud()
    model.ClearField("metadata_props")
    foreign.write_bytes(model.SerializeToString())
    broken.write_bytes(b"\xff" * 40)
    for path, kind in ((foreign, ForeignModel), (broken, ForeignModel), (tmp_path / "none.onnx", MissingFile)):
        with pytest.raises(kind, match=path.name):
            export_fp16(path, tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


def test_a_graph_that_tensorrt_cannot_take_is_not_converted(tmp_path: Path) -> None:
    model = deployed([node("Mod", "low gain", "high", fmod=1)], {"gain": np.float32(7)})
    with pytest.raises(InputError, match="high: Mod is not among the operators"):
        export_fp16(saved(model, tmp_path / "a.onnx"), tmp_path / "b.onnx")


def test_a_fixed_size_is_measured_and_checked_at_that_size(tmp_path: Path) -> None:
    source = saved(deployed([node("Relu", "low", "high")], size=(20, 12)), tmp_path / "a.onnx")
    assert [(p.width, p.height) for p in export_fp16(source, tmp_path / "b.onnx").parity] == [(20, 12)]
    assert set(precision_report(source).frames) == {(20, 12)}


def network_islands(done: Fp16Export) -> list[str]:
    kinds = {n.name: n.op_type for n in onnx.load(done.path).graph.node}
    return [kinds[name] for name in done.fp32_nodes]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ecbsr", None),
        ("carn", {"features": 8}),
        ("rdn", {"blocks": 2, "layers": 2, "growth": 8, "features": 8}),
        ("rdsrn", {"features": 32}),
    ],
)
def test_every_network_can_be_had_in_fp16(tmp_path: Path, name: str, options: dict[str, Any] | None) -> None:
    pytest.importorskip("torch", reason="networks are made with PyTorch")
    from edgesr.export.onnx import export_onnx
    from edgesr.train.networks import seeded_network

    done = export_onnx(seeded_network(name, 4, options), tmp_path / "a.onnx", trained=False, precision="fp16")
    assert done.fp16 is not None and len(done.parity) == len(done.fp16.parity) == 2
    assert all(parity.difference <= 2 and parity.psnr_db >= 55 for parity in done.fp16.parity)
    contrast = ["ReduceMean", "Sub", "Div", "Pow", "ReduceMean", "Sqrt", "Mul", "Add"]
    assert network_islands(done.fp16) == (3 * contrast if name == "rdsrn" else [])
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    floats = [c for c in onnx.load(done.path).graph.initializer if c.data_type == FLOAT]
    allowed = {"/Constant_output_0", *(f"/block/attention/Constant{n}_output_0" for n in ("", "_1", "_2"))}
    assert {c.name for c in floats} <= allowed, "scales, sixteen, exponent"
    with open_backend(done.path) as backend:
        assert backend.settings["precision"] == "fp16"


def test_fp16_has_no_cpu_form(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="networks are made with PyTorch")
    from edgesr.export.onnx import export_onnx
    from edgesr.train.networks import seeded_network

    with pytest.raises(InputError, match="it has no cpu form"):
        export_onnx(seeded_network("ecbsr", 4), tmp_path / "a.onnx", target="cpu", precision="fp16")


def test_published_rdsrn_loses_next_to_nothing_in_fp16(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the published weights are PyTorch's")
    from edgesr.export.onnx import export_onnx
    from edgesr.train.published import network_from_published

    network = network_from_published(shared / "weights" / "rdsrn" / "x4.pth", "rdsrn", 4)
    done = export_onnx(network, tmp_path / "rdsrn_x4.onnx", precision="fp16", frames=shared / "data" / "Set5").fp16
    assert (
        done is not None
        and len(done.fp32_nodes) == 24
        and set(done.fp32_nodes.values()) == {"statistic of the whole frame"}
    )
    assert all(parity.difference <= 2 and parity.psnr_db >= 55 for parity in done.parity)


def test_frames_of_another_seed_are_other_frames() -> None:
    first, second = (frames_for_checks([(24, 16)], seed=seed)[0] for seed in (0, 1))
    assert first.shape == second.shape and not np.array_equal(first, second)
