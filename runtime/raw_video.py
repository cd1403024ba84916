"""Raw video as GStreamer lays it out in memory, made into BGR by the same conversion as everything else.

GStreamer's own (videoconvert) cuts off where it should round: flat bars came out up to 5 code values off (1.22).
"""

from collections.abc import Callable

import av
import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import SourceFailed
from edgesr.runtime.frame import Pixels
from edgesr.runtime.sources.base import ColourTags
from edgesr.runtime.sources.yuv import BGRFromYUV, settled_tags

__all__ = ["FORMATS", "RawVideo", "padded"]


def padded(row_bytes: int, to: int = 4) -> int:
    """Bytes of a row as GStreamer lays it out."""
    return -(-row_bytes // to) * to


def _i420(width: int, height: int) -> list[tuple[int, int]]:
    chroma = padded(padded(width, 2) // 2), padded(height, 2) // 2
    return [(padded(width), padded(height, 2)), chroma, chroma]


LAYOUTS: dict[str, tuple[str, Callable[[int, int], list[tuple[int, int]]]]] = {
    "I420": ("yuv420p", _i420),
    "NV12": ("nv12", lambda w, h: [(padded(w), padded(h, 2)), (padded(w), padded(h, 2) // 2)]),
    "Y42B": ("yuv422p", lambda w, h: [(padded(w), h), (padded(w, 8) // 2, h), (padded(w, 8) // 2, h)]),
    "Y444": ("yuv444p", lambda w, h: [(padded(w), h)] * 3),
    "YUY2": ("yuyv422", lambda w, h: [(padded(2 * w), h)]),
    "BGR": ("bgr24", lambda w, h: [(padded(3 * w), h)]),
}
"""GStreamer's name -> FFmpeg's, and of each plane the bytes of a row and the rows (gst-plugins-base, video-info.c)."""

FORMATS = tuple(LAYOUTS)

NAMED = {"bt601": (2, 4), "bt709": (2, 3), "smpte240m": (2, 5), "bt2020": (2, 6), "bt2020-10": (2, 6), "sRGB": (1, 1)}
"""GStreamer's names for colorimetries -> its numbers for range (2: limited) and matrix."""

MATRICES = {2: 4, 3: 1, 4: 6, 5: 7, 6: 9}
"""GstVideoColorMatrix -> ITU-T H.273 MatrixCoefficients; what is not here is unknown."""

UNSPECIFIED = 2
FULL, LIMITED = 2, 1  # FFmpeg's numbers for a range


class RawVideo:
    """Frames of one format and size. colorimetry: as caps say it ("bt709", "1:3:5:1"), "" where they do not.

    memory: a frame's bytes, which the caller fills before each call; the result lives until the next one.
    tags: None where frames are BGR already. Raises SourceFailed for HDR and for a format that is not in FORMATS.
    """

    def __init__(self, name: str, width: int, height: int, colorimetry: str, chroma_site: str, title: str) -> None:
        if name not in LAYOUTS:
            raise SourceFailed(f"{title} gives {name or 'no pictures'}; expected one of {', '.join(FORMATS)}")
        if colorimetry.startswith("bt2100"):
            raise SourceFailed(f"{title} is HDR ({colorimetry}); expected SDR")
        ffmpeg_name, layout = LAYOUTS[name]
        self.key = (name, width, height, colorimetry, chroma_site)
        self.width, self.height = width, height
        self.tags: ColourTags | None = None
        self.notes: list[str] = []
        self._planes = layout(width, height)
        self.memory: NDArray[np.uint8] = np.zeros(sum(stride * rows for stride, rows in self._planes), np.uint8)
        if name == "BGR":
            return
        self._frame = av.VideoFrame(width, height, ffmpeg_name)
        full_range, matrix = _meant(colorimetry)
        self._frame.colorspace, self._frame.color_range = matrix, FULL if full_range else LIMITED
        self.tags, self.notes = settled_tags(self._frame, title)
        self._convert = BGRFromYUV(self._frame, self.tags, "mjpeg" if chroma_site == "jpeg" else "h264")

    def pixels(self) -> Pixels:
        """uint8 (height, width, 3) BGR of what is in `memory`; its rows may be padded."""
        if self.tags is None:
            (stride, _rows) = self._planes[0]
            bgr: Pixels = np.ndarray((self.height, self.width, 3), np.uint8, self.memory, 0, (stride, 3, 1))
            return bgr
        begin = 0
        for plane, (stride, rows) in zip(self._frame.planes, self._planes, strict=True):
            lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            used = min(stride, plane.line_size)
            given = self.memory[begin : begin + stride * rows].reshape(rows, stride)
            lines[:, :used] = given[: plane.height, :used]
            begin += stride * rows
        return self._convert(self._frame)


def _meant(colorimetry: str) -> tuple[bool, int]:
    """Whether the range is full, and the matrix in H.273's numbers."""
    numbers = NAMED.get(colorimetry)
    if numbers is None:
        fields = colorimetry.split(":")
        numbers = (int(fields[0]), int(fields[1])) if len(fields) == 4 and "".join(fields).isdigit() else (0, 0)
    return numbers[0] == 1, MATRICES.get(numbers[1], UNSPECIFIED)
