"""How long each layer of a network took, as its runtime's profiler tells: one shape for what every runtime words otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Layer", "LayerTimes", "ProfiledFrames", "profiled_frames"]

Layer = tuple[str, str, int]
"""Name, kind, and a number where a runtime has several of one name."""


@dataclass(frozen=True)
class LayerTimes:
    """name, kind: as the runtime calls them; it may have made one layer of several. kind: empty where it is not told.
    samples_ns: one for each frame."""

    name: str
    kind: str
    samples_ns: tuple[int, ...]


@dataclass(frozen=True)
class ProfiledFrames:
    """network_ns: of each frame, as `Backend.network_ns`, with the profiler at work. layers: in the order in which they ran."""

    network_ns: tuple[int, ...]
    layers: tuple[LayerTimes, ...]


def profiled_frames(network_ns: Sequence[int], frames: Sequence[Mapping[Layer, int]]) -> ProfiledFrames:
    """frames: for each what every layer took, in nanoseconds; one that is missing did not run."""
    found = dict.fromkeys(layer for frame in frames for layer in frame)
    return ProfiledFrames(
        tuple(network_ns),
        tuple(LayerTimes(*layer[:2], tuple(frame.get(layer, 0) for frame in frames)) for layer in found),
    )
