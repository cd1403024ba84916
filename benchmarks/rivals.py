"""Other runtimes on the same ONNX file, on the CPU: what many use today. Each is an extra, `pip install 'edgesr[peers]'`.

A file with bytes at its ends (--target portable) is run as our own backends run it, whole frames included; a bare float graph
has its network time alone. All compute in FP32.
"""

import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.benchmarks.machine import cores
from edgesr.benchmarks.peers import BARE, metadata_of
from edgesr.runtime.backends import Backend
from edgesr.runtime.errors import BackendFailed, ForeignModel, InputError, MissingDependency, MissingFile
from edgesr.runtime.frame import Pixels
from edgesr.runtime.memory import check_fits
from edgesr.runtime.quality import RULER
from edgesr.runtime.spec import ModelSpec

__all__ = ["RIVALS", "Graph", "RivalBackend", "RivalBare", "open_rival", "split_rival"]

Array = NDArray[Any]
CONVERSION_LIMIT_S = 300
MOST_LETTERS = 250


class Graph(ABC):
    """A runtime with a file in it. Made for one shape at a time; `run` is what is timed. module: its Python one."""

    title: str
    module: str

    def __init__(self, path: Path, threads: int) -> None:
        self.path, self.threads = path, threads
        self._module = import_module(self.module)
        self.version = str(self._module.__version__)

    @abstractmethod
    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        """For an input called `name` of `shape`, outside the clock."""

    @abstractmethod
    def run(self, array: Array) -> Array: ...


class OpenCv(Graph):
    """cv2.dnn, as a program uses it that has OpenCV anyway."""

    title, module = "OpenCV dnn", "cv2"

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self._module.setNumThreads(threads)  # of the process: cv2 knows no other
        self._net = self._module.dnn.readNetFromONNX(str(path))

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        self._name = name

    def run(self, array: Array) -> Array:
        self._net.setInput(array, self._name)
        made: Array = self._net.forward()
        return made


class OpenVino(Graph):
    """Compiled for one size, with the hint for latency; its own default on some CPUs is BF16, hence the other."""

    title, module = "OpenVINO", "openvino"

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self._core = self._module.Core()
        self._model = self._core.read_model(str(path))

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        self._model.reshape({name: list(shape)})
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = self._core.compile_model(self._model, "CPU", settings)
        self._name, self._request, self._end = name, compiled.create_infer_request(), compiled.outputs[0]

    def run(self, array: Array) -> Array:
        made: Array = self._request.infer({self._name: array}, share_inputs=True, share_outputs=True)[self._end]
        return made


class Ncnn(Graph):
    """Converted by pnnx, ncnn's own tool, for one size; bare float graphs alone, since ncnn has no byte tensors."""

    title, module = "ncnn", "ncnn"

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self._pnnx = Path(import_module("pnnx").__file__ or "").with_name("pnnx")

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        if len(shape) != 4 or shape[-1] == 3:
            raise ForeignModel(f"{self.path} takes bytes, ncnn has only floats; export it with --target bare")
        self._net = self._module.Net()
        options = self._net.opt
        options.num_threads = self.threads
        options.openmp_blocktime = 0  # idle threads sleep, as ours do
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        with tempfile.TemporaryDirectory(prefix="edgesr-ncnn-") as folder:
            own = Path(folder) / "model.onnx"
            own.write_bytes(self.path.read_bytes())  # pnnx writes eight files beside its input
            size = ",".join(map(str, shape))
            line = [str(self._pnnx), str(own), f"inputshape=[{size}]f32", "fp16=0"]
            told = subprocess.run(line, cwd=folder, capture_output=True, timeout=CONVERSION_LIMIT_S, check=False)
            made = [own.with_suffix(".ncnn.param"), own.with_suffix(".ncnn.bin")]
            if told.returncode or not all(path.is_file() for path in made):
                raise ForeignModel(f"{self.path}: pnnx made no ncnn model of it (exit code {told.returncode})")
            if self._net.load_param(str(made[0])) or self._net.load_model(str(made[1])):
                raise ForeignModel(f"{self.path}: ncnn cannot load what pnnx made of it")

    def run(self, array: Array) -> Array:
        extractor = self._net.create_extractor()
        extractor.input("in0", self._module.Mat(array[0]))
        _code, made = extractor.extract("out0")
        return np.asarray(made)[None]


RIVALS: dict[str, type[Graph]] = {"opencv": OpenCv, "openvino": OpenVino, "ncnn": Ncnn}


