"""ONNX Runtime on the CPU: the embedded default, and the reference for engines."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.card import Profile
from edgesr.runtime.errors import BackendFailed, ForeignModel, InputError, MissingFile
from edgesr.runtime.frame import Pixels
from edgesr.runtime.layer_times import ProfiledFrames
from edgesr.runtime.memory import check_fits
from edgesr.runtime.onnx_profile import profile_session
from edgesr.runtime.spec import ModelSpec

__all__ = ["CALM_THREADS", "OnnxRuntimeBackend", "session_options"]

CALM_THREADS = {"session.intra_op.allow_spinning": "0"}
"""Idle threads sleep. Spinning, ONNX Runtime's default, takes a core from decoder, encoder and other models: the shipped network on
two cores took 12.5 instead of 13.6 ms alone, and 12.3 instead of 25 ms in turns with a second model (1.31, 2026-11-21)."""

ARENA = 1.75
"""ONNX Runtime holds more than the live tensors: 1.34 (ECBSR), 1.49 (CARN), 1.72 times (RDSRN), measured with 1.31."""

SIZES_KEPT = 4
"""Sizes of frames whose buffers stay; a fifth takes the place of the oldest."""


@dataclass(frozen=True, eq=False)
class _Bound:
    """Buffers of one size, and what tells the session of them."""

    binding: onnxruntime.IOBinding
    input: Pixels
    output: Pixels


class OnnxRuntimeBackend(Backend):
    """An .onnx file that edgesr-export wrote.

    threads: of the network; None: one for each core, as ONNX Runtime chooses.
    Raises MissingFile, ForeignModel.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}; expected 1 or more")
        if not path.is_file():
            raise MissingFile(f"{path} does not exist; expected an .onnx file written by edgesr-export")
        self._path, self._threads = path, threads
        self._session = _session(path, session_options(threads))
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.spec = _spec(path, metadata)
        _check_ends(self._session, path)
        self.title = f"{self.spec.title} · ONNX Runtime"
        self.network_ns = 0
        self.settings = {
            "backend": "onnxruntime",
            "onnxruntime": onnxruntime.__version__,
            "model": path.name,
            "form": metadata["edgesr.form"],
            "precision": metadata.get("edgesr.precision", "fp32"),  # of the graph; the CPU computes in FP32
            "threads": threads or "all cores",
        }
        self.bytes_per_pixel = ARENA * float(metadata["edgesr.memory_bytes_per_pixel"]) + 3 + 3 * self.spec.scale**2
        _, height, width, _ = self._session.get_inputs()[0].shape
        if isinstance(width, int) and isinstance(height, int):
            self.profiles = (Profile((width, height), (width, height), (width, height)),)
        self._bound: dict[tuple[int, ...], _Bound] = {}

    def infer(self, pixels: Pixels) -> Pixels:
        bound = self._bound.get(pixels.shape) or self._prepare(pixels)
        bound.input[0] = pixels
        start = time.perf_counter_ns()
        try:
            self._session.run_with_iobinding(bound.binding)
        except Exception as error:  # ONNX Runtime's own exceptions share no public base
            raise BackendFailed(
                f"{self.title} failed on {pixels.shape[1]}x{pixels.shape[0]}: {_line(error)}"
            ) from error
        self.network_ns = time.perf_counter_ns() - start
        return bound.output

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames:
        """In a session of its own, which takes the place of the first."""

        def reopen(options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
            self._bound.clear()
            self._session = _session(self._path, options)
            return self._session

        def infer() -> int:
            self.infer(pixels)
            return self.network_ns

        return profile_session(session_options(self._threads), reopen, infer, frames)

    def close(self) -> None:
        self._bound.clear()
        self.__dict__.pop("_session", None)

    def _prepare(self, pixels: Pixels) -> "_Bound":
        """Check a new size, and bind buffers that are used again for every frame of it; several streams may take turns."""
        self.check(pixels)
        height, width, _ = pixels.shape
        if self.profiles and not self.profiles[0].takes(width, height):
            expected = self.profiles[0].title
            raise InputError(f"the frame is {width}x{height}; {self.title} was exported for {expected} only")
        scale = self.spec.scale
        check_fits(width * height * self.bytes_per_pixel, f"{width}x{height} through {self.title}")
        bound = _Bound(
            self._session.io_binding(),
            np.empty((1, height, width, 3), np.uint8),
            np.empty((height * scale, width * scale, 3), np.uint8),
        )
        for bind, name, array in (
            (bound.binding.bind_input, "frame", bound.input),
            (bound.binding.bind_output, "upscaled", bound.output[None]),
        ):
            bind(name, "cpu", 0, np.uint8, array.shape, array.ctypes.data)
        if len(self._bound) == SIZES_KEPT:
            del self._bound[next(iter(self._bound))]
        self._bound[pixels.shape] = bound
        return bound


def session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """As this backend opens its own; None: one thread for each core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    for name, value in CALM_THREADS.items():
        options.add_session_config_entry(name, value)
    return options


def _session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise ForeignModel(f"{path} cannot be loaded as ONNX: {_line(error)}") from error


def _spec(path: Path, metadata: dict[str, str]) -> ModelSpec:
    wanted = ("edgesr.spec", "edgesr.form", "edgesr.memory_bytes_per_pixel")
    if missing := [key for key in wanted if key not in metadata]:
        raise ForeignModel(
            f"{path} was not written by edgesr-export: its metadata lack {', '.join(missing)}; "
            "export the network with edgesr-export"
        )
    if metadata["edgesr.form"] == "bare":
        raise ForeignModel(
            f"{path} is a bare float graph, for comparisons only; export it with --target portable or cpu"
        )
    return ModelSpec.from_json(metadata["edgesr.spec"])


def _check_ends(session: onnxruntime.InferenceSession, path: Path) -> None:
    found = [(end.name, end.type) for end in (*session.get_inputs(), *session.get_outputs())]
    if found != [("frame", "tensor(uint8)"), ("upscaled", "tensor(uint8)")]:
        raise ForeignModel(f"{path} takes and gives {found}; expected uint8 'frame' and 'upscaled': export it again")


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
