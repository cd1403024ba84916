"""HDF5 files are written without the library coming near the disk: where one is full it can neither write nor close, and crashes.

It lays out the tables in memory, with room for the pixels, which nobody writes there; both go to the disk as plain bytes.
"""

import io
from collections.abc import Sequence
from typing import Any, BinaryIO

import h5py
import numpy as np

__all__ = ["SparseMemory", "reserved"]

PAGE = 4096


class SparseMemory(io.RawIOBase):
    """A file in memory that takes only the pages which were written; as much of one as h5py asks for."""

    def __init__(self) -> None:
        super().__init__()
        self._pages: dict[int, bytearray] = {}
        self._at = self._size = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        return self._size

    def write(self, data: Any) -> int:
        given = memoryview(data).cast("B")
        for first in range(0, len(given), PAGE):
            part = given[first : first + PAGE]
            number, start = divmod(self._at + first, PAGE)
            for page, piece in ((number, part[: PAGE - start]), (number + 1, part[PAGE - start :])):
                if len(piece):
                    self._pages.setdefault(page, bytearray(PAGE))[start : start + len(piece)] = piece
                start = 0
        self._at += len(given)
        self._size = max(self._size, self._at)
        return len(given)

    def readinto(self, buffer: Any) -> int:
        wanted = memoryview(buffer).cast("B")
        number, start = divmod(self._at, PAGE)
        pages = range(number, (self._at + len(wanted)) // PAGE + 1)
        read = b"".join(self._pages.get(page, bytes(PAGE)) for page in pages)
        wanted[:] = read[start : start + len(wanted)]
        self._at += len(wanted)
        return len(wanted)

    def save(self, file: BinaryIO) -> None:
        """To an empty file; what was never written stays a hole, to be filled."""
        file.truncate(self._size)
        for number, page in self._pages.items():
            file.seek(number * PAGE)
            file.write(page[: max(0, self._size - number * PAGE)])


def reserved(file: h5py.File, name: str, shape: Sequence[int], dtype: "np.dtype[Any]") -> int:
    """A data set in one piece without its content; where that belongs in the file."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return int(file.create_dataset(name, tuple(shape), dtype, dcpl=settings).id.get_offset())
