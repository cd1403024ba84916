"""The contract of another runtime, and what makes a backend or a bare graph of it."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.benchmarks.peers import metadata_of
from edgesr.runtime.backends import Backend
from edgesr.runtime.errors import BackendFailed, EdgeSRError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.installed import pip_install
from edgesr.runtime.layer_times import Layer, ProfiledFrames, profiled_frames
from edgesr.runtime.memory import check_fits
from edgesr.runtime.quality import RULER
from edgesr.runtime.spec import ModelSpec

__all__ = ["Array", "Graph", "RivalBackend", "RivalBare", "calm_module", "error_line"]

Array = NDArray[Any]
MOST_LETTERS = 250

WAIT_POLICY = "OMP_WAIT_POLICY"
"""Read by GNU's OpenMP when it is loaded; there is no other switch. Spinning, idle threads of ncnn and PyTorch took cores from
everybody, themselves included: on two busy cores 3.9 s for a frame of 3 ms (ncnn, ECBSR at 96x64, 2026-11-21)."""


class Graph(ABC):
    """A runtime with a file in it, made for one shape at a time.

    module: its Python one, of which `extra` of ours is the name. suffix: of the files that it takes. precisions: of
    edgesr-export, in which it computes.
    network_ns: how long the network took in the last `run`, where only the runtime can tell that from the copies; None: all of
        `run` is the network.
    settings: what is worth telling beside model and version; complete after `prepare`.
    profiles: set before `prepare` where `layer_times` will be asked after every run.
    """

    title: str
    module: str
    extra = "peers"
    suffix = ".onnx"
    precisions: tuple[str, ...] = ("fp32", "int8")
    network_ns: int | None = None
    profiles = False

    def __init__(self, path: Path, threads: int) -> None:
        self.path, self.threads = path, threads
        self._module = calm_module(self.module)
        self.version = str(self._module.__version__)
        self.settings: dict[str, str | int] = {"threads": threads, "omp_wait_policy": os.environ[WAIT_POLICY].lower()}

    @classmethod
    def metadata(cls, path: Path) -> Mapping[str, str]:
        """What edgesr-export wrote of the model. Raises ForeignModel."""
        return metadata_of(path)

    @classmethod
    def lacks(cls, precision: str) -> str | None:
        """Why it cannot compute in this precision on this machine; None: it can."""
        if find_spec(cls.module) is None:
            return f"is not installed ({pip_install(cls.extra)})"
        return None if precision in cls.precisions else f"at {precision}, in which it does not compute"

    @abstractmethod
    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        """For an input called `name` of `shape`, outside the clock."""

    @abstractmethod
    def run(self, array: Array) -> Array: ...

    def layer_times(self) -> Mapping[Layer, int] | None:
        """Nanoseconds of each layer in the last run; None where the runtime does not tell."""
        return None


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
            "precision": metadata.get("edgesr.precision", "fp32"),  # of the graph, as our own backends tell it
            **graph.settings,
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
                self.settings.update(self._graph.settings)
                self._shape = array.shape
            start = time.perf_counter_ns()
            made = self._graph.run(array)
            elapsed_ns = time.perf_counter_ns() - start
        except EdgeSRError:
            raise
        except Exception as error:  # the runtimes' exceptions share no public base
            bytes_in = array.dtype == np.uint8 and self._graph.suffix == ".onnx"
            hint = "; a bare graph (edgesr-export --target bare) asks less of it" if bytes_in else ""
            raise BackendFailed(f"{self.title} failed on {width}x{height}: {error_line(error)}{hint}") from error
        told = self._graph.network_ns
        self.network_ns = elapsed_ns if told is None else told
        return made

    def _profiled(self, infer: Callable[[Pixels], Array], pixels: Pixels, frames: int) -> ProfiledFrames | None:
        self._graph.profiles = True
        self._shape = ()  # prepared anew
        network_ns, found = [], []
        for _ in range(frames):
            infer(pixels)
            if (times := self._graph.layer_times()) is None:
                return None
            network_ns.append(self.network_ns)
            found.append(times)
        return profiled_frames(network_ns, found)

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

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames | None:
        return self._profiled(self.infer, pixels, frames)


class RivalBare(_Opened):
    """Floats in and out, made of a frame outside the clock; see `edgesr.benchmarks.peers.BareGraph`."""

    def infer(self, pixels: Pixels) -> Array:
        self.spec.check_size(pixels.shape[1], pixels.shape[0])
        if self.spec.colour == "rgb":
            low = pixels[..., ::-1].transpose(2, 0, 1) / np.float32(255)
        else:
            low = (RULER.luma(pixels) / 255)[None]
        return self._timed("low", np.ascontiguousarray(low[None], np.float32))

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames | None:
        return self._profiled(self.infer, pixels, frames)


def calm_module(name: str) -> ModuleType:
    """Import a runtime so that its idle threads sleep, as ours do, unless the user has said otherwise."""
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
    return import_module(name)


def error_line(error: Exception) -> str:
    """OpenCV puts version, file and line before the reason."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.partition(" error: ")[2][:MOST_LETTERS] or text[:MOST_LETTERS]
