"""libx264 and FFmpeg's decoder on clips of few and small frames, where opening an encoder costs more than coding."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from edgesr.runtime.errors import MissingDependency
from edgesr.runtime.frame import Pixels

__all__ = ["last_decoded"]

KEPT, KEPT_PIXELS = 64, 128 * 128
"""So many encoders are kept, of about 1 MiB each, for frames no larger than that."""

ENCODER = {
    "tune": "zerolatency",  # no B frames, no look-ahead
    "forced-idr": "1",
    "x264-params": "keyint=infinite:scenecut=0",  # the first frame of a clip is coded alone, no other
}

_idle: dict[Any, "_Encoder"] = {}


class _Encoder:
    """On one thread. With a fixed quantiser nothing is left over from one clip to the next: a clip begins with an IDR frame."""

    def __init__(self, width: int, height: int, options: dict[str, str]) -> None:
        self._context = _context("libx264", "w")
        self._context.width, self._context.height, self._context.pix_fmt = width, height, "yuv420p"
        self._context.time_base = Fraction(1, 25)
        self._context.options = options | ENCODER
        self._time = 0

    def encode(self, clip: list[Pixels]) -> list[Any]:
        packets: list[Any] = []
        for place, planes in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pict_type = PictureType.NONE if place else PictureType.I
            frame.pts = self._time
            self._time += 1
            packets += self._context.encode(frame)
        return packets


def last_decoded(clip: list[Pixels], options: dict[str, str]) -> Pixels:
    """Planes of yuv420p, uint8 (H * 3/2, W) -> those of the last frame, coded and decoded.

    options: x264's. With qp, encoders are used again; with crf, whose quantiser depends on what was coded before, never.
    """
    rows, width = clip[0].shape
    height = rows * 2 // 3
    key = (width, height, *sorted(options.items()))
    # Taken out while in use: two threads never share one, and one that failed is not put back.
    encoder = _idle.pop(key, None) or _Encoder(width, height, options)
    decoder = _context("h264", "r")
    decoded = [frame for packet in encoder.encode(clip) for frame in decoder.decode(packet)]
    decoded += decoder.decode(None)
    if "qp" in options and width * height <= KEPT_PIXELS:
        _idle[key] = encoder
        for longest_unused in list(_idle)[:-KEPT]:
            _idle.pop(longest_unused, None)
    assert len(decoded) == len(clip)
    return np.asarray(decoded[-1].to_ndarray(), np.uint8)


def _context(codec: str, mode: str) -> VideoCodecContext:
    try:
        context = av.CodecContext.create(codec, mode)  # type: ignore[call-overload]
    except av.codec.codec.UnknownCodecError as error:
        raise MissingDependency(f"degradation h264 needs a PyAV with {codec}: pip install av") from error
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    return context
