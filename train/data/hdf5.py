"""Prepared training data: HDF5 files with low and high resolutions, ours or made by others.

Two layouts are known. In the one of RDN's and RDSRN's programs `lr` and `hr` are groups with a data set for each image, called 0, 1, 2 …; in the one of
the early networks' they are data sets, (N, h, w[, 3]) or (N, 1 or 3, h, w). Colours are RGB, three channels; one channel is Y, 16–235. Floats are 0–1 or 0–255.
"""

import json
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError, MissingFile

__all__ = ["HDF5Store", "Layout", "read_layout"]

SAMPLES = 16
"""Images that are looked at to tell 0–1 from 0–255."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One of `lr` and `hr`.

    stacked: one data set for all. axes: of one image: hwc, chw or hw.
    sizes: (N, 2), height and width. offsets: (N,) where each lies in the file, -1 where not in one piece.
    """

    name: str
    stacked: bool
    axes: str
    channels: int
    dtype: "np.dtype[Any]"
    sizes: Numbers
    offsets: Numbers

    def shape(self, index: int) -> tuple[int, ...]:
        height, width = (int(side) for side in self.sizes[index])
        return {"hw": (height, width), "hwc": (height, width, self.channels), "chw": (self.channels, height, width)}[
            self.axes
        ]


@dataclass(frozen=True)
class Layout:
    """What a file holds. scale: None where low and high resolution are of one size, and nothing says what they were.

    settings: of the program that made it, where it was ours. images: names, and the pairs that were made of each.
    """

    low: Side
    high: Side
    scale: int | None
    same_size: bool
    settings: dict[str, Any]
    images: tuple[tuple[str, int], ...]

    @property
    def channels(self) -> int:
        return self.high.channels

    def __len__(self) -> int:
        return len(self.high.sizes)


