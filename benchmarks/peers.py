"""What is measured beside our backends to know what they cost: graphs that take and give floats."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from edgesr.runtime.backends.onnxruntime import session_options
from edgesr.runtime.errors import BackendFailed, ForeignModel, InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.layer_times import ProfiledFrames
from edgesr.runtime.memory import check_fits
from edgesr.runtime.onnx_profile import profile_session
from edgesr.runtime.quality import RULER
from edgesr.runtime.spec import ModelSpec

__all__ = ["BARE", "BareGraph", "form_of", "metadata_of"]

BARE = "bare"


def metadata_of(path: Path) -> Mapping[str, str]:
    """What edgesr-export wrote into the file beside the graph. Raises ForeignModel for what is no ONNX file."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # it is not run
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no public base
        raise ForeignModel(f"{path} cannot be loaded as ONNX: {str(error).strip().splitlines()[0]}") from error
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return metadata


def form_of(path: Path) -> str | None:
    """Of its ends; None where the file was not written by edgesr-export. Raises ForeignModel."""
    return metadata_of(path).get("edgesr.form")


class BareGraph:
    """An .onnx file of `edgesr-export --target bare`: float32 `low` (1, C, H, W) in 0–1 -> `high`, on ONNX Runtime.

    Opened as `OnnxRuntimeBackend` opens its own (same thread setting, buffers bound once for a size), so that the
    two differ in the graph alone. It cannot make a frame of bytes, hence has no whole-frame time.
    network_ns: how long the graph took in the last `infer`.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self._path, self._threads = path, threads
        self._shape: tuple[int, ...] = ()
        self._open(session_options(threads))
        metadata = self._session.get_modelmeta().custom_metadata_map
        if missing := {"edgesr.spec", "edgesr.memory_bytes_per_pixel"} - set(metadata):
            raise ForeignModel(f"{path} lacks {', '.join(sorted(missing))} in its metadata; export it again")
        ends = [(end.name, end.type) for end in (*self._session.get_inputs(), *self._session.get_outputs())]
        if ends != [("low", "tensor(float)"), ("high", "tensor(float)")]:
            raise ForeignModel(f"{path} takes and gives {ends}; expected float 'low' and 'high': export it again")
        self.spec = ModelSpec.from_json(metadata["edgesr.spec"])
        self.title = f"{self.spec.title} · bare, ONNX Runtime"
        self.network_ns = 0
        self.settings: dict[str, str | int] = {
            "backend": "onnxruntime, floats in and out",
            "onnxruntime": onnxruntime.__version__,
            "model": path.name,
            "form": BARE,
            "threads": threads or "all cores",
        }
        self._memory_per_pixel = float(metadata["edgesr.memory_bytes_per_pixel"])

    def infer(self, pixels: Pixels) -> None:
        """uint8 (H, W, 3) BGR, made floats outside the clock; what the graph gives is dropped."""
        if pixels.shape != self._shape:
            self._prepare(pixels)
        if self.spec.colour == "rgb":
            self._low[0] = pixels[..., ::-1].transpose(2, 0, 1) / np.float32(255)
        else:
            self._low[0, 0] = RULER.luma(pixels) / 255
        start = time.perf_counter_ns()
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # as above
            raise BackendFailed(f"{self.title} failed: {str(error).strip().splitlines()[0]}") from error
        self.network_ns = time.perf_counter_ns() - start

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames:
        """As `edgesr.runtime.backends.Backend.layer_times`."""

        def infer() -> int:
            self.infer(pixels)
            return self.network_ns

        return profile_session(session_options(self._threads), self._open, infer, frames)

    def close(self) -> None:
        """Let go of the model; a second call does nothing."""
        self._shape = ()
        self.__dict__.pop("_binding", None)
        self.__dict__.pop("_session", None)

    def _open(self, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        self._shape = ()  # what was bound is bound to another session
        self._session = onnxruntime.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        return self._session

    def _prepare(self, pixels: Pixels) -> None:
        height, width, _ = pixels.shape
        self.spec.check_size(width, height)
        fixed = self._session.get_inputs()[0].shape[2:]
        if all(isinstance(side, int) for side in fixed) and fixed != [height, width]:
            raise InputError(f"the frame is {width}x{height}; {self.title} was exported for {fixed[1]}x{fixed[0]} only")
        scale, channels = self.spec.scale, self.spec.channels
        needed = width * height * (self._memory_per_pixel + 4 * channels * (1 + scale**2))
        check_fits(needed, f"{width}x{height} through {self.title}")
        self._low = np.empty((1, channels, height, width), np.float32)
        self._high = np.empty((1, channels, height * scale, width * scale), np.float32)
        self._binding = self._session.io_binding()
        for bind, name, array in (
            (self._binding.bind_input, "low", self._low),
            (self._binding.bind_output, "high", self._high),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._shape = pixels.shape
