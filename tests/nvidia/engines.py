"""Small graphs made ready for one TensorRT, and engines that a fake one built of them."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from tests.export.made import CONV, deployed, identity, node, run, saved
from tests.nvidia.machine import FakeMachine
from tests.runtime.cards import CARD

from edgesr.export.builder.build import build
from edgesr.export.builder.graph import EngineGraph
from edgesr.export.builder.job import BuildJob, Built
from edgesr.export.builder.plan import Precision, build_plan
from edgesr.export.engine_graph import engine_graph
from edgesr.runtime.card import Profile, write_card
from edgesr.runtime.cuda import device_facts
from edgesr.runtime.nvidia import load_tensorrt

__all__ = ["FIXED", "RANGE", "SIZE", "expected", "graph_for", "header", "in_process", "install", "job_for", "left_over"]

SIZE = (32, 24)
FIXED = (Profile(SIZE, SIZE, SIZE),)
PREPARED: dict[Any, EngineGraph] = {}
RANGE = (Profile((16, 16), SIZE, (64, 48)), Profile((64, 48), (128, 96), (128, 96)))


def source(folder: Path, *, int8: str = "") -> Path:
    """Three 1x1 convolutions. int8: the kind of Q/DQ graph it becomes: `int8` or `int8-typed`."""
    if int8:
        return saved(quantised(typed=int8 == "int8-typed"), folder / "made.onnx", graph=int8, precision="int8")
    nodes = [
        node("Conv", "low third", "first", **CONV),
        node("Relu", "first", "relu"),
        node("Conv", "relu two", "second", **CONV),
        node("Conv", "second three_halves", "high", **CONV),
    ]
    weights = {"third": identity(gain=1 / 3), "two": identity(gain=2.0), "three_halves": identity(gain=1.4)}
    return saved(deployed(nodes, weights), folder / "made.onnx", weights_sha256="2" * 64)


def quantised(*, typed: bool) -> Any:
    """One convolution whose input and weights go through INT8 and back. typed: among FP16, in opset 19."""
    nodes = [
        node("QuantizeLinear", "low step zero", "bytes"),
        node("DequantizeLinear", "bytes step zero", "steps"),
        node("QuantizeLinear", "weights weight_step zero", "weight_bytes"),
        node("DequantizeLinear", "weight_bytes weight_step zero", "kernel"),
        node("Conv", "steps kernel", "high", **CONV),
    ]
    constants = {"step": np.float32(2), "zero": np.int8(0), "weights": identity(), "weight_step": np.float32(1 / 64)}
    model = deployed(nodes, constants)
    if typed:
        model.opset_import[0].version, model.ir_version = 19, 9
        for constant in model.graph.initializer:
            if constant.name in ("step", "weights", "weight_step"):
                constant.CopyFrom(
                    numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), constant.name)
                )
        by_name = {entry.name: number for number, entry in enumerate(model.graph.node)}
        first, last = by_name["bytes"], by_name["high"]
        model.graph.node[first].input[0] = "half"
        model.graph.node[last].output[0] = "made"
        model.graph.node.insert(last + 1, node("Cast", "made", "high", to=TensorProto.FLOAT))
        model.graph.node[last].name = "made"
        model.graph.node.insert(first, node("Cast", "low", "half", to=TensorProto.FLOAT16))
    return model


def graph_for(
    folder: Path, version: str, precision: Precision = "fp16", profiles: tuple[Profile, ...] = FIXED
) -> EngineGraph:
    """As `edgesr-export` prepares it; the .onnx file lies in the folder."""
    kind = build_plan(precision, version).graph
    path = source(folder, int8=kind if precision == "int8" else "")
    if (kind, precision, profiles) not in PREPARED:
        PREPARED[kind, precision, profiles] = engine_graph(path, precision, profiles, version)
    return PREPARED[kind, precision, profiles]


def job_for(graph: EngineGraph, version: str, **changes: Any) -> BuildJob:
    job = BuildJob(
        plan=build_plan(graph.precision, version),
        profiles=graph.profiles,
        nodes=graph.nodes,
        fp32_layers=tuple(graph.fp32_layers),
        timing_cache="off",
    )
    return replace(job, **changes)


def in_process(
    played: FakeMachine, graph: EngineGraph, *, told: "list[dict[str, Any]] | None" = None, **changes: Any
) -> tuple[Built, bytes]:
    """A build in this process, where its objects can be looked at. told: takes the events."""
    trt = load_tensorrt()
    facts = device_facts()
    tell = (lambda event: None) if told is None else told.append
    return build(trt, facts, graph.onnx, job_for(graph, played.version, **changes), tell)


def header(played: FakeMachine, plan: bytes) -> dict[str, Any]:
    """How the fake says it built a plan."""
    from tensorrt._plan import unpack  # of the machine that is being played

    found = unpack(plan)
    assert found is not None
    return dict(found[0])


def install(
    folder: Path,
    played: FakeMachine,
    precision: Precision = "fp32",
    profiles: tuple[Profile, ...] = FIXED,
    **entries: Any,
) -> Path:
    """An engine for this machine with its card, some of whose entries are changed; `plan` stands for its bytes."""
    graph = graph_for(folder, played.version, precision, profiles)
    built, plan = in_process(played, graph)
    plan = entries.pop("plan", plan)
    facts = {
        "spec": graph.spec,
        "profiles": graph.profiles,
        "precision": precision,
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "tensorrt": built.tensorrt,
        "gpu": built.gpu,
        "compute_capability": built.compute_capability,
        "memory_bytes": built.memory_bytes,
    }
    path = folder / "made.engine"
    path.write_bytes(plan)
    write_card(replace(CARD, **(facts | entries)), path)
    played.gpu.ops.clear()
    return path


def left_over(folder: Path) -> list[str]:
    """What lies there beside the graph."""
    return sorted(path.name for path in folder.iterdir() if path.name != "made.onnx")


def expected(folder: Path, frame: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """What ONNX Runtime makes of a frame with the graph that the engine came from."""
    import onnx

    return run(onnx.load(folder / "made.onnx"), frame)
