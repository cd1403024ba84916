"""Checkpoint → .onnx file: exported, given its ends, described, checked against PyTorch, and only then installed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import onnx
import onnxslim

from edgesr.export.cubic import cubic_as_convolution
from edgesr.export.frame_io import deployed_graph
from edgesr.export.graph import OPSET, bare_graph
from edgesr.export.memory import peak_bytes_per_pixel
from edgesr.export.order import longest_branch_first
from edgesr.export.parity import Parity, check_sizes, frames_for_checks
from edgesr.export.precision import Fp16Export, export_fp16
from edgesr.export.rules import check_rules
from edgesr.export.verify import check_parity
from edgesr.runtime.backends import open_backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import replaced
from edgesr.runtime.spec import ModelSpec
from edgesr.train.networks import Network

__all__ = ["OnnxExport", "Precision", "Target", "export_onnx"]

Target = Literal["portable", "cpu", "bare"]
Precision = Literal["fp32", "fp16"]
IR_VERSION = 8  # read by every ONNX Runtime since 1.11


@dataclass(frozen=True)
class OnnxExport:
    """What was written, and how well its FP32 form equals PyTorch (empty for a bare graph, which has no frames to compare).

    fp16: how the FP16 form was made from that, where it was asked for.
    """

    path: Path
    spec: ModelSpec
    parity: list[Parity]
    fp16: Fp16Export | None = None


def export_onnx(
    network: Network,
    path: Path,
    *,
    target: Target = "portable",
    size: tuple[int, int] | None = None,
    trained: bool = True,
    frames: Path | None = None,
    precision: Precision = "fp32",
    cubic_as_conv: bool = False,
) -> OnnxExport:
    """Write `network` as ONNX of opset 17.

    target: "portable" (for engines and everything else), "cpu" (same bytes, faster on ONNX Runtime), or "bare" (floats, for
        comparisons).
    size: width and height of the input; None leaves them open, unless the network takes one size alone.
    frames: folder of images to check with; None: made by `pattern:`.
    precision: "fp16" only for the portable form; it is made from the FP32 form, after that has equalled PyTorch.
    cubic_as_conv: see `edgesr.export.cubic`; not for bare graphs.
    Raises ParityFailed, and then nothing is written; InputError where TensorRT would not take the portable form; OutputFailed.
    """
    if precision == "fp16":
        if target != "portable":
            raise InputError(f"an FP16 graph is for engines; it has no {target} form: leave --target out")
        with TemporaryDirectory(prefix="edgesr-") as scratch:
            full = export_onnx(
                network,
                Path(scratch) / path.name,
                size=size,
                trained=trained,
                frames=frames,
                cubic_as_conv=cubic_as_conv,
            )
            half = export_fp16(full.path, path, frames=frames)
        return OnnxExport(path, full.spec, full.parity, half)
    spec = network.spec(trained=trained)
    if network.fixed_size and not size:
        size = (network.fixed_size, network.fixed_size)
    if size:
        spec.check_size(*size)
    model = bare_graph(network, size)
    if target != "bare":
        model = onnxslim.slim(deployed_graph(model, spec, target))
        del model.graph.value_info[:]  # where onnxslim has guessed the channels behind a transposed convolution
    if cubic_as_conv:
        model = cubic_as_convolution(model)
    _describe(model, spec, target, network)
    longest_branch_first(model)
    if target == "portable":
        check_rules(model)
    with replaced(path) as beside:
        beside.write_bytes(model.SerializeToString())
        parity = [] if target == "bare" else _compare(network, beside, check_sizes(spec, size), frames)
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


def _compare(network: Network, path: Path, sizes: Sequence[tuple[int, int]], frames: Path | None) -> list[Parity]:
    with open_backend(path) as backend:
        return check_parity(network, backend, frames_for_checks(sizes, frames))
