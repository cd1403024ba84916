"""How far the values of every tensor reach on real frames: what decides whether FP16 holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from edgesr.export.onnx_file import fixed_size
from edgesr.export.parity import check_sizes, frames_for_checks
from edgesr.export.tensors import FLOAT, Tensors, prepared
from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.spec import ModelSpec

__all__ = ["TensorRange", "frames_for_ranges", "measured_ranges"]

FP16_LARGEST = 65504.0
SEEDS = range(2)
MOST_IMAGES = 8
LARGEST_CROP = (192, 144)  # of the user's images: a network's ranges hardly grow with the frame


@dataclass(frozen=True)
class TensorRange:
    """Lowest and highest value that was seen."""

    lowest: float
    highest: float

    @property
    def magnitude(self) -> float:
        return max(abs(self.lowest), abs(self.highest))

    @property
    def headroom(self) -> float:
        """How many times larger the values could get before FP16 overflows; infinite where all are zero."""
        return FP16_LARGEST / self.magnitude if self.magnitude else float("inf")


def measured_ranges(model: onnx.ModelProto, frames: Sequence[Pixels]) -> dict[str, TensorRange]:
    """Range of every FP32 tensor that a node of a deployed graph makes, over frames of uint8 (H, W, 3) BGR.

    Each tensor is reduced to its minimum and maximum inside the graph, right where it is made, so that no
    tensor is held longer than the network itself does.
    Raises InputError where a value is infinite or no number already in FP32.
    """
    tapped, names = _tapped(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED  # else all taps wait for the end
    session = onnxruntime.InferenceSession(tapped.SerializeToString(), options, providers=["CPUExecutionProvider"])
    lows, highs = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for frame in frames:
        seen = np.array(session.run(_outputs(len(names)), {"frame": frame[None]}), np.float64).reshape(-1, 2)
        if not np.isfinite(seen).all():
            broken = names[int(np.argmin(np.isfinite(seen).all(axis=1)))]
            raise InputError(f"{broken} is infinite or no number already in FP32: check the weights")
        lows, highs = np.minimum(lows, seen[:, 0]), np.maximum(highs, seen[:, 1])
    return {name: TensorRange(float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)}


def _outputs(count: int) -> list[str]:
    return [f"ranges.{end}.{number}" for number in range(count) for end in ("lowest", "highest")]


def _tapped(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """A copy with the minimum and maximum of each float tensor as its outputs, and the tensors' names in order."""
    copy = prepared(model)
    tensors = Tensors.of(copy)
    names = [name for node in copy.graph.node for name in tensors.floats(node.output)]
    taps: dict[str, list[onnx.NodeProto]] = {}
    for name, low, high in zip(names, *[iter(_outputs(len(names)))] * 2, strict=True):
        taps[name] = [
            helper.make_node(kind, [name], [end], name=end, keepdims=0)
            for kind, end in (("ReduceMin", low), ("ReduceMax", high))
        ]
    nodes = [
        new for node in copy.graph.node for new in (node, *(tap for name in node.output for tap in taps.get(name, [])))
    ]
    copy.graph.ClearField("node")
    copy.graph.node.extend(nodes)
    copy.graph.output.extend(helper.make_tensor_value_info(name, FLOAT, []) for name in _outputs(len(names)))
    return copy, names


def frames_for_ranges(model: onnx.ModelProto, spec: ModelSpec, folder: Path | None = None) -> list[Pixels]:
    """Frames that the model takes: cut from up to eight images spread over a folder, or made by `pattern:natural`.

    Raises InputError where no image of the folder is large enough.
    """
    size = fixed_size(model)
    if folder is None:
        return [frame for seed in SEEDS for frame in frames_for_checks(check_sizes(spec, size), seed=seed)]
    files = image_files(folder)
    chosen = [files[index] for index in np.unique(np.linspace(0, len(files) - 1, MOST_IMAGES).astype(int))]
    frames = [frame for file in chosen if (frame := _middle(read_image(file)[0], spec, size)) is not None]
    if not frames:
        width, height = size or (spec.min_size, spec.min_size)
        raise InputError(f"no image in {folder} is {width}x{height} or larger; expected some to measure ranges on")
    return frames


def _middle(pixels: Pixels, spec: ModelSpec, size: tuple[int, int] | None) -> Pixels | None:
    step = spec.size_multiple
    width, height = size or [
        min(most, side) // step * step for most, side in zip(LARGEST_CROP, pixels.shape[1::-1], strict=True)
    ]
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    if min(top, left) < 0 or min(width, height) < spec.min_size:
        return None
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
