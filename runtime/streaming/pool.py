"""Frame memory that is used again: a stream in its steady state allocates none."""

from threading import Lock

import numpy as np

from edgesr.runtime.frame import Pixels

__all__ = ["Picture", "Pool"]


class Picture:
    """Pixels in pooled memory, with a count of who holds them. Whoever gets one releases it once."""

    def __init__(self, pool: "Pool", pixels: Pixels) -> None:
        self.pixels = pixels
        self._pool = pool
        self._holders = 1
        self._lock = Lock()

    def share(self) -> "Picture":
        """One more holder."""
        with self._lock:
            assert self._holders > 0, "shared after its last release"
            self._holders += 1
        return self

    def release(self) -> None:
        """One holder fewer; after the last the memory is used again."""
        with self._lock:
            assert self._holders > 0, "released once too often"
            self._holders -= 1
            last = not self._holders
        if last:
            self._pool.take_back(self)

    def hold_again(self) -> None:
        """For the pool: the first holder of a picture that is used again."""
        with self._lock:
            self._holders = 1


class Pool:
    """Pictures of the size that was asked for last; those of another size are let go when they come back.

    How many there are is bounded by the slots that hold them. made: how many were ever allocated.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._free: list[Picture] = []
        self._shape: tuple[int, ...] = ()
        self.made = 0

    def copy(self, pixels: Pixels) -> Picture:
        """The pixels, in memory of the pool."""
        with self._lock:
            if pixels.shape != self._shape:
                self._shape = pixels.shape
                self._free.clear()
            picture = self._free.pop() if self._free else None
            self.made += picture is None
        if picture is None:
            picture = Picture(self, np.empty(pixels.shape, np.uint8))
        else:
            picture.hold_again()
        np.copyto(picture.pixels, pixels)
        return picture

    def take_back(self, picture: Picture) -> None:
        with self._lock:
            if picture.pixels.shape == self._shape:
                self._free.append(picture)
