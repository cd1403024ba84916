"""Where a network's time goes: what each layer takes, by its runtime's own profiler.

Profilers cost time, so this is done when all rounds are over, with each model opened once more.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from edgesr.benchmarks.contenders import Contender, open_contender
from edgesr.benchmarks.settings import LatencySettings
from edgesr.runtime.errors import EdgeSRError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.layer_times import ProfiledFrames
from edgesr.runtime.untrusted_json import printable

__all__ = ["LayerMedian", "LayerProfile", "measure_layers"]

LEAST_FRAMES, MOST_FRAMES = 5, 30
ABOUT_MS = 5000.0
SETTLE_FRAMES = 3
"""Left out: the first frame of a model allocates, and caches are cold."""


@dataclass(frozen=True)
class LayerMedian:
    """name, kind: as the runtime calls them, which may have made one layer of several. kind: empty where it is not told.
    median_ms: over the frames."""

    name: str
    kind: str
    median_ms: float


@dataclass(frozen=True)
class LayerProfile:
    """Medians over so many frames. plain_ms: of the network, in as many frames right before, without the profiler. frame_ms: with
    it. in_layers_ms: of what a frame's layers took together. layers: that took any time, in the order in which they ran."""

    frames: int
    plain_ms: float
    frame_ms: float
    in_layers_ms: float
    layers: tuple[LayerMedian, ...]

    @property
    def sum_ms(self) -> float:
        """Of the layers' medians: the whole that a share is of."""
        return sum(layer.median_ms for layer in self.layers)

    def share(self, time_ms: float) -> float:
        return time_ms / self.sum_ms if self.sum_ms else 0.0

    def slowest(self, count: int) -> tuple[LayerMedian, ...]:
        return tuple(sorted(self.layers, key=lambda layer: -layer.median_ms)[:count])

    def kinds(self) -> dict[str, float]:
        """Kind -> milliseconds of all layers of it, the longest first."""
        found: dict[str, float] = {}
        for layer in self.layers:
            found[layer.kind] = found.get(layer.kind, 0.0) + layer.median_ms
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def measure_layers(
    settings: LatencySettings,
    labels: Sequence[str],
    network_ms: Sequence[float],
    notes: list[str],
    tell: Callable[[str], None],
) -> list[LayerProfile | None]:
    """For each model, on a frame of noise; None, with a note, where its runtime tells nothing. network_ms: what the models
    took in the rounds: the slower, the fewer frames."""
    pixels = (
        np.random.default_rng(settings.seed).integers(0, 256, (settings.height, settings.width, 3)).astype(np.uint8)
    )
    found: list[LayerProfile | None] = []
    for model, label, frame_ms in zip(settings.models, labels, network_ms, strict=True):
        tell(f"layers of {label}")
        frames = int(np.clip(ABOUT_MS / frame_ms, LEAST_FRAMES, MOST_FRAMES))
        try:
            with closing(open_contender(model, settings.threads)) as contender:
                runtime = contender.settings.get("backend", "its runtime")
                plain_ns = _plain(contender, pixels, SETTLE_FRAMES + frames)
                times = contender.layer_times(pixels, SETTLE_FRAMES + frames)
            found.append(None if times is None else _medians(plain_ns, times))
            reason = f"no profiler of {runtime} is read"
        except (EdgeSRError, OSError) as error:  # what was measured in the rounds is not lost for it
            found.append(None)
            reason = str(error)
        if found[-1] is None:
            notes.append(f"no layers of {label}: {reason}")
    return found


def _plain(contender: Contender, pixels: Pixels, frames: int) -> list[int]:
    found = []
    for _ in range(frames):
        contender.check(pixels)
        found.append(contender.network_ns)
    return found


def _medians(plain_ns: Sequence[int], times: ProfiledFrames) -> LayerProfile | None:
    """None where no layer took any time."""
    samples = [np.asarray(layer.samples_ns, np.float64)[SETTLE_FRAMES:] for layer in times.layers]
    layers = tuple(
        LayerMedian(printable(layer.name), printable(layer.kind), float(np.median(values)) / 1e6)
        for layer, values in zip(times.layers, samples, strict=True)
        if values.any()
    )
    if not layers:
        return None
    return LayerProfile(
        frames=len(plain_ns) - SETTLE_FRAMES,
        plain_ms=float(np.median(plain_ns[SETTLE_FRAMES:])) / 1e6,
        frame_ms=float(np.median(times.network_ns[SETTLE_FRAMES:])) / 1e6,
        in_layers_ms=float(np.median(np.sum(samples, axis=0))) / 1e6,
        layers=layers,
    )