def split_rival(model: str) -> tuple[str, str]:
    """`openvino:x4.onnx` -> ("openvino", "x4.onnx"); of a model that is ours the first is empty."""
    kind, colon, rest = model.partition(":")
    return (kind, rest) if colon and kind in RIVALS else ("", model)


def open_rival(kind: str, path: Path, threads: int | None) -> "RivalBackend | RivalBare":
    """Raises MissingFile, MissingDependency, and ForeignModel for what the runtime does not take."""
    if path.suffix.lower() != ".onnx" or not path.is_file():
        raise MissingFile(f"{kind}:{path}: expected an .onnx file of edgesr-export after the colon")
    metadata = metadata_of(path)
    if missing := {"edgesr.spec", "edgesr.form", "edgesr.memory_bytes_per_pixel"} - set(metadata):
        raise ForeignModel(f"{path} lacks {', '.join(sorted(missing))} in its metadata; export it again")
    try:
        graph = RIVALS[kind](path, threads or cores())
    except ImportError as error:
        raise MissingDependency(f"{kind}:{path.name} needs {kind} ({error}): pip install 'edgesr[peers]'") from error
    except Exception as error:  # cv2's and OpenVINO's exceptions share no public base
        raise ForeignModel(f"{RIVALS[kind].title} does not take {path}: {_line(error)}") from error
    return (RivalBare if metadata["edgesr.form"] == BARE else RivalBackend)(graph, metadata)


class _Opened:
    """What both kinds have in common: who they are, and a timed call."""

    def __init__(self, graph: Graph, metadata: Mapping[str, str]) -> None:
        self.spec = ModelSpec.from_json(metadata["edgesr.spec"])
        self.title = f"{self.spec.title} · {graph.title}"
        self.network_ns = 0
        self.settings: dict[str, str | int] = {
            "backend": graph.title,
            graph.module: graph.version,
            "model": graph.path.name,
            "form": metadata["edgesr.form"],
            "precision": "fp32",
            "threads": graph.threads,
        }
        self._graph = graph
        self._bytes_per_pixel = float(metadata["edgesr.memory_bytes_per_pixel"])
        self._shape: tuple[int, ...] = ()

    def _timed(self, name: str, array: Array) -> Array:
        height, width = array.shape[1:3] if array.dtype == np.uint8 else array.shape[2:]
        try:
            if array.shape != self._shape:
                check_fits(2 * self._bytes_per_pixel * width * height, f"{width}x{height} through {self.title}")
                self._graph.prepare(name, array.shape)
                self._shape = array.shape
            start = time.perf_counter_ns()
            made = self._graph.run(array)
            self.network_ns = time.perf_counter_ns() - start
        except InputError:
            raise
        except Exception as error:  # as above
            hint = "; a bare graph (edgesr-export --target bare) asks less of it" if array.dtype == np.uint8 else ""
            raise BackendFailed(f"{self.title} failed on {width}x{height}: {_line(error)}{hint}") from error
        return made

    def close(self) -> None:
        self._shape = ()
        self.__dict__.pop("_graph", None)


class RivalBackend(_Opened, Backend):
    """Bytes in, bytes out."""

    def infer(self, pixels: Pixels) -> Pixels:
        self.check(pixels)
        made: Pixels = self._timed("frame", np.ascontiguousarray(pixels[None]))
        height, width = (side * self.spec.scale for side in pixels.shape[:2])
        if made.dtype != np.uint8 or made.shape != (1, height, width, 3):
            raise BackendFailed(
                f"{self.title} gave {made.dtype} {made.shape}; expected uint8 (1, {height}, {width}, 3)"
            )
        upscaled: Pixels = made[0]
        return upscaled


class RivalBare(_Opened):
    """Floats in and out, made of a frame outside the clock; see `edgesr.benchmarks.peers.BareGraph`."""

    def infer(self, pixels: Pixels) -> Array:
        self.spec.check_size(pixels.shape[1], pixels.shape[0])
        if self.spec.colour == "rgb":
            low = pixels[..., ::-1].transpose(2, 0, 1) / np.float32(255)
        else:
            low = (RULER.luma(pixels) / 255)[None]
        return self._timed("low", np.ascontiguousarray(low[None], np.float32))


def _line(error: Exception) -> str:
    """OpenCV puts version, file and line before the reason."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.partition(" error: ")[2][:MOST_LETTERS] or text[:MOST_LETTERS]
