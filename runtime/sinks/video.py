"""A video file: H.264 by PyAV (libx264), with the sound, times and colour tags of the file the frames came from."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from edgesr.runtime.errors import InputError, OutputFailed
from edgesr.runtime.files import check_output
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.sound import Sound
from edgesr.runtime.sinks.staged import StagedFile
from edgesr.runtime.sources.base import StreamInfo
from edgesr.runtime.sources.yuv import BT709, YUVFromBGR

__all__ = ["VideoSink", "open_video"]

ENCODER = {"crf": "16", "preset": "fast"}
"""Keeps the detail that was just made: 50.8 dB on Y for a 1280x720 pan over a photograph (x264 165, PyAV 18.1);
"veryfast" gave 48.3 dB at the same crf and was hardly faster."""

USUAL_RATE = Fraction(25)
TICKS_A_SECOND = 90_000


class VideoSink(Sink):
    """.mp4, .mkv or .mov, yuv420p. All frames must have the size of the first; an odd size is padded by one pixel.

    Frames with a time keep it (so a variable rate stays variable), others follow at the stream's rate. The file
    is written beside `path` and takes the name at `close`.
    """

    def __init__(self, path: Path, info: StreamInfo, *, force: bool = False) -> None:
        check_output(path, force=force)
        self.title, self.notes = str(path), []
        self._path, self._info = path, info
        self._rate = info.frame_rate or USUAL_RATE
        if info.frame_rate is None:
            self.notes.append(f"{info.title} has no frame rate: {USUAL_RATE} frames a second taken")
        self._tick = Fraction(1, self._rate.numerator * max(1, TICKS_A_SECOND // self._rate.numerator))
        self._size: tuple[int, int] | None = None
        self._zero_s = 0.0
        self._last_s, self._last_tick, self._count = 0.0, -1, 0
        self._sound: Sound | None = None
        self._done = False
        self._staged = StagedFile(path)
        self._container: OutputContainer = av.open(str(self._staged.beside), "w")
        try:
            self._add_streams()
        except BaseException:
            self.discard()
            raise

    def _add_streams(self) -> None:
        self._stream = self._container.add_stream("libx264", rate=self._rate, options=dict(ENCODER))
        if self._info.origin is None:
            return
        self._sound = Sound(self._info.origin, self._container, self._path.suffix.lower())
        if left := self._sound.left_behind:
            self.notes.append(f"not carried over: {', '.join(left)}")

    def write(self, frame: Frame) -> None:
        height, width = frame.pixels.shape[:2]
        if self._size is None:
            self._start(width, height, frame)
        if (width, height) != self._size:
            raise InputError(
                f"frame {frame.index} is {width}x{height}, the first was {'{}x{}'.format(*self._size or ())}; a video "
                "has one size: use --fit, or write to a folder"
            )
        time_s = float(self._count / self._rate) if frame.time_s is None else frame.time_s
        picture = self._convert(_padded(frame.pixels))
        # Some files give two frames the same time; an encoder takes rising ones only.
        self._last_tick = max(round((time_s - self._zero_s) / self._tick), self._last_tick + 1)
        picture.pts, picture.time_base = self._last_tick, self._tick
        try:
            self._container.mux(self._stream.encode(picture))
            if self._sound is not None:
                self._sound.copy_until(time_s)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        self._last_s = time_s
        self._count += 1

    def close(self) -> None:
        if self._done:
            return
        if self._size is None:
            self.discard()
            return
        try:
            self._container.mux(self._stream.encode(None))
            if self._sound is not None:
                end_s = self._last_s + float(1 / self._rate)
                part = self._info.end_s is not None or self._sound.pictures_after(self._last_s + float(self._tick))
                self._sound.copy_until(end_s if part else float("inf"))
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        except BaseException:
            self.discard()
            raise
        self._let_go()
        self._staged.keep()

    def discard(self) -> None:
        if not self._done:
            self._let_go()
            self._staged.drop()

    def _let_go(self) -> None:
        self._done = True
        with suppress(av.FFmpegError, OSError):
            self._container.close()
        if self._sound is not None:
            self._sound.close()

    def _start(self, width: int, height: int, first: Frame) -> None:
        self._size = width, height
        padded_width, padded_height = width + width % 2, height + height % 2
        if (padded_width, padded_height) != (width, height):
            self.notes.append(
                f"{width}x{height} padded to {padded_width}x{padded_height} by repeating the last row or column: "
                "4:2:0 needs even sizes"
            )
        tags = self._info.colour or BT709
        self._convert = YUVFromBGR(padded_width, padded_height, tags)
        codec = self._stream.codec_context
        codec.width, codec.height, codec.pix_fmt = padded_width, padded_height, "yuv420p"
        codec.time_base = self._tick
        codec.colorspace, codec.color_range = tags.matrix, 2 if tags.full_range else 1
        codec.color_primaries, codec.color_trc = tags.primaries, tags.transfer
        codec.sample_aspect_ratio = self._info.pixel_aspect
        if self._info.start_s and first.time_s is not None:
            self._zero_s = first.time_s
        if self._sound is not None:
            self._sound.start(self._zero_s)

    def _failure(self, error: Exception) -> OutputFailed:
        self.discard()
        reason = getattr(error, "strerror", None) or error
        return OutputFailed(f"{self._path} cannot be written: {reason}; is the disk full?")


def _padded(pixels: Pixels) -> Pixels:
    """Even in width and height."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return pixels


def open_video(target: str, info: StreamInfo, force: bool) -> Sink:
    return VideoSink(Path(target), info, force=force)