class HDF5Store:
    """The pairs of a file as a `Store`, cut straight from it.

    channels: 3: `low` and `high` give uint8 (H, W, 3) BGR; 1: float32 (H, W), Y in 16–235 as stored.
    same_size: the low resolution has been enlarged: both have the size, and the coordinates, of the high one.
    """

    def __init__(self, path: Path, scale: int) -> None:
        self.path, self.layout = path, read_layout(path)
        if self.layout.scale not in (None, scale):
            raise InputError(
                f"{path} holds pairs for x{self.layout.scale}; x{scale} is asked for: prepare it with --scale {scale}"
            )
        self.scale, self.channels, self.same_size = scale, self.layout.channels, self.layout.same_size
        self._last = np.cumsum([pairs for _, pairs in self.layout.images])
        self._close()
        self._unit = self._found_unit()

    def __len__(self) -> int:
        return len(self.layout)

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.layout.low.sizes[index]
        return int(height), int(width)

    def name(self, index: int) -> str:
        image = int(np.searchsorted(self._last, index, side="right"))
        of = f" ({self.layout.images[image][0]})" if image < len(self._last) else ""
        return f"{self.path}, pair {index}{of}"

    def low(self, index: int, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        return self._settled(self._cut(self.layout.low, index, top, left, height, width))

    def high(self, index: int, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        return self._settled(self._cut(self.layout.high, index, top, left, height, width))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_mapped": None, "_owner": 0}

    def _close(self) -> None:
        self._file: h5py.File | None = None
        self._mapped: mmap.mmap | None = None
        self._owner = 0

    def _cut(self, side: Side, index: int, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """(height, width[, 3]) as stored. What lies in one piece is read past the HDF5 library, 2.8 times as fast (192x192 of 2040x1356)."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        where = (slice(None), rows, columns) if side.axes == "chw" else (rows, columns)
        offset, shape = int(side.offsets[index]), side.shape(index)
        if offset >= 0:
            cut: NDArray[Any] = np.ndarray(shape, side.dtype, self._map(), offset)[where]
        else:
            with _named(self.path):
                data = self._open()[side.name]
                place = (index, *where) if side.stacked else where
                cut = (data if side.stacked else data[str(index)])[place]
        return cut.transpose(1, 2, 0) if side.axes == "chw" else cut

    def _map(self) -> mmap.mmap:
        if self._mapped is None:
            with self.path.open("rb") as file:
                self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._mapped

    def _open(self) -> h5py.File:
        """Opened anew in a forked process: the library shares its state with nobody."""
        if self._file is None or self._owner != os.getpid():
            self._file, self._owner = h5py.File(self.path, "r"), os.getpid()
        return self._file

    def _found_unit(self) -> float:
        """255 where values are stored in 0–1; opens nothing that a forked process would inherit."""
        if self.layout.high.dtype == np.uint8:
            return 1.0
        chosen = np.unique(np.linspace(0, len(self) - 1, SAMPLES).astype(int))
        high = self.layout.high
        seen = [self._cut(high, int(i), 0, 0, *(int(side) for side in high.sizes[i])) for i in chosen]
        least, most = min(float(part.min()) for part in seen), max(float(part.max()) for part in seen)
        self._close()
        if not -1e-3 <= least <= most <= 255.001:  # NaN, too
            raise InputError(f"{self.path} holds values from {least:g} to {most:g}; expected 0 to 1, or 0 to 255")
        return 255.0 if most <= 1.001 else 1.0

    def _settled(self, cut: NDArray[Any]) -> NDArray[Any]:
        if self.channels == 1:
            return np.asarray(cut.reshape(cut.shape[:2]) * self._unit, np.float32)
        if cut.dtype != np.uint8:
            cut = np.rint(np.clip(cut * self._unit, 0, 255)).astype(np.uint8)
        return cut[..., ::-1]


def read_layout(path: Path) -> Layout:
    """What a file holds, looked at whole but for the pixels. Raises InputError, MissingFile."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected an HDF5 file, such as edgesr-train prepare makes")
    with _named(path), h5py.File(path, "r") as file:
        low, high = _sides(path, file)
        ratio = _ratio(path, low, high)
        noted = file.attrs.get("scale")
        same_size = ratio == 1 and noted != 1
        scale = (None if noted is None else int(noted)) if same_size else ratio
        settings = json.loads(file.attrs["settings"]) if "settings" in file.attrs else {}
        images: tuple[tuple[str, int], ...] = ()
        if "images" in file and "pairs" in file:
            names = [name.decode() for name in file["images"][:]]
            images = tuple(zip(names, (int(pairs) for pairs in file["pairs"][:]), strict=True))
    return Layout(low, high, scale, same_size, settings, images)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """The library's errors, which are many, as one line that names the file."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split())
        what = "is no HDF5 file" if "signature not found" in reason else "cannot be read, it is damaged or cut off"
        raise InputError(f"{path} {what} ({reason}); prepare it again, or get a whole copy") from error


def _sides(path: Path, file: h5py.File) -> tuple[Side, Side]:
    held = ", ".join(sorted(file)) or "nothing"
    if "lr" not in file or "hr" not in file:
        raise InputError(f"{path} holds {held}; expected lr and hr, as edgesr-train prepare writes them")
    low, high = (
        _grouped(path, name, file[name]) if isinstance(file[name], h5py.Group) else _stacked(path, name, file[name])
        for name in ("lr", "hr")
    )
    if len(low.sizes) != len(high.sizes):
        raise InputError(f"{path} holds {len(low.sizes)} low and {len(high.sizes)} high resolutions; expected as many")
    if low.channels != high.channels:
        raise InputError(f"{path}: lr has {low.channels} channels and hr {high.channels}; expected as many")
    return low, high


def _grouped(path: Path, name: str, group: h5py.Group) -> Side:
    if not len(group):
        raise InputError(f"{path}: {name} is empty; expected data sets called 0, 1, 2 and so on")
    kinds: set[tuple[str, int, np.dtype[Any]]] = set()
    sizes, offsets = [], []
    for index in range(len(group)):
        data = group.get(str(index))
        if not isinstance(data, h5py.Dataset):
            raise InputError(
                f"{path}: {name} holds {len(group)} data sets, but none called {index}; expected 0, 1, 2 and so on"
            )
        axes, channels, size = _form(path, f"{name}/{index}", data.shape)
        kinds.add((axes, channels, data.dtype))
        sizes.append(size)
        offset = data.id.get_offset()
        offsets.append(-1 if offset is None else offset)
    if len(kinds) > 1:
        raise InputError(f"{path}: {name} mixes {' and '.join(sorted(map(str, kinds)))}; expected one kind of image")
    ((axes, channels, dtype),) = kinds
    return _checked(path, Side(name, False, axes, channels, dtype, np.array(sizes), np.array(offsets)))


def _stacked(path: Path, name: str, data: h5py.Dataset) -> Side:
    if len(data.shape) < 3 or not data.shape[0]:
        raise InputError(
            f"{path}: {name} is of shape {data.shape}; expected N images, (N, h, w), (N, h, w, 3) or (N, 3, h, w)"
        )
    axes, channels, size = _form(path, name, data.shape[1:])
    count, first = data.shape[0], data.id.get_offset()
    step = int(np.prod(data.shape[1:])) * data.dtype.itemsize
    offsets = np.full(count, -1) if first is None else first + step * np.arange(count)
    return _checked(path, Side(name, True, axes, channels, data.dtype, np.tile(size, (count, 1)), offsets))


def _form(path: Path, name: str, shape: tuple[int, ...]) -> tuple[str, int, tuple[int, int]]:
    """Axes, channels, and (height, width) of an image's shape."""
    if len(shape) == 2 and min(shape) >= 1 and shape[1] != 3:
        return "hw", 1, (shape[0], shape[1])
    if len(shape) == 3 and min(shape) >= 1:
        if shape[2] in (1, 3) and shape[0] not in (1, 3):
            return "hwc", shape[2], (shape[0], shape[1])
        if shape[0] in (1, 3) and shape[2] not in (1, 3):
            return "chw", shape[0], (shape[1], shape[2])
    raise InputError(
        f"{path}: images of {name} are of shape {shape}; expected (h, w), (h, w, 3) or (3, h, w), and more than 3 wide"
    )


def _checked(path: Path, side: Side) -> Side:
    if side.dtype != np.uint8 and side.dtype.kind != "f":
        raise InputError(f"{path}: {side.name} holds {side.dtype}; expected uint8, or floats in 0–1 or 0–255")
    bytes_each = side.sizes.prod(axis=1) * side.channels * side.dtype.itemsize
    if (side.offsets + bytes_each > path.stat().st_size).any():
        raise InputError(
            f"{path} is cut off: images of {side.name} lie beyond its end; prepare it again, or get a whole copy"
        )
    return side


def _ratio(path: Path, low: Side, high: Side) -> int:
    """How many times the low resolution the high one is, the same for all."""
    ratio = max(1, int(high.sizes[0, 0] // low.sizes[0, 0]))
    wrong = np.flatnonzero((high.sizes != ratio * low.sizes).any(axis=1))
    if len(wrong):
        (height, width), (tall, wide) = low.sizes[wrong[0]], high.sizes[wrong[0]]
        raise InputError(
            f"{path}, pair {wrong[0]}: lr is {width}x{height} and hr {wide}x{tall}; expected {ratio * width}x{ratio * height}"
        )
    return ratio
