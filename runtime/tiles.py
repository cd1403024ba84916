"""Frames that are larger than an engine or the memory: super-resolved tile by tile, and equal to the whole.

Each output pixel depends on the input pixels within the network's reach, `ModelSpec.receptive_field`. Tiles overlap by twice
that, and of each only what lies further than the reach from its cut edges is used. A tile at the frame's edge lies on that edge,
so the padding there is the network's own.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.card import Profile, Size
from edgesr.runtime.errors import FrameTooLarge, InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.memory import available_bytes, check_fits
from edgesr.runtime.spec import ModelSpec

__all__ = ["Span", "TiledBackend", "Tiling", "tile_for", "tiling"]

MEMORY_SHARE = 0.8
"""Of the memory that is free now, for one tile: a little less than what a backend's own check lets pass."""


@dataclass(frozen=True)
class Span:
    """One tile along one side of the frame: it starts at `start`; of it, `begin` up to, not including, `end` are used."""

    start: int
    begin: int
    end: int


@dataclass(frozen=True)
class Tiling:
    """How a frame is cut into tiles of one shape."""

    frame: Size
    tile: Size
    columns: tuple[Span, ...]
    rows: tuple[Span, ...]

    @property
    def count(self) -> int:
        return len(self.columns) * len(self.rows)

    @property
    def overhead_percent(self) -> float:
        """What is computed beyond the frame's own pixels."""
        width, height = self.tile
        return 100 * (self.count * width * height / (self.frame[0] * self.frame[1]) - 1)

    @property
    def title(self) -> str:
        """`640x360 whole`, or `640x360 in 4 tiles of 336x196, 14 % computed twice`."""
        frame, tile = ("{}x{}".format(*size) for size in (self.frame, self.tile))
        return (
            f"{frame} whole"
            if self.count == 1
            else f"{frame} in {self.count} tiles of {tile}, {self.overhead_percent:.0f} % computed twice"
        )


class TiledBackend(Backend):
    """A backend for frames that are larger than it takes. Closing it closes that one.

    tile: width and height; where the frame is smaller on a side and the backend takes that, as long as the frame.
        None: the frame whole where it can be, else what `tile_for` chooses.
    memory_bytes: for one tile; None: what is free when a size is first seen.
    The result has the bytes that the whole frame has. Only where a network interpolates by x3 inside (PAN) may one in some ten
    thousand values differ by 1: places of samples are reckoned from the frame's corner in floats, and thirds are rounded.
    Raises InputError for a tile that the network cannot be cut into.
    """

    def __init__(self, backend: Backend, tile: Size | None = None, *, memory_bytes: float | None = None) -> None:
        self._backend, self._tile, self._memory_bytes = backend, tile, memory_bytes
        self.spec, self.title, self.settings = backend.spec, backend.title, backend.settings
        self.network_ns = 0
        self._shape: tuple[int, ...] = ()
        if tile is not None:
            backend.spec.check_size(*tile)
            _reach(backend.spec, f" of {tile[0]}x{tile[1]}")

    def infer(self, pixels: Pixels) -> Pixels:
        if pixels.shape != self._shape:
            self._prepare(pixels)
        cut = self._cut
        if cut.count == 1:
            result = self._backend.infer(pixels)
            self.network_ns, self.copies_ns = self._backend.network_ns, self._backend.copies_ns
            return result
        scale, (width, height) = self.spec.scale, cut.tile
        network_ns, copies_ns = 0, Counter[str]()
        for row in cut.rows:
            for column in cut.columns:
                tile = pixels[row.start : row.start + height, column.start : column.start + width]
                done = self._backend.infer(tile)
                network_ns += self._backend.network_ns
                copies_ns.update(self._backend.copies_ns)
                self._output[row.begin * scale : row.end * scale, column.begin * scale : column.end * scale] = done[
                    (row.begin - row.start) * scale : (row.end - row.start) * scale,
                    (column.begin - column.start) * scale : (column.end - column.start) * scale,
                ]
        self.network_ns, self.copies_ns = network_ns, copies_ns
        return self._output

    def close(self) -> None:
        self._backend.close()

    def _prepare(self, pixels: Pixels) -> None:
        self.check(pixels)
        height, width, _ = pixels.shape
        chosen = self._choose((width, height))
        if chosen.count > 1:
            scale = self.spec.scale
            check_fits(3 * width * height * scale**2, f"the result of {width}x{height} through {self.title}")
            self._output: Pixels = np.empty((height * scale, width * scale, 3), np.uint8)
        self._cut, self._shape = chosen, pixels.shape
        self.settings["tiles"] = chosen.title

    def _choose(self, frame: Size) -> Tiling:
        backend = self._backend
        if self._tile is not None:
            tile = self._tile
            if not backend.profiles:
                tile = min(tile[0], frame[0]), min(tile[1], frame[1])
            elif not any(profile.takes(*tile) for profile in backend.profiles):
                built = _titles(backend.profiles)
                raise InputError(
                    f"tiles of {tile[0]}x{tile[1]} are not what {self.title} takes: it was built for {built}"
                )
            return tiling(self.spec, frame, tile)
        free = available_bytes() if self._memory_bytes is None else self._memory_bytes
        if free is None or not backend.bytes_per_pixel:
            return tile_for(self.spec, frame, profiles=backend.profiles)
        most = int(free * MEMORY_SHARE / backend.bytes_per_pixel)
        return tile_for(self.spec, frame, profiles=backend.profiles, most_pixels=most)


