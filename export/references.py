"""What an engine must equal: frames, and what ONNX Runtime makes of them from the graph it is built from."""

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from edgesr.export.calibration import exact_session, upscaled
from edgesr.export.engine import Reference
from edgesr.export.onnx_file import deployed_model, metadata
from edgesr.export.parity import frames_for_checks
from edgesr.export.rounding import rounded_in_fp32
from edgesr.runtime.card import Profile
from edgesr.runtime.frame import Pixels

__all__ = ["references_for"]


def references_for(
    source: Path, profiles: Sequence[Profile], folder: Path | None, *, exact: Path | None = None
) -> list[Reference]:
    """At least two frames, one of every size that a profile names. folder: of images; None: made by `pattern:`.

    exact: the FP32 file of an INT8 one.
    Q and DQ are really executed, in FP32: ONNX Runtime's own INT8 kernels drift (to 50 dB for RDSRN), and its FP16
    QuantizeLinear truncates up to 1.30.
    """
    sizes = list(dict.fromkeys(size for p in profiles for size in (p.best, p.least, p.most)))
    frames = [*frames_for_checks(sizes, folder), *frames_for_checks(sizes[:1], None, seed=1)]
    upscale, upscale_exact = _upscaler(source), _upscaler(exact) if exact else None
    return [Reference(frame, upscale(frame), upscale_exact(frame) if upscale_exact else None) for frame in frames]


def _upscaler(source: Path) -> Callable[[Pixels], Pixels]:
    model: onnx.ModelProto = deployed_model(source)[0]
    if metadata(model).get("edgesr.graph") == "int8-typed":
        model = rounded_in_fp32(model)
    session = exact_session(model)
    return lambda frame: upscaled(session, frame)
