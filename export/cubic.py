"""Cubic Resize → the same bicubic as edge padding, two fixed convolutions and a shuffle. Needs no torch.

For a TensorRT that refuses cubic Resize, or computes another one. Separable, since 5 * scale * (1 + scale) multiply-adds
a value do what one 5x5 kernel needs 25 * scale² for; a group for each channel, since no channel sees another. ONNX Runtime's CPU
gains too: 320x180 to x4 in three channels takes it 5 ms instead of 167 (1.31, one thread, 2026-11-21).
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgesr.export.memory import peak_bytes_per_pixel
from edgesr.export.onnx_file import fixed_size, metadata, portable_model
from edgesr.export.onnx_graph import Graph
from edgesr.export.parity import FP32, Parity, check_backend, check_sizes, frames_for_checks
from edgesr.export.rules import check_rules
from edgesr.export.tensors import FLOAT, Tensors, prepared
from edgesr.runtime.backends import open_backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import replaced
from edgesr.runtime.resize import bicubic_taps

__all__ = ["cubic_as_convolution", "export_cubic_as_convolution"]

MEMORY = "edgesr.memory_bytes_per_pixel"
TRANSFORMS = {"half_pixel", "pytorch_half_pixel"}
"""Both the same at a whole-number scale."""


def export_cubic_as_convolution(source: Path, path: Path, *, frames: Path | None = None) -> list[Parity]:
    """Write `source`, a portable FP32 file of edgesr-export, without its cubic Resize; the frames' differences to it.

    frames: folder of images to check with; None: made by `pattern:`.
    Raises MissingFile, ForeignModel for another kind of file; InputError for one without cubic Resize, or with one of another
    kind; ParityFailed where frames come out too different: then nothing is written.
    """
    model, spec = portable_model(source)
    if not any(_is_cubic(node) for node in model.graph.node):
        raise InputError(f"{source} has no cubic Resize to be made a convolution: leave --cubic-as-conv out")
    model = cubic_as_convolution(model)
    check_rules(model)
    sizes = check_sizes(spec, fixed_size(model))
    with replaced(path) as beside:
        beside.write_bytes(model.SerializeToString())
        with open_backend(source) as original, open_backend(beside) as written:
            name = f"{spec.title} with its cubic Resize as convolutions"
            return check_backend(original, written, frames_for_checks(sizes, frames), FP32, name=name)


def cubic_as_convolution(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an FP32 graph in which no cubic Resize is left; the metadata stays, with its memory counted anew.

    Raises InputError, naming the node, for a cubic Resize of another kind: no constant whole-number scale, the same for height
    and width; other edges than clamped ones; no FP32 (N, C, H, W) with a known C.
    """
    model = prepared(model)
    graph, shapes, types = Graph(model, "cubic"), _shapes(model), Tensors.of(model).types
    given, graph.nodes = graph.nodes, []
    graph.into = graph.nodes
    for node in given:
        if not _is_cubic(node):
            graph.nodes.append(node)
            continue
        shape = shapes.get(node.input[0], [])
        if types.get(node.input[0]) != FLOAT or len(shape) != 4 or not shape[1]:
            raise _refused(node, "expected FP32 (N, C, H, W) with a fixed C")
        attributes = _attributes(node)
        _check_edges(node, attributes)
        taps, radius = bicubic_taps(_scale(node, graph.constants, shape), attributes.get("cubic_coeff_a", -0.75))
        _add_bicubic(graph, node.input[0], shape[1], taps, radius)
        graph.nodes[-1].output[0] = node.output[0]
    model.graph.CopyFrom(graph.finish(list(model.graph.input), list(model.graph.output)).graph)
    if MEMORY in (entries := metadata(model)):
        helper.set_model_props(model, entries | {MEMORY: f"{peak_bytes_per_pixel(model):.1f}"})
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_bicubic(graph: Graph, low: str, channels: int, taps: NDArray[np.float32], radius: int) -> None:
    """low (N, C, H, W) -> (N, C, H*scale, W*scale); taps (scale, 2 * radius + 1) are those of one direction."""
    scale = len(taps)
    padding = graph.constant([0, 0, radius, radius, 0, 0, radius, radius], np.int64)
    padded = graph.add("Pad", low, padding, mode="edge")
    rows = np.tile(taps[:, None, :, None], (channels, 1, 1, 1))
    tall = graph.conv(padded, rows, np.zeros(len(rows)), group=channels)
    columns = np.tile(taps[:, None, None, :], (channels * scale, 1, 1, 1))
    subpixels = graph.conv(tall, columns, np.zeros(len(columns)), group=channels * scale)
    graph.add("DepthToSpace", subpixels, blocksize=scale, mode="CRD")


def _check_edges(node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
    transform = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if transform not in TRANSFORMS:
        raise _refused(node, f"its coordinates are {transform}; expected {' or '.join(sorted(TRANSFORMS))}")
    for name in ("exclude_outside", "antialias", "axes"):  # the last two came with opset 18
        if attributes.get(name):
            raise _refused(node, f"it has {name} = {attributes[name]}; expected none")


def _scale(node: onnx.NodeProto, constants: dict[str, NDArray[Any]], shape: list[int]) -> int:
    _, scales, sizes = [*node.input[1:], "", "", ""][:3]
    if (sizes or scales) not in constants:
        raise _refused(node, f"its {'sizes' if sizes else 'scales'} are computed; expected a constant")
    values = constants[sizes or scales].astype(float).ravel().tolist()
    if sizes:
        if not all(shape):
            raise _refused(node, "its sizes are fixed and those of its input are open")
        values = [size / side for size, side in zip(values, shape, strict=False)]
    factor = values[-1] if values else 0.0
    if values != [1, 1, factor, factor] or factor < 1 or not factor.is_integer():
        raise _refused(node, f"it scales by {values}; expected [1, 1, s, s] with a whole number s")
    return int(factor)


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Sizes of every tensor whose rank can be inferred; 0 where a size is open."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}


def _is_cubic(node: onnx.NodeProto) -> bool:
    return node.op_type == "Resize" and _attributes(node).get("mode") == b"cubic"


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _refused(node: onnx.NodeProto, why: str) -> InputError:
    return InputError(f"cubic Resize {node.name} cannot become a convolution: {why}; leave --cubic-as-conv out")
