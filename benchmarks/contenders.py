"""What takes turns in a benchmark: a backend in the real loop, or a bare graph beside it."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from edgesr.benchmarks.clip import RepeatedClip
from edgesr.benchmarks.peers import BARE, BareGraph, form_of, metadata_of
from edgesr.benchmarks.rivals import RIVALS, RivalBare, open_rival, split_rival
from edgesr.runtime.backends import DEFAULT_MODELS, Backend, open_backend
from edgesr.runtime.card import read_card
from edgesr.runtime.frame import Pixels
from edgesr.runtime.layer_times import ProfiledFrames
from edgesr.runtime.pipeline import run
from edgesr.runtime.sinks.null import NullSink
from edgesr.runtime.spec import ModelSpec
from edgesr.runtime.timing import StageTimings

__all__ = ["NETWORK", "WHOLE_FRAME", "BackendContender", "BareContender", "Contender", "labels_of", "open_contender"]

NETWORK = "network"
WHOLE_FRAME = "whole frame"
"""The stages of `edgesr.runtime.pipeline.run` that are reported; the others are kept in the JSON."""


class Contender(ABC):
    """A model that is measured. Whoever opens it closes it.

    model: as the user named it. form: of its ONNX file; "" for a backend that reads none.
    """

    def __init__(self, model: str, spec: ModelSpec, settings: dict[str, str | int]) -> None:
        self.model, self.spec, self.settings = model, spec, settings
        self.form = str(settings.get("form", ""))

    @property
    def on_gpu(self) -> bool:
        return "gpu" in self.settings

    @abstractmethod
    def check(self, pixels: Pixels) -> None:
        """Take one frame without its way in and out: raises what the model has against it."""

    @property
    @abstractmethod
    def network_ns(self) -> int:
        """How long the network alone took in the last frame."""

    @abstractmethod
    def turn(self, clip: RepeatedClip, frames: int) -> StageTimings:
        """The next `frames` frames of the clip, one after the other; a sample of every stage for each."""

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames | None:
        """As `edgesr.runtime.backends.Backend.layer_times`."""
        return None

    @abstractmethod
    def close(self) -> None: ...


class BackendContender(Contender):
    """The real loop: read from the clip, infer, give to a sink that keeps nothing."""

    def __init__(self, model: str, backend: Backend) -> None:
        super().__init__(model, backend.spec, backend.settings)
        self.backend = backend

    def check(self, pixels: Pixels) -> None:
        self.backend.infer(pixels)

    @property
    def network_ns(self) -> int:
        return self.backend.network_ns

    def turn(self, clip: RepeatedClip, frames: int) -> StageTimings:
        clip.make_ready(frames)
        return run(clip, self.backend, [NullSink(frames)])

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames | None:
        return self.backend.layer_times(pixels, frames)

    def close(self) -> None:
        self.backend.close()


class BareContender(Contender):
    """A bare graph on the same frames; it has the stage `network` alone."""

    def __init__(self, model: str, graph: BareGraph | RivalBare) -> None:
        super().__init__(model, graph.spec, graph.settings)
        self._graph = graph

    def check(self, pixels: Pixels) -> None:
        self._graph.infer(pixels)

    @property
    def network_ns(self) -> int:
        return self._graph.network_ns

    def turn(self, clip: RepeatedClip, frames: int) -> StageTimings:
        clip.make_ready(frames)
        timings = StageTimings()
        for _ in range(frames):
            frame = clip.read()
            assert frame is not None  # make_ready has seen to it
            self._graph.infer(frame.pixels)
            timings.add(NETWORK, self.network_ns)
        return timings

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames | None:
        return self._graph.layer_times(pixels, frames)

    def close(self) -> None:
        self._graph.close()


def open_contender(model: str, threads: int | None) -> Contender:
    """What `edgesr.runtime.backends.open_backend` opens, a bare graph, or `openvino:FILE.onnx` for another runtime of
    `edgesr.benchmarks.rivals`. Raises what these raise."""
    rival, name = split_rival(model)
    if rival:
        opened = open_rival(rival, Path(name), threads)
        return BareContender(model, opened) if isinstance(opened, RivalBare) else BackendContender(model, opened)
    path = Path(model)
    if path.suffix.lower() == ".onnx" and path.is_file() and form_of(path) == BARE:
        return BareContender(model, BareGraph(path, threads=threads))
    return BackendContender(model, open_backend(model, threads=threads))


def labels_of(models: Sequence[str]) -> list[str]:
    """Short names for tables: the file's without `.onnx` or `.pt2`, after the runtime's where that is another; one that comes
    again is numbered."""
    short = []
    for model in models:
        rival, name = split_rival(model)
        label = Path(name).name.removesuffix(".onnx").removesuffix(".pt2")
        short.append(f"{rival}:{label}" if rival else label)
    return [
        name if short.count(name) == 1 else f"{name} ({short[: i + 1].count(name)})" for i, name in enumerate(short)
    ]


def digest_of(model: str) -> str | None:
    """SHA-256 of the model's file, also of the one that `default` stands for; None where there is none."""
    path = _path_of(model)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def weights_of(model: str) -> str | None:
    """SHA-256 of the network's weights, as edgesr-export wrote it beside the graph; None where the model does not tell."""
    rival, _ = split_rival(model)
    path = _path_of(model)
    if rival:
        return RIVALS[rival].metadata(path).get("edgesr.weights_sha256")
    if path.suffix.lower() == ".engine":
        return read_card(path).weights_sha256 or None
    return metadata_of(path).get("edgesr.weights_sha256") if path.is_file() else None


def _path_of(model: str) -> Path:
    """Of a model without a file, one that does not exist."""
    _, name = split_rival(model)
    kind, _, scale = name.partition(":")
    return DEFAULT_MODELS[int(scale or 4)] if kind == "default" else Path(name)
