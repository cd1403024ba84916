"""How fast a network can be at best on a board that is not here, by its peaks: arithmetic against memory, layer by layer.

An estimate, always. Each convolution must read its input and weights once and write its output once, and make its
multiply-adds: it takes no less than the longer of the two at the board's peaks. What stands between convolutions
(activations, additions) is taken to be fused into them, copies and launches to cost nothing, and nothing to stay in the cache
from one layer to the next: frames of a few hundred pixels a side are larger than a board's.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from edgesr.runtime.errors import InputError

__all__ = ["REACHED", "Board", "Estimate", "Layer", "Plan", "board_of", "boards", "estimate"]

FP16_BYTES = 2
REACHED = (0.6, 0.3)
"""Shares of the peak that real engines reach, from good to usual; measured by others, not by us, and less for small frames."""

# What a build takes beside the network, on a board, where GPU and CPU share the memory: as edgesr.export.builder.needs has it.
LIBRARIES_MIB = 1450
BUILD_COPIES = 2
"""Of FP32 activations, while kernels are timed."""
MOST_FILLED, COMFORTABLY_FILLED = 0.85, 0.6
"""Of the memory; the system, its desktop and the camera need the rest."""

Fits = Literal["yes", "tight", "no"]
Verdict = Literal["likely", "perhaps", "unlikely", "no"]


@dataclass(frozen=True)
class Board:
    """Peaks by data sheet. fp16_tflops: dense; `how` they come about."""

    name: str
    title: str
    memory_gb: float
    bandwidth_gb_s: float
    fp16_tflops: float
    how: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """`count` alike. For one pixel of the network's input: multiply_adds, and elements that are read and written.
    weights: elements, read once a frame."""

    count: int
    multiply_adds: float
    elements: float
    weights: int


@dataclass(frozen=True)
class Plan:
    """What a network asks of a board. peak_elements: alive at the worst moment, for one pixel of the input."""

    title: str
    scale: int
    layers: tuple[Layer, ...]
    peak_elements: float

    @property
    def weights(self) -> int:
        return sum(layer.count * layer.weights for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """compute_ms, memory_ms: either alone. floor_ms: layer by layer the longer one; no engine in FP16 is faster, unless it
    keeps layers in its cache. memory_mib: of a build, which takes more than running."""

    title: str
    scale: int
    compute_ms: float
    memory_ms: float
    floor_ms: float
    memory_mib: float
    fits: Fits

    @property
    def expected_ms(self) -> tuple[float, float]:
        """At what real engines reach of the peaks."""
        good, usual = REACHED
        return self.floor_ms / good, self.floor_ms / usual

    def verdict(self, fps: float) -> Verdict:
        """Whether the network alone would hold `fps` frames a second."""
        frame_ms = 1000 / fps
        if self.fits == "no" or self.floor_ms > frame_ms:
            return "no"
        good, usual = self.expected_ms
        return "likely" if usual <= frame_ms else "perhaps" if good <= frame_ms else "unlikely"


def estimate(plan: Plan, board: Board, width: int, height: int) -> Estimate:
    """width, height: of the input."""
    pixels = width * height
    flops, bytes_per_s = board.fp16_tflops * 1e12, board.bandwidth_gb_s * 1e9
    times = [(layer.count, *_layer_s(layer, pixels, flops, bytes_per_s)) for layer in plan.layers]
    ends_s = 3 * pixels * (1 + plan.scale**2) / bytes_per_s  # bytes in and bytes out
    memory_mib = LIBRARIES_MIB + (7 * 4 * plan.weights + BUILD_COPIES * 4 * plan.peak_elements * pixels) / 2**20
    return Estimate(
        title=plan.title,
        scale=plan.scale,
        compute_ms=1000 * sum(count * arithmetic for count, arithmetic, _ in times),
        memory_ms=1000 * (ends_s + sum(count * traffic for count, _, traffic in times)),
        floor_ms=1000 * (ends_s + sum(count * max(arithmetic, traffic) for count, arithmetic, traffic in times)),
        memory_mib=memory_mib,
        fits=_fits(memory_mib, board.memory_gb * 1000**3 / 2**20),
    )


def _layer_s(layer: Layer, pixels: int, flops: float, bytes_per_s: float) -> tuple[float, float]:
    traffic = FP16_BYTES * (layer.elements * pixels + layer.weights)
    return 2 * layer.multiply_adds * pixels / flops, traffic / bytes_per_s


def _fits(needed_mib: float, memory_mib: float) -> Fits:
    filled = needed_mib / memory_mib
    return "yes" if filled <= COMFORTABLY_FILLED else "tight" if filled <= MOST_FILLED else "no"


@cache
def boards() -> Mapping[str, Board]:
    """By the name that --board takes."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name("roofline.json").read_text("utf-8"))
    return {name: _board(name, data["sources"], **entry) for name, entry in data["boards"].items()}


def _board(name: str, sources: Mapping[str, str], *, source: Iterable[str], jetson_module: str, **entry: Any) -> Board:
    return Board(name=name, sources=tuple(sources[key] for key in source), **entry)


def board_of(name: str) -> Board:
    """Raises InputError with the known ones."""
    if name not in boards():
        near = get_close_matches(name, boards(), 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"the board {name!r} is not in the table; {hint}Known: {', '.join(boards())}")
    return boards()[name]
