"""Deployed graphs made by hand, whose answers are known by heart: for tests that need no torch."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgesr.export.tensors import Tensors
from edgesr.runtime.spec import ModelSpec

SPEC = ModelSpec(name="made", scale=1, colour="rgb", parameters=0, multiply_adds_per_pixel=1.0, receptive_field=1)

FRAME = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype=np.uint8)
CONV = {"kernel_shape": [1, 1]}


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """A node named like its output; inputs are separated by blanks, `-` stands for one that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, [output], name=output, **attributes)


def identity(channels: int = 3, gain: float = 1.0) -> np.ndarray:
    """Weights of a 1x1 convolution that multiplies by gain."""
    return np.asarray(np.eye(channels)[:, :, None, None] * gain, np.float32)


def deployed(
    nodes: list[onnx.NodeProto], constants: dict[str, Any] | None = None, size: tuple[int, int] | None = None
) -> onnx.ModelProto:
    """`frame` → nodes that take float `low` (1, 3, H, W) in 0–255 and make `high` of the same shape → `upscaled`."""
    width, height = size or ("width", "height")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, height, width, 3]) for name in ("frame", "upscaled")
    ]
    head = [
        node("Cast", "frame", "floats", to=TensorProto.FLOAT),
        node("Transpose", "floats", "low", perm=[0, 3, 1, 2]),
    ]
    tail = [
        node("Round", "high", "round"),
        node("Clip", "round black white", "clip"),
        node("Transpose", "clip", "pixels", perm=[0, 2, 3, 1]),
        node("Cast", "pixels", "upscaled", to=TensorProto.UINT8),
    ]
    values = {"black": np.float32(0), "white": np.float32(255), **(constants or {})}
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph([*head, *nodes, *tail], "made", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    entries = {"edgesr.spec": SPEC.to_json(), "edgesr.form": "portable", "edgesr.memory_bytes_per_pixel": "100"}
    helper.set_model_props(model, entries)
    onnx.checker.check_model(model, full_check=True)
    return model


def saved(model: onnx.ModelProto, path: Path, **entries: str) -> Path:
    """Write the model, with some of its metadata changed: form="cpu" sets `edgesr.form`."""
    known = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, known | {f"edgesr.{key}": value for key, value in entries.items()})
    path.write_bytes(model.SerializeToString())
    return path


def loud(gain: float = 100.0) -> onnx.ModelProto:
    """Up to 255 * gain between two convolutions that stay small."""
    nodes = [
        node("Conv", "low one", "before", **CONV),
        node("Mul", "before gain", "up"),
        node("Relu", "up", "relu"),
        node("Div", "relu gain", "down"),
        node("Conv", "down one", "high", **CONV),
    ]
    return deployed(nodes, {"one": identity(), "gain": np.float32(gain)})


def run(model: onnx.ModelProto, frame: np.ndarray = FRAME) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"frame": frame[None]})[0][0])


def types(model: onnx.ModelProto) -> dict[str, int]:
    return Tensors.of(model).types
