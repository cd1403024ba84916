"""A cubic Resize and its convolutions give the same picture, for every kind that is taken; every other kind is refused."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")

from onnx import TensorProto, helper, numpy_helper
from tests.export.made import deployed, identity, node, run, saved
from tests.small import SMALL

from edgesr.export import cubic
from edgesr.export.cubic import cubic_as_convolution, export_cubic_as_convolution
from edgesr.export.frame_io import deployed_graph
from edgesr.export.memory import peak_bytes_per_pixel
from edgesr.export.onnx_file import metadata
from edgesr.export.parity import FP32, check_frame, frames_for_checks
from edgesr.export.precision import export_fp16, fp16_from_fp32
from edgesr.export.rules import awkward_widths, check_rules
from edgesr.runtime.errors import InputError, ParityFailed
from edgesr.runtime.resize import bicubic_taps
from edgesr.runtime.spec import ModelSpec

SIZES = [(61, 47), (1, 1), (2, 5)]


def spec(scale: int, colour: str) -> ModelSpec:
    return ModelSpec(
        name="made", scale=scale, colour=colour, parameters=0, multiply_adds_per_pixel=1.0, receptive_field=2
    )


def resized(scales: tuple[float, ...] = (1, 1, 2, 2), **attributes: Any) -> onnx.ModelProto:
    """A frame, resized."""
    model = deployed(
        [node("Resize", "low - scales", "high", **{"mode": "cubic"} | attributes)], {"scales": np.ones(4, np.float32)}
    )
    stored = next(constant for constant in model.graph.initializer if constant.name == "scales")
    stored.CopyFrom(numpy_helper.from_array(np.float32(scales), "scales"))
    return model


def fixed(model: onnx.ModelProto, size: tuple[int, int]) -> onnx.ModelProto:
    for dim, side in zip(model.graph.input[0].type.tensor_type.shape.dim[1:3], size[::-1], strict=True):
        dim.dim_value = side
    return model


def equal(before: onnx.ModelProto, after: onnx.ModelProto, sizes: list[tuple[int, int]] = SIZES) -> None:
    for frame in frames_for_checks(sizes):
        check_frame(frame, run(before, frame), run(after, frame), FP32, model="convolutions", original="Resize")


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(made.op_type for made in model.graph.node)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"cubic_coeff_a": -0.5},
        {"cubic_coeff_a": -1.0, "coordinate_transformation_mode": "pytorch_half_pixel", "nearest_mode": "floor"},
    ],
)
def test_convolutions_give_the_same_picture(scale: int, attributes: dict[str, Any]) -> None:
    before = resized((1, 1, scale, scale), **attributes)
    after = cubic_as_convolution(before)
    assert kinds(after) - kinds(before) == Counter({"Conv": 2, "Pad": 1, "DepthToSpace": 1})
    assert "Resize" in kinds(before) and "Resize" not in kinds(after)
    check_rules(after)
    assert awkward_widths(after) == {}, "their widths are no network's choice"
    equal(before, after)


def test_a_is_heeded() -> None:
    frame = frames_for_checks([(24, 16)])[0]
    soft, sharp = (run(cubic_as_convolution(resized(cubic_coeff_a=a)), frame).astype(int) for a in (-0.5, -1.0))
    assert np.abs(soft - sharp).max() > 2


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [None, (23, 17)])
def test_any_number_of_channels_and_either_kind_of_size(channels: int, size: tuple[int, int] | None) -> None:
    mix = np.random.default_rng(1).normal(size=(2, channels, 3, 1, 1)).astype(np.float32)
    nodes = [
        node("Conv", "low there", "values", kernel_shape=[1, 1]),
        node("Resize", "values - scales", "large", mode="cubic"),
        node("Conv", "large back", "high", kernel_shape=[1, 1]),
    ]
    constants = {"there": mix[0], "back": mix[1].transpose(1, 0, 2, 3) / 4, "scales": np.float32([1, 1, 3, 3])}
    before = deployed(nodes, constants)
    before = fixed(before, size) if size else before
    equal(before, cubic_as_convolution(before), [size] if size else SIZES)


def test_a_constant_size_will_do_where_the_inputs_is_known() -> None:
    sizes = np.array([1, 3, 24, 40])
    nodes = [node("Resize", "low - - sizes", "high", mode="cubic")]
    before = fixed(deployed(nodes, {"sizes": sizes}), (20, 12))
    equal(before, cubic_as_convolution(before), [(20, 12)])
    with pytest.raises(InputError, match="its sizes are fixed and those of its input are open"):
        cubic_as_convolution(deployed(nodes, {"sizes": sizes}))


def test_luma_networks_chroma_is_taken_too() -> None:
    """A luma network whose last node is no shuffle: its chroma goes by Resize, a = -0.5."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, "h", "w"]) for name in ("low", "high")]
    weights = {"a": np.full((4, 1, 1, 1), 1.0), "b": np.full((1, 1, 3, 3), 1 / 9)}
    nodes = [
        node("Conv", "low a", "values", kernel_shape=[1, 1]),
        node("DepthToSpace", "values", "large", blocksize=2, mode="CRD"),
        node("Conv", "large b", "high", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    bare = helper.make_model(
        helper.make_graph(nodes, "bare", ends[:1], ends[1:], stored),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    before = deployed_graph(bare, spec(2, "luma"), "portable")
    assert kinds(before)["Resize"] == 1
    equal(before, cubic_as_convolution(before))


def test_a_graph_without_cubic_resize_stays_as_it_is() -> None:
    before = resized(mode="linear")
    assert cubic_as_convolution(before).graph.node == before.graph.node


def test_metadata_stays_and_memory_is_counted_anew() -> None:
    before = resized((1, 1, 4, 4))
    after = cubic_as_convolution(before)
    changed = {key for key, value in metadata(after).items() if metadata(before)[key] != value}
    assert changed == {"edgesr.memory_bytes_per_pixel"} and metadata(before).keys() == metadata(after).keys()
    counted = float(metadata(after)["edgesr.memory_bytes_per_pixel"])
    assert counted == pytest.approx(peak_bytes_per_pixel(after), abs=0.1)
    assert "Resize" in kinds(before), "the given model is not touched"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (resized((1, 1, 1.5, 1.5)), r"scales by \[1.0, 1.0, 1.5, 1.5\]"),
        (resized((1, 1, 0.5, 0.5)), "scales by"),
        (resized((1, 1, *[float("nan")] * 2)), "scales by"),
        (resized((1, 1, 2, 3)), "scales by"),
        (resized((1, 2, 2, 2)), "scales by"),
        (resized((2, 2)), "scales by"),
        (resized(coordinate_transformation_mode="align_corners"), "coordinates are align_corners; expected half_pixel"),
        (resized(coordinate_transformation_mode="asymmetric"), "coordinates are asymmetric"),
        (resized(exclude_outside=1), "it has exclude_outside = 1"),
    ],
)
def test_another_kind_is_refused_by_name(model: onnx.ModelProto, message: str) -> None:
    with pytest.raises(InputError, match=f"cubic Resize high cannot become a convolution: .*{message}"):
        cubic_as_convolution(model)


def test_computed_scales_are_refused() -> None:
    nodes = [
        node("Add", "half half", "scales"),
        node("Resize", "low - scales", "high", mode="cubic"),
    ]
    with pytest.raises(InputError, match="its scales are computed"):
        cubic_as_convolution(deployed(nodes, {"half": np.float32([0.5, 0.5, 1, 1])}))


def test_an_fp16_graph_is_refused() -> None:
    with pytest.raises(InputError, match="expected FP32"):
        cubic_as_convolution(fp16_from_fp32(resized(), {}))


def skip_file(path: Path) -> Path:
    """A file of edgesr-export with a cubic skip, x3."""
    nodes = [node("Conv", "low one", "values", kernel_shape=[1, 1]), node("Resize", "values - s", "high", mode="cubic")]
    model = deployed(nodes, {"one": identity(), "s": np.float32([1, 1, 3, 3])})
    return saved(model, path, spec=spec(3, "rgb").to_json())


def test_a_file_is_converted_checked_and_taken_by_fp16(tmp_path: Path) -> None:
    source, plain = skip_file(tmp_path / "a.onnx"), tmp_path / "b.onnx"
    assert all(parity.psnr_db >= 60 for parity in export_cubic_as_convolution(source, plain))
    assert "Resize" not in kinds(onnx.load(plain))
    done = export_fp16(plain, tmp_path / "c.onnx")
    assert done.fp32_nodes == {} and all(parity.psnr_db >= 55 for parity in done.parity)
    with pytest.raises(InputError, match=r"b\.onnx has no cubic Resize"):
        export_cubic_as_convolution(plain, tmp_path / "d.onnx")


def test_nothing_is_written_when_the_picture_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cubic, "bicubic_taps", lambda scale, a: bicubic_taps(scale, a - 0.5))
    source = skip_file(tmp_path / "a.onnx")
    with pytest.raises(ParityFailed, match="with its cubic Resize as convolutions at 96x64 differs"):
        export_cubic_as_convolution(source, tmp_path / "b.onnx")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_rdsrn_stays_the_same(scale: int) -> None:
    pytest.importorskip("torch", reason="networks are made with PyTorch")
    from edgesr.export.graph import bare_graph
    from edgesr.train.networks import seeded_network

    network = seeded_network("rdsrn", scale, SMALL["rdsrn"])
    before = deployed_graph(bare_graph(network), network.spec(trained=False), "portable")
    after = cubic_as_convolution(before)
    check_rules(after)
    equal(before, after, [(61, 47), (96, 64)])


@pytest.mark.parametrize("scale", [2, 4])
def test_published_rdsrn_stays_the_same(shared: Path, scale: int) -> None:
    pytest.importorskip("torch", reason="the published weights are PyTorch's")
    from edgesr.export.graph import bare_graph
    from edgesr.train.published import network_from_published

    network = network_from_published(shared / "weights" / "rdsrn" / f"x{scale}.pth", "rdsrn", scale)
    before = deployed_graph(bare_graph(network), network.spec(), "portable")
    frame = frames_for_checks([(64, 48)], shared / "data" / "Set5")[0]
    after = run(cubic_as_convolution(before), frame)
    check_frame(frame, run(before, frame), after, FP32, model="convolutions", original="Resize")
