"""Where the pairs of low and high resolution come from while a network trains: memory, or files too large for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edgesr.runtime.errors import InputError, MissingFile, UnreadableImage
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.memory import check_fits
from edgesr.runtime.quality import crop_to_multiple
from edgesr.runtime.resize import downscale

__all__ = [
    "HDF5_SUFFIXES",
    "Chosen",
    "Memory",
    "Pair",
    "Paired",
    "Store",
    "check_sizes",
    "joined",
    "open_store",
    "partner",
    "read_folder",
    "whole",
]

Pair = tuple[Pixels, Pixels]
"""Low and high resolution of one image, both uint8 (H, W, 3) BGR, the second exactly `scale` times the first."""

HDF5_SUFFIXES = (".h5", ".hdf5")


class Store(Protocol):
    """Images that are trained on. `low` and `high` cut uint8 (height, width, 3) BGR, each in coordinates of its own; where
    channels is 1, float32 (height, width), Y in 16–235.

    same_size: the low resolution was enlarged beforehand, and has the size of the high one.
    """

    scale: int
    channels: int
    same_size: bool

    def __len__(self) -> int: ...

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) at low resolution."""

    def name(self, index: int) -> str:
        """For messages."""

    def low(self, index: int, top: int, left: int, height: int, width: int) -> Pixels: ...

    def high(self, index: int, top: int, left: int, height: int, width: int) -> Pixels: ...


@dataclass(frozen=True)
class Paired:
    """Two folders whose images belong together by name; a low one may be called 0001x4.png where the high is 0001.png."""

    low: Path
    high: Path


class Memory:
    """Whole images, decoded."""

    channels, same_size = 3, False

    def __init__(self, pairs: Sequence[Pair], names: Sequence[str], scale: int) -> None:
        self.pairs, self.names, self.scale = pairs, names, scale

    def __len__(self) -> int:
        return len(self.pairs)

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.pairs[index][0].shape[:2]
        return height, width

    def name(self, index: int) -> str:
        return self.names[index]

    def low(self, index: int, top: int, left: int, height: int, width: int) -> Pixels:
        return self.pairs[index][0][top : top + height, left : left + width]

    def high(self, index: int, top: int, left: int, height: int, width: int) -> Pixels:
        return self.pairs[index][1][top : top + height, left : left + width]


class Chosen:
    """Some images of several stores, as one store; scale: high-resolution pixels for each low one, 1 with same_size.

    Raises InputError for stores of several kinds.
    """

    def __init__(self, places: Sequence[tuple[Store, int]], scale: int) -> None:
        kinds = {(store.channels, store.same_size) for store, _ in places}
        if len(kinds) > 1:
            raise InputError(
                "data has images of several kinds (colour and Y alone, or low resolution of its own size and some that was "
                "enlarged beforehand); use one kind"
            )
        self.channels, self.same_size = kinds.pop() if kinds else (3, False)
        self.places, self.scale = places, 1 if self.same_size else scale

    def __len__(self) -> int:
        return len(self.places)

    def size(self, index: int) -> tuple[int, int]:
        store, place = self.places[index]
        return store.size(place)

    def name(self, index: int) -> str:
        store, place = self.places[index]
        return store.name(place)

    def low(self, index: int, top: int, left: int, height: int, width: int) -> Pixels:
        store, place = self.places[index]
        return store.low(place, top, left, height, width)

    def high(self, index: int, top: int, left: int, height: int, width: int) -> Pixels:
        store, place = self.places[index]
        return store.high(place, top, left, height, width)

    def split(self, held_out: int, seed: int) -> tuple["Chosen", "Chosen"]:
        """Those to train on, and `held_out` drawn by seed to validate on."""
        if held_out >= len(self):
            raise InputError(
                f"{held_out} of {len(self)} images cannot be held out; hold out fewer (data.hold_out), or add images"
            )
        drawn = set(np.random.default_rng(seed).permutation(len(self))[:held_out].tolist())
        kept = [place for i, place in enumerate(self.places) if i not in drawn]
        return Chosen(kept, self.scale), Chosen([self.places[i] for i in sorted(drawn)], self.scale)


def joined(stores: Iterable[Store], scale: int) -> Chosen:
    return Chosen([(store, i) for store in stores for i in range(len(store))], scale)


def whole(store: Store, index: int) -> Pair:
    height, width = store.size(index)
    scale = store.scale
    return store.low(index, 0, 0, height, width), store.high(index, 0, 0, height * scale, width * scale)


def open_store(entry: "str | Paired", root: Path, scale: int, *, skip_unreadable: bool = False) -> Store:
    """A folder of high-resolution images, an HDF5 file, or a pair of folders; a name that is not absolute lies below root."""
    if isinstance(entry, Paired):
        return read_folder(root / entry.high, scale, low=root / entry.low, skip_unreadable=skip_unreadable)
    path = root / entry
    if path.suffix in HDF5_SUFFIXES:
        from edgesr.train.data.hdf5 import HDF5Store

        return HDF5Store(path, scale)
    return read_folder(path, scale, skip_unreadable=skip_unreadable)


def read_folder(folder: Path, scale: int, *, low: Path | None = None, skip_unreadable: bool = False) -> Memory:
    """Every image, cropped to a multiple of scale, beside its MATLAB-bicubic reduction, or beside its namesake of `low`."""
    pairs: list[Pair] = []
    names: list[str] = []
    held = 0
    for file in image_files(folder):
        try:
            pixels = read_image(file)[0]
        except UnreadableImage:
            if skip_unreadable:
                continue
            raise
        pair = _pair(file, pixels, scale, low)
        held += sum(part.nbytes for part in pair)
        check_fits(held, f"{folder}, {len(pairs) + 1} images of it (prepare it once: edgesr-train prepare)")
        pairs.append(pair)
        names.append(str(file))
    if not pairs:
        raise UnreadableImage(f"no image of {folder} can be read; expected PNG, JPEG, BMP, TIFF or WebP")
    return Memory(pairs, names, scale)


def _pair(file: Path, pixels: Pixels, scale: int, low: Path | None) -> Pair:
    if low is None:
        high = crop_to_multiple(pixels, scale)
        return downscale(high, scale), high
    namesake = partner(file, low, scale)
    small = read_image(namesake)[0]
    check_sizes((namesake, small), (file, pixels), scale)
    return small, pixels


def partner(high: Path, folder: Path, scale: int) -> Path:
    """The low resolution of an image, under the same name or as DIV2K has it, 0001x4.png; raises MissingFile."""
    names = [folder / high.name, folder / f"{high.stem}x{scale}{high.suffix}"]
    found = next((path for path in names if path.is_file()), None)
    if found is None:
        raise MissingFile(f"{high} has no partner in {folder}; expected {' or '.join(path.name for path in names)}")
    return found


def check_sizes(low: tuple[Path, Pixels], high: tuple[Path, Pixels], scale: int) -> None:
    """Raises InputError unless the second image is exactly `scale` times the first."""
    (height, width), (tall, wide) = low[1].shape[:2], high[1].shape[:2]
    if (tall, wide) != (height * scale, width * scale):
        raise InputError(
            f"{low[0]} is {width}x{height} and {high[0]} {wide}x{tall}; expected {width * scale}x{height * scale}, "
            f"{scale} times as much"
        )
