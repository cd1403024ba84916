"""A frame on its way to browsers: the newest one in pooled memory, and its bytes."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.images import opencv
from edgesr.runtime.region import Region
from edgesr.runtime.resize import imresize
from edgesr.runtime.streaming.pool import Picture, Pool

__all__ = ["Encoder", "Newest", "Packet", "Shown"]


@dataclass(frozen=True)
class Shown:
    """A frame in pooled memory. number: counts what came here, from 1. region: the part of the input that `low` is."""

    number: int
    index: int
    captured_ns: int
    high: Picture
    low: Picture | None
    region: Region | None

    def share(self) -> None:
        for picture in (self.high, self.low):
            if picture is not None:
                picture.share()

    def release(self) -> None:
        for picture in (self.high, self.low):
            if picture is not None:
                picture.release()


class Newest:
    """The frame that came last. The stream's thread puts it, the server's threads borrow it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._high, self._low = Pool(), Pool()
        self._shown: Shown | None = None
        self._number = 0

    @property
    def number(self) -> int:
        """Of the frame that came last; 0 before the first."""
        with self._lock:
            return self._number

    @property
    def made(self) -> int:
        """Pictures that memory was taken for."""
        return self._high.made + self._low.made

    def put(self, frame: Frame, region: Region | None) -> None:
        """Copy a frame. One thread only."""
        low = None if frame.low is None else self._low.copy(frame.low)
        # A region that was just set shows in a later frame.
        if low is None or region is None or low.pixels.shape[:2] != (region.height, region.width):
            region = None
        high = self._high.copy(frame.pixels)
        with self._lock:
            self._number += 1
            old = self._shown
            self._shown = Shown(self._number, frame.index, frame.captured_ns, high, low, region)
        if old is not None:
            old.release()

    @contextmanager
    def borrowed(self) -> Iterator[Shown | None]:
        """It stays as it is within the block; None before the first frame."""
        with self._lock:
            shown = self._shown
            if shown is not None:
                shown.share()
        try:
            yield shown
        finally:
            if shown is not None:
                shown.release()


@dataclass(frozen=True)
class Packet:
    """data: the length of a header (uint32, little-endian), the header (JSON), the files whose names and lengths it tells."""

    number: int
    captured_ns: int
    data: bytes


class Encoder:
    """Raises MissingDependency without OpenCV."""

    def __init__(self, quality: int) -> None:
        self._cv2 = opencv()
        self._jpeg = [self._cv2.IMWRITE_JPEG_QUALITY, quality]

    def live(self, shown: Shown) -> Packet:
        """The input without loss, so that its bicubic is a fair one; the result as JPEG."""
        files = {} if shown.low is None else {"low": self._encoded(".png", shown.low.pixels)}
        files["high"] = self._encoded(".jpg", shown.high.pixels, self._jpeg)
        return _packet(shown, files)

    def lossless(self, shown: Shown) -> Packet:
        """Input, bicubic and result of one frame as PNG."""
        files = {name: self.png(shown, name) for name in ("low", "bicubic") if shown.low is not None}
        files["high"] = self.png(shown, "high")
        return _packet(shown, files)

    def png(self, shown: Shown, name: str) -> bytes:
        """name: "low", "bicubic" or "high"; the first two need `shown.low`."""
        if name == "high":
            return self._encoded(".png", shown.high.pixels)
        assert shown.low is not None
        low = shown.low.pixels
        if name == "bicubic":
            height, width = shown.high.pixels.shape[:2]
            low = imresize(low, width, height, width / low.shape[1])
        return self._encoded(".png", low)

    def _encoded(self, suffix: str, pixels: Pixels, settings: list[Any] | None = None) -> bytes:
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        try:
            done, data = self._cv2.imencode(suffix, np.ascontiguousarray(pixels), settings or [])
        except self._cv2.error as error:
            reason = str(error).strip().splitlines()[-1]
            raise OutputFailed(f"a frame of {size} cannot be encoded as {suffix} for the page: {reason}") from error
        if not done:
            raise OutputFailed(f"a frame of {size} cannot be encoded as {suffix} for the page")
        return bytes(data)


def _packet(shown: Shown, files: dict[str, bytes]) -> Packet:
    region, low = shown.region, shown.low
    header = {
        "number": shown.number,
        "frame": shown.index,
        "region": None if region is None else [region.x, region.y, region.width, region.height],
        "low": None if low is None else [low.pixels.shape[1], low.pixels.shape[0]],
        "high": [shown.high.pixels.shape[1], shown.high.pixels.shape[0]],
        "files": [[name, len(data)] for name, data in files.items()],
    }
    text = json.dumps(header).encode()
    return Packet(shown.number, shown.captured_ns, b"".join((struct.pack("<I", len(text)), text, *files.values())))
