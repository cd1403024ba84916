"""An FP32 graph → the same graph typed FP16: decided by measured ranges, proven on frames, and only then installed.

No torch here. `onnxruntime.transformers.float16` was tried (1.23, 1.31) and not taken: it sends values through FP16 between
two nodes that shall stay FP32, clips constants in silence, and leaves the nodes unsorted, the last one no Cast.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgesr.export.islands import fp32_islands
from edgesr.export.onnx_file import fixed_size, portable_model
from edgesr.export.parity import FP16, Parity, check_backend, check_sizes, frames_for_checks
from edgesr.export.ranges import frames_for_ranges, measured_ranges
from edgesr.export.rounding import rounded_in_fp32
from edgesr.export.rules import awkward_widths, check_rules
from edgesr.export.tensors import ANY_TYPE, FLOAT, FLOAT16, Tensors, prepared, stays_float
from edgesr.runtime.backends import open_backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import replaced
from edgesr.runtime.spec import ModelSpec

__all__ = ["Fp16Export", "export_fp16", "fp16_from_fp32"]


@dataclass(frozen=True)
class Fp16Export:
    """What was written.

    fp32_nodes: name of each node that stays FP32 -> why.
    parity: with every FP16 result really rounded to FP16, against the FP32 graph.
    awkward_widths: convolutions that tensor cores dislike -> their widths; see `edgesr.export.rules`.
    """

    path: Path
    spec: ModelSpec
    fp32_nodes: dict[str, str]
    parity: list[Parity]
    awkward_widths: dict[str, str]


def export_fp16(source: Path, path: Path, *, frames: Path | None = None) -> Fp16Export:
    """Write the FP16-typed form of `source`, a portable FP32 file of edgesr-export.

    frames: folder of images to measure ranges and to check with; None: made by `pattern:`.
    Raises ForeignModel for another kind of file, InputError for a graph or a constant that cannot become FP16,
    ParityFailed where frames come out too different: then nothing is written.
    """
    model, spec = portable_model(source)
    check_rules(model)
    model = prepared(model)
    islands = fp32_islands(model, measured_ranges(model, frames_for_ranges(model, spec, frames)))
    typed = fp16_from_fp32(model, islands)
    check_rules(typed)
    with replaced(path) as beside:
        beside.write_bytes(typed.SerializeToString())
        parity = _proven(source, typed, beside, spec, frames)
    return Fp16Export(path, spec, islands, parity, awkward_widths(model))


def _proven(source: Path, typed: onnx.ModelProto, file: Path, spec: ModelSpec, folder: Path | None) -> list[Parity]:
    """Compare with the FP32 file, once as a GPU computes it and once as ONNX Runtime runs the file.

    ONNX Runtime's CPU computes FP16 graphs in FP32 and so shows no overflow (tried with 1.23 and 1.31): the proof is
    a graph that rounds every FP16 result.
    """
    frames = frames_for_checks(check_sizes(spec, fixed_size(typed)), folder)
    with TemporaryDirectory(prefix="edgesr-") as scratch:
        stepwise = Path(scratch) / file.name
        stepwise.write_bytes(rounded_in_fp32(typed).SerializeToString())
        with open_backend(source) as original, open_backend(stepwise) as rounded, open_backend(file) as written:
            parity = check_backend(original, rounded, frames, FP16, name=f"{spec.title} in FP16")
            check_backend(original, written, frames, FP16, name=f"{spec.title} in FP16 on ONNX Runtime")
    return parity


def fp16_from_fp32(model: onnx.ModelProto, fp32_nodes: Mapping[str, str]) -> onnx.ModelProto:
    """A copy whose float tensors are FP16, except in the nodes named: those compute in FP32, between casts.

    Two neighbours that both stay FP32 hand over FP32. Integers and bytes stay as they are. The metadata gains
    `edgesr.precision` and `edgesr.fp32_nodes` (a JSON list of names).
    """
    model = prepared(model)
    graph = _Typed(model)
    for node in model.graph.node:
        graph.add(node, FLOAT if node.name in fp32_nodes else FLOAT16)
    model.graph.ClearField("node")
    model.graph.ClearField("value_info")
    model.graph.ClearField("initializer")
    model.graph.node.extend(graph.nodes)
    model.graph.initializer.extend(graph.stored.values())
    entries = {entry.key: entry.value for entry in model.metadata_props}
    entries |= {"edgesr.precision": "fp16", "edgesr.fp32_nodes": json.dumps(list(fp32_nodes))}
    # edgesr.memory_bytes_per_pixel stays that of FP32: ONNX Runtime's CPU, which it is for, computes in FP32.
    helper.set_model_props(model, entries)
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Typed:
    """Takes an FP32 graph's nodes in order and gives them, with casts where one type meets the other."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._tensors = Tensors.of(model)
        self._given = {constant.name: constant for constant in model.graph.initializer}
        self._made: dict[str, int] = {}  # float tensors so far -> the type that they were made with
        self.nodes: list[onnx.NodeProto] = []
        self.stored: dict[str, onnx.TensorProto] = {}

    def add(self, node: onnx.NodeProto, wanted: int) -> None:
        for position, name in enumerate(node.input):
            if name in self._given:
                node.input[position] = self._constant(name, FLOAT if stays_float(node, position) else wanted)
            elif name in self._made and node.op_type not in ANY_TYPE:
                node.input[position] = self._cast(name, FLOAT if stays_float(node, position) else wanted)
        if node.op_type == "Cast" and helper.get_node_attr_value(node, "to") == FLOAT:
            _set(node, "to", wanted)
        if node.op_type == "ConstantOfShape" and self._tensors.floats(node.output):
            value = numpy_helper.to_array(helper.get_node_attr_value(node, "value"))
            _set(node, "value", numpy_helper.from_array(value.astype(helper.tensor_dtype_to_np_dtype(wanted))))
        self.nodes.append(node)
        self._made |= dict.fromkeys(self._tensors.floats(node.output), wanted)

    def _constant(self, name: str, wanted: int) -> str:
        """A constant in the wanted type; one that is needed in both is stored twice."""
        given = self._given[name]
        if given.data_type == FLOAT and wanted == FLOAT16:
            with np.errstate(over="ignore"):
                half = numpy_helper.to_array(given).astype(np.float16)
            if not np.isfinite(half).all():
                raise InputError(f"constant {name} does not fit into FP16; let the nodes that read it stay FP32")
            name = f"{name}.fp16"
            given = numpy_helper.from_array(half, name)
        self.stored[name] = given
        return name

    def _cast(self, name: str, wanted: int) -> str:
        if self._made[name] == wanted:
            return name
        other = f"{name}.{'fp32' if wanted == FLOAT else 'fp16'}"
        if other not in self._made:  # one cast for all that read it
            self.nodes.append(helper.make_node("Cast", [name], [other], name=other, to=wanted))
            self._made[other] = wanted
        return other


def _set(node: onnx.NodeProto, name: str, value: object) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    node.ClearField("attribute")
    node.attribute.extend([*kept, helper.make_attribute(name, value)])
