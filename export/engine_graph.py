"""An .onnx file → the graph that a TensorRT at hand is to build, with what the proof will ask for. Needs onnx, no torch."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgesr.export.builder.graph import EngineGraph
from edgesr.export.builder.plan import BuildPlan, GraphKind, Precision, build_plan
from edgesr.export.convolutions import convolutions
from edgesr.export.islands import fp32_islands, made_from_statistics, statistics
from edgesr.export.onnx_file import deployed_model, fixed_size, metadata
from edgesr.export.precision import fp16_from_fp32
from edgesr.export.proof import Convolution
from edgesr.export.ranges import frames_for_ranges, measured_ranges
from edgesr.export.rules import check_rules
from edgesr.export.tensors import Tensors, drop_unread, prepared
from edgesr.runtime.card import Profile
from edgesr.runtime.errors import ForeignModel, InputError
from edgesr.runtime.spec import ModelSpec

__all__ = ["engine_graph", "with_size"]


def engine_graph(
    source: Path,
    precision: Precision | None,
    profiles: Sequence[Profile],
    tensorrt: str,
    *,
    frames: Path | None = None,
) -> EngineGraph:
    """Make a deployed .onnx file ready for one version of TensorRT.

    source: FP32, FP16-typed or INT8, as edgesr-export writes them. precision: None: that of the file. profiles: empty for a
    file of fixed size, which takes that one. frames: folder to measure ranges on; None: made by `pattern:`.
    Raises InputError where file, precision, sizes and TensorRT do not fit together; ForeignModel.
    """
    model, spec = deployed_model(source)
    kind = _kind(model)
    precision = precision or _natural(kind)
    plan = build_plan(precision, tensorrt)
    _check_kind(source, kind, plan, tensorrt)
    sizes = _profiles(source, model, spec, profiles)
    check_rules(model)
    model = prepared(model)
    islands = _islands(model, spec, kind, precision, frames)
    if plan.graph == "fp16" and kind == "fp32":
        model = fp16_from_fp32(model, islands)
        check_rules(model)
    asked = convolutions(model)
    peak = float(metadata(model)["edgesr.memory_bytes_per_pixel"])
    if len(sizes) == 1 and sizes[0].is_fixed:
        model = with_size(model, sizes[0].best, spec.scale)
    return EngineGraph(
        onnx=model.SerializeToString(),
        spec=spec,
        precision=precision,
        kind=plan.graph,
        profiles=sizes,
        nodes=tuple(f"{node.name} ({node.op_type})" for node in model.graph.node),
        fp32_layers=islands,
        convolutions=tuple(_exempt(asked, model, islands)),
        bytes_per_pixel=peak,
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        weights_sha256=metadata(model).get("edgesr.weights_sha256", ""),
    )


def _kind(model: onnx.ModelProto) -> GraphKind:
    entries = metadata(model)
    kinds: dict[str, GraphKind] = {"int8": "int8", "int8-typed": "int8-typed"}
    if graph := entries.get("edgesr.graph"):
        if graph not in kinds:
            raise ForeignModel(f"the graph is of kind {graph!r}; expected {' or '.join(kinds)}: update edgesr")
        return kinds[graph]
    return "fp16" if entries.get("edgesr.precision") == "fp16" else "fp32"


def _natural(kind: GraphKind) -> Precision:
    """What a file is built in when nothing is asked: FP16, unless the graph itself says otherwise."""
    return "int8" if kind.startswith("int8") else "fp16"


def _check_kind(source: Path, kind: GraphKind, plan: BuildPlan, tensorrt: str) -> None:
    if kind == plan.graph or (kind == "fp32" and plan.graph == "fp16"):
        return
    if plan.precision == "int8":
        if kind == "fp32":
            raise InputError(f"{source} is no INT8 graph; add --calibrate FOLDER with high-resolution images")
        other = "typed one, made beside it" if plan.graph == "int8-typed" else "one with FP32 scales, made beside it"
        raise InputError(f"{source} is not the INT8 graph that TensorRT {tensorrt} takes: give the {other}")
    raise InputError(
        f"{source} has {kind} in its graph; TensorRT {tensorrt} builds {plan.precision} from the FP32 file it was made from"
    )


def _profiles(
    source: Path, model: onnx.ModelProto, spec: ModelSpec, profiles: Sequence[Profile]
) -> tuple[Profile, ...]:
    fixed = fixed_size(model)
    if fixed:
        only = Profile(fixed, fixed, fixed)
        if any(profile != only for profile in profiles):
            raise InputError(f"{source} was exported for {only.title} only; export it without --size for another")
        return (only,)
    if not profiles:
        raise InputError(f"{source} takes any size; an engine wants one: add --size WxH, or --min, --opt and --max")
    for profile in profiles:
        for size in (profile.least, profile.best, profile.most):
            spec.check_size(*size)
    return tuple(profiles)


def _islands(
    model: onnx.ModelProto, spec: ModelSpec, kind: GraphKind, precision: Precision, frames: Path | None
) -> dict[str, str]:
    """Nodes that stay FP32 -> why. BF16 has FP32's range, but not its digits: only statistics stay."""
    if kind != "fp32":
        return dict.fromkeys(json.loads(metadata(model).get("edgesr.fp32_nodes", "[]")), "as its file was made")
    if precision == "bf16":
        return dict.fromkeys(statistics(model, Tensors.of(model)), "statistic of the whole frame")
    if precision in ("fp32", "tf32"):
        return {}
    return fp32_islands(model, measured_ranges(model, frames_for_ranges(model, spec, frames)))


def _exempt(asked: Sequence[Convolution], model: onnx.ModelProto, islands: Mapping[str, str]) -> list[Convolution]:
    """Those that need not run in the asked precision get their reason."""
    reasons = json.loads(metadata(model).get("edgesr.float_layers", "{}")) | dict(islands)
    tensors = Tensors.of(model)
    small = made_from_statistics(model, tensors)
    for node in model.graph.node:
        if small.issuperset(node.output):
            reasons.setdefault(node.name, "computes on one value a channel")
    return [replace(entry, exempt=reasons.get(entry.name, "")) for entry in asked]


def with_size(model: onnx.ModelProto, size: tuple[int, int], scale: int) -> onnx.ModelProto:
    """A copy of a deployed graph that takes one size alone: where a shape was computed from the frame's, it is a constant."""
    copy = prepared(model)
    graph = copy.graph
    for end, factor in ((graph.input[0], 1), (graph.output[0], scale)):
        kind = end.type.tensor_type.elem_type
        width, height = (side * factor for side in size)
        end.CopyFrom(helper.make_tensor_value_info(end.name, kind, [1, height, width, 3]))
    del graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(copy, data_prop=True).graph
    shapes = {v.name: [dim.dim_value for dim in v.type.tensor_type.shape.dim] for v in inferred.value_info}
    constants = {constant.name for constant in graph.initializer}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] not in constants:
            name = f"{node.name}.shape"
            graph.initializer.append(numpy_helper.from_array(np.array(shapes[node.output[0]], np.int64), name))
            node.input[1] = name
    drop_unread(graph)
    return copy