def tiling(spec: ModelSpec, frame: Size, tile: Size) -> Tiling:
    """A frame in tiles of width and height `tile`, as few as can be.

    Raises InputError where the frame is smaller than a tile, or the tile no larger than what its neighbours must overlap; for a
    network that looks at the whole frame, unless one tile is the frame.
    """
    if frame == tile:
        whole = (Span(0, 0, frame[0]),), (Span(0, 0, frame[1]),)
        return Tiling(frame, tile, *whole)
    name = "{}x{}".format(*tile)
    if frame[0] < tile[0] or frame[1] < tile[1]:
        raise InputError(
            f"the frame is {frame[0]}x{frame[1]}, smaller than a tile of {name}, and padding would change the picture: "
            "use the model at a smaller size"
        )
    reach = _reach(spec, f" of {name}")
    if any(cut < side and cut <= 2 * reach for side, cut in zip(frame, tile, strict=True)):
        raise InputError(
            f"tiles of {name} are too small for {spec.title}, which looks {reach} pixels to each side: "
            f"expected more than {2 * reach} along a side that is cut"
        )
    columns, rows = (_spans(side, cut, reach) for side, cut in zip(frame, tile, strict=True))
    return Tiling(frame, tile, columns, rows)


def tile_for(
    spec: ModelSpec, frame: Size, *, profiles: Sequence[Profile] = (), most_pixels: int | None = None
) -> Tiling:
    """The frame whole where that is possible; else in tiles of the shape for which the fewest pixels are computed.

    profiles: sizes that the engine takes; empty: any. most_pixels: of one tile, as memory allows; None: no limit.
    Raises InputError where no size of the engine serves, or the network looks at the whole frame; FrameTooLarge where not even the
    smallest tiles fit into memory.
    """
    whole = tiling(spec, frame, frame)
    area = frame[0] * frame[1]
    if most_pixels is None or area <= most_pixels:
        if not profiles or any(profile.takes(*frame) for profile in profiles):
            return whole
        most_pixels = area
    limit = f"an engine for {_titles(profiles)}" if profiles else "the memory that is free"
    reach = _reach(spec, f", as {frame[0]}x{frame[1]} would need with {limit}")
    found: list[tuple[int, int, Size]] = []
    for least, most in [(profile.least, profile.most) for profile in profiles] or [((1, 1), frame)]:
        columns, rows = (
            _choices(side, low, high, reach, spec) for side, low, high in zip(frame, least, most, strict=True)
        )
        cheapest = list(accumulate(reversed(rows), _cheaper))[::-1]  # of it and all shorter ones
        for count, width in columns:
            first = bisect_left(rows, -(most_pixels // width), key=lambda choice: -choice[1])
            if first < len(rows):
                more, height = cheapest[first]
                found.append((count * more * width * height, count * more, (width, height)))
    if found:
        return tiling(spec, frame, min(found)[2])
    if profiles:
        raise InputError(
            f"the frame is {frame[0]}x{frame[1]}; the engine was built for {_titles(profiles)} and {spec.title} looks "
            f"{reach} pixels to each side: no tile serves; build with --size {frame[0]}x{frame[1]}, or for a size that is "
            f"smaller than the frame and larger than {2 * reach}x{2 * reach}"
        )
    raise FrameTooLarge(
        f"{frame[0]}x{frame[1]} through {spec.title} does not fit into memory, not even in tiles: a tile has more than "
        f"{2 * reach}x{2 * reach} pixels, {most_pixels} pixels fit; free memory, or use a smaller model"
    )


def _spans(side: int, tile: int, reach: int) -> tuple[Span, ...]:
    """Tiles along one side, the first and the last at the frame's edges."""
    if side == tile:
        return (Span(0, 0, side),)
    spans: list[Span] = []
    start = used = 0
    while start < side - tile:
        spans.append(Span(start, used, start + tile - reach))
        used = start + tile - reach
        start = min(start + tile - 2 * reach, side - tile)
    return (*spans, Span(start, used, side))


def _choices(side: int, least: int, most: int, reach: int, spec: ModelSpec) -> list[tuple[int, int]]:
    """Tiles along a side of the frame, from `least` to `most` long: (how many, how long), the longest first; of each number the
    shortest that will do."""
    choices = [(1, side)] if least <= side <= most else []
    step, overlap = spec.size_multiple, 2 * reach
    least = -(-max(least, spec.min_size, overlap + step) // step) * step
    most = min(most, side - 1)
    tile, count = most + 1, 1
    while tile > least and least <= most:
        count += 1
        tile = max(least, -(-(side + overlap * (count - 1)) // count // step) * step)
        if tile <= most:
            choices.append((-(-(side - overlap) // (tile - overlap)), tile))
    return choices


def _cheaper(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Of two choices that with which fewer pixels are computed; the later where they are equal, which has the longer tiles."""
    return one if one[0] * one[1] < other[0] * other[1] else other


def _reach(spec: ModelSpec, which: str) -> int:
    """How far the network looks to each side, as a multiple of `size_multiple`. `which`: tiles, for the refusal."""
    if spec.receptive_field is None:
        raise InputError(
            f"{spec.title} cannot be run in tiles{which}: it uses statistics of the whole frame, so tiles would show. "
            "Use a smaller frame or --roi, an engine of the frame's size, or a network without them"
        )
    return -(-spec.receptive_field // spec.size_multiple) * spec.size_multiple


def _titles(profiles: Sequence[Profile]) -> str:
    return "; ".join(profile.title for profile in profiles)
