"""What TensorRT is given for a version, a precision and a size, and what the proof will ask for."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="graphs are edited with onnx")

from tests.export.made import run, saved

from edgesr.export.builder.graph import load_graph, save_graph
from edgesr.export.engine_graph import engine_graph, with_size
from edgesr.export.onnx_file import portable_model
from edgesr.runtime.card import Profile
from edgesr.runtime.errors import ForeignModel, InputError, MissingFile

MODEL = Path(__file__).parent.parent.parent / "runtime" / "models" / "ecbsr_x4.onnx"
FIXED = Profile((48, 32), (48, 32), (48, 32))
OPEN = Profile((16, 16), (48, 32), (64, 48))


def kinds(graph_bytes: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(graph_bytes).graph.node}


def test_a_fixed_size_leaves_no_arithmetic_on_shapes_and_the_same_bytes() -> None:
    model, spec = portable_model(MODEL)
    fixed = with_size(model, (48, 32), spec.scale)
    assert {"Shape", "Slice", "Concat"}.isdisjoint(node.op_type for node in fixed.graph.node)
    frame = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert np.array_equal(run(model, frame), run(fixed, frame))
    onnx.checker.check_model(fixed, full_check=True)
    assert [dim.dim_value for dim in fixed.graph.output[0].type.tensor_type.shape.dim] == [1, 128, 192, 3]


def test_an_open_size_keeps_it() -> None:
    assert {"Shape", "Slice"} <= kinds(engine_graph(MODEL, "fp16", [OPEN], "10.3.0").onnx)


@pytest.mark.parametrize(
    ("precision", "version", "kind", "typed"),
    [
        ("fp32", "8.6.1", "fp32", False),
        ("fp16", "8.6.1", "fp32", False),
        ("fp16", "10.11.0", "fp32", False),
        ("fp16", "10.12.0", "fp16", True),
        ("fp16", "11.4.0", "fp16", True),
        ("bf16", "10.13.0", "fp32", False),
        ("tf32", "11.0.0", "fp32", False),
    ],
)
def test_the_graph_is_typed_from_10_12_on(precision: str, version: str, kind: str, typed: bool) -> None:
    graph = engine_graph(MODEL, precision, [FIXED], version)
    halves = [c for c in onnx.load_from_string(graph.onnx).graph.initializer if c.data_type == onnx.TensorProto.FLOAT16]
    assert graph.kind == kind and bool(halves) == typed
    assert {entry.name for entry in graph.convolutions} == {
        node.name for node in onnx.load_from_string(graph.onnx).graph.node if node.op_type == "Conv"
    }


def test_what_the_convolutions_cost_is_what_the_network_says() -> None:
    graph = engine_graph(MODEL, "fp16", [FIXED], "10.3.0")
    network = sum(entry.multiply_adds for entry in graph.convolutions if not entry.name.startswith("frame_io."))
    assert network == pytest.approx(graph.spec.multiply_adds_per_pixel, rel=1e-6)


def test_it_survives_storing_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = engine_graph(MODEL, "fp16", [FIXED, OPEN][:1], "10.3.0")
    monkeypatch.setattr("edgesr.export.builder.graph.PART", 10_000)
    save_graph(graph, tmp_path / "a.json")
    assert load_graph(tmp_path / "a.json") == graph and len(list(tmp_path.glob("*.onnx.*"))) > 1
    next(tmp_path.glob("*.onnx.1")).unlink()
    with pytest.raises(MissingFile, match=r"onnx\.1 is missing"):
        load_graph(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"onnx": []}')
    with pytest.raises(InputError, match="prepare it again"):
        load_graph(tmp_path / "b.json")


def test_files_sizes_and_precisions_that_do_not_fit_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="add --size WxH"):
        engine_graph(MODEL, None, [], "10.3.0")
    with pytest.raises(InputError, match="no INT8 graph; add --calibrate"):
        engine_graph(MODEL, "int8", [FIXED], "10.3.0")
    fixed = saved(with_size(portable_model(MODEL)[0], (48, 32), 4), tmp_path / "fixed.onnx")
    assert engine_graph(fixed, None, [], "10.3.0").profiles == (FIXED,)
    with pytest.raises(InputError, match="was exported for 48x32 only"):
        engine_graph(fixed, None, [OPEN], "10.3.0")
    strange = saved(portable_model(MODEL)[0], tmp_path / "strange.onnx", graph="int4")
    with pytest.raises(ForeignModel, match="of kind 'int4'"):
        engine_graph(strange, None, [FIXED], "10.3.0")
