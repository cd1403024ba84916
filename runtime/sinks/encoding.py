"""H.264 by PyAV's libx264: what the sinks that write a video and those that serve one share."""

from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

import av
import numpy as np
from av.codec import Codec, CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from edgesr.runtime.errors import MissingDependency
from edgesr.runtime.frame import Pixels
from edgesr.runtime.sources.base import StreamInfo
from edgesr.runtime.sources.yuv import BT709, YUVFromBGR

if TYPE_CHECKING:
    from av.packet import Packet

    VideoPacket: TypeAlias = Packet[VideoStream]
else:  # only PyAV's stubs know that a packet belongs to a kind of stream
    from av.packet import Packet as VideoPacket

__all__ = [
    "ENCODER",
    "FILE_OPTIONS",
    "KEYFRAME_TICKS",
    "LIVE_OPTIONS",
    "SOFTWARE",
    "TICK",
    "LiveEncoder",
    "Pictures",
    "describe",
    "need_encoder",
]

ENCODER: Final = "libx264"

FILE_OPTIONS = {"crf": "16", "preset": "fast"}
"""Keeps the detail that was just made: 50.8 dB on Y for a 1280x720 pan over a photograph (x264 165, PyAV 18.1);
"veryfast" gave 48.3 dB at the same crf and was hardly faster."""

LIVE_OPTIONS = {"crf": "18", "preset": "superfast", "tune": "zerolatency", "forced-idr": "1"}
"""One frame in, one frame out; forced-idr: a keyframe that is asked for is one where a viewer can begin. Colour bars
of all matrices and ranges stay within 2 code values; crf 20 moved those of full range by 3."""

TICK = Fraction(1, 90_000)
"""The clock of everything live; RTP and MPEG-TS prescribe it for video."""

KEYFRAME_TICKS = round(1 / TICK)
USUAL_RATE = Fraction(30)  # steers the encoder alone: a live stream's frames carry their times
SOFTWARE = "H.264 is encoded on the CPU (x264)"


class Pictures:
    """BGR frames of one size -> what the encoder takes: yuv420p with the source's matrix and range, even in size.

    width, height: of the pictures; an odd frame is padded by repeating its last row or column. note: says so, or "".
    """

    def __init__(self, width: int, height: int, info: StreamInfo) -> None:
        self.tags = info.colour or BT709
        self.width, self.height = width + width % 2, height + height % 2
        self.note = ""
        self._padded: Pixels | None = None
        if (self.width, self.height) != (width, height):
            self._padded = np.empty((self.height, self.width, 3), np.uint8)
            self.note = (
                f"{width}x{height} padded to {self.width}x{self.height} by repeating the last row or column: "
                "4:2:0 needs even sizes"
            )
        self._convert = YUVFromBGR(self.width, self.height, self.tags)

    def __call__(self, pixels: Pixels) -> av.VideoFrame:
        if self._padded is not None:
            height, width = pixels.shape[:2]
            self._padded[:height, :width] = pixels
            self._padded[:, width:] = self._padded[:, width - 1 : width]
            self._padded[height:] = self._padded[height - 1 : height]
            pixels = self._padded
        return self._convert(pixels)


def describe(codec: VideoCodecContext, pictures: Pictures, info: StreamInfo, tick: Fraction) -> None:
    """Tell an encoder of size, times and colours, before its first picture."""
    codec.width, codec.height, codec.pix_fmt = pictures.width, pictures.height, "yuv420p"
    codec.time_base = tick
    codec.colorspace, codec.color_range = pictures.tags.matrix, 2 if pictures.tags.full_range else 1
    codec.color_primaries, codec.color_trc = pictures.tags.primaries, pictures.tags.transfer
    codec.sample_aspect_ratio = info.pixel_aspect


def need_encoder() -> None:
    """Raises MissingDependency where PyAV cannot encode H.264."""
    try:
        Codec(ENCODER, "w")
    except ValueError as error:
        raise MissingDependency(
            f"this PyAV ({av.__version__}) has no {ENCODER}, which encodes H.264; its wheels have: "
            "pip install --force-reinstall --only-binary=av av"
        ) from error


class LiveEncoder:
    """For viewers who may join at any time: no frame is held back, every keyframe carries its parameter sets, and
    one comes at least every second. A frame of another size begins with a keyframe of its own.

    size: of the last frame that was encoded. notes: gains what was done to frames, in words for the user.
    """

    def __init__(self, info: StreamInfo, notes: list[str]) -> None:
        need_encoder()
        self.size: tuple[int, int] | None = None
        self._info, self._notes = info, notes
        self._last_ticks, self._keyframe_ticks = -1, 0

    def encode(self, pixels: Pixels, ticks: int, *, keyframe: bool = False) -> VideoPacket:
        """The frame as H.264 (Annex B). ticks: when it is to be seen, in TICKs; raised where it does not rise.

        Raises av.FFmpegError.
        """
        height, width = pixels.shape[:2]
        if self.size != (width, height):
            self._begin(width, height)
            keyframe = True
        ticks = max(ticks, self._last_ticks + 1)
        keyframe = keyframe or ticks - self._keyframe_ticks >= KEYFRAME_TICKS
        picture = self._pictures(pixels)
        picture.pts, picture.time_base = ticks, TICK
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        (packet,) = self._codec.encode(picture)
        self._last_ticks = ticks
        if packet.is_keyframe:
            self._keyframe_ticks = ticks
        return packet

    def _begin(self, width: int, height: int) -> None:
        self.size = width, height
        self._pictures = Pictures(width, height, self._info)
        if self._pictures.note and self._pictures.note not in self._notes:
            self._notes.append(self._pictures.note)
        codec = CodecContext.create(ENCODER, "w")
        assert isinstance(codec, VideoCodecContext)
        codec.options = dict(LIVE_OPTIONS)
        codec.framerate = self._info.frame_rate or USUAL_RATE
        describe(codec, self._pictures, self._info, TICK)
        self._codec = codec
