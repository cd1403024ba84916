"""Checkpoint → .onnx file: exported, given its ends, described, checked against PyTorch, and only then installed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import onnx
import onnxslim

from edgesr.export.frame_io import deployed_graph
from edgesr.export.graph import OPSET, bare_graph
from edgesr.export.memory import peak_bytes_per_pixel
from edgesr.export.verify import Parity, check_parity, frames_for_checks
from edgesr.runtime.backends import open_backend
from edgesr.runtime.files import replaced
from edgesr.runtime.spec import ModelSpec
from edgesr.train.networks import Network

__all__ = ["OnnxExport", "Target", "export_onnx"]

Target = Literal["portable", "cpu", "bare"]
IR_VERSION = 8  # read by every ONNX Runtime since 1.11


@dataclass(frozen=True)
class OnnxExport:
    """What was written, and how well it equals PyTorch (empty for a bare graph, which has no frames to compare)."""

    path: Path
    spec: ModelSpec
    parity: list[Parity]


def export_onnx(
    network: Network,
    path: Path,
    *,
    target: Target = "portable",
    size: tuple[int, int] | None = None,
    trained: bool = True,
    frames: Path | None = None,
) -> OnnxExport:
    """Write `network` as ONNX of opset 17.

    target: "portable" (for engines and everything else), "cpu" (same bytes, faster on ONNX Runtime), or "bare" (floats, for
        comparisons).
    size: width and height of the input; None leaves them open.
    frames: folder of images to check with; None: made by `pattern:`.
    Raises ParityFailed, and then nothing is written; OutputFailed.
    """
    spec = network.spec(trained=trained)
    if size:
        spec.check_size(*size)
    model = bare_graph(network, size)
    if target != "bare":
        model = onnxslim.slim(deployed_graph(model, spec, target))
    _describe(model, spec, target, network)
    with replaced(path) as beside:
        beside.write_bytes(model.SerializeToString())
        parity = [] if target == "bare" else _compare(network, beside, _check_sizes(spec, size), frames)
    return OnnxExport(path, spec, parity)


def _describe(model: onnx.ModelProto, spec: ModelSpec, target: Target, network: Network) -> None:
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "edgesr", version("edgesr")
    entries = {
        "edgesr.spec": spec.to_json(),
        "edgesr.form": target,
        "edgesr.memory_bytes_per_pixel": f"{peak_bytes_per_pixel(model):.1f}",
        "edgesr.weights_sha256": weights_digest(network),
    }
    onnx.helper.set_model_props(model, entries)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]


def weights_digest(network: Network) -> str:
    """SHA-256 over names and values of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _check_sizes(spec: ModelSpec, size: tuple[int, int] | None) -> Sequence[tuple[int, int]]:
    """Two sizes, one of them odd where the network allows it; where one is fixed, that one."""
    if size:
        return [size]
    step, least = spec.size_multiple, spec.min_size
    return [
        (max(least, 96) // step * step, max(least, 64) // step * step),
        (max(least, 61 * step), max(least, 47 * step)),
    ]


def _compare(network: Network, path: Path, sizes: Sequence[tuple[int, int]], frames: Path | None) -> list[Parity]:
    with open_backend(path) as backend:
        return check_parity(network, backend, frames_for_checks(sizes, frames))
