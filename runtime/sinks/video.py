"""A video file: H.264 by PyAV (libx264), with the sound, times and colour tags of the file the frames came from."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import PictureType

from edgesr.runtime.errors import InputError, OutputFailed
from edgesr.runtime.files import check_output
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.clock import live_ticks
from edgesr.runtime.sinks.encoding import (
    ENCODER,
    FILE_OPTIONS,
    KEYFRAME_TICKS,
    LIVE_OPTIONS,
    TICK,
    Pictures,
    describe,
    need_encoder,
)
from edgesr.runtime.sinks.sound import Sound
from edgesr.runtime.sinks.staged import GrowingFile, StagedFile
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["VideoSink", "open_video"]

USUAL_RATE = Fraction(25)
TICKS_A_SECOND = TICK.denominator

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
GROWING = {".mp4": FRAGMENTED, ".mov": FRAGMENTED, ".mkv": {"cluster_time_limit": "1000"}}  # ms
"""What makes a file playable up to its last second at any moment, even if nobody finishes it."""


class VideoSink(Sink):
    """.mp4, .mkv or .mov, yuv420p. All frames must have the size of the first; an odd size is padded by one pixel.

    Frames with a time keep it (so a variable rate stays variable), others follow at the stream's rate. The file
    is written beside `path` and takes the name at `close`.

    A live stream's frames keep the times of their capture. Its file grows under `path` itself and is playable at any
    moment, so that a kill costs its last second; `discard`, or a full disk, leaves what was written.
    """

    one_size = True

    def __init__(self, path: Path, info: StreamInfo, *, force: bool = False) -> None:
        check_output(path, force=force)
        need_encoder()
        self.title, self.notes = str(path), []
        self._path, self._info = path, info
        self._rate = info.frame_rate or USUAL_RATE
        if info.frame_rate is None and not info.live:
            self.notes.append(f"{info.title} has no frame rate: {USUAL_RATE} frames a second taken")
        self._tick = Fraction(1, self._rate.numerator * max(1, TICKS_A_SECOND // self._rate.numerator))
        if info.live:
            self._tick = TICK
        self._size: tuple[int, int] | None = None
        self._zero_s, self._zero_ns = 0.0, 0
        self._last_s, self._last_tick, self._keyframe_tick, self._count = 0.0, -1, 0, 0
        self._sound: Sound | None = None
        self._done = False
        self._file = GrowingFile(path) if info.live else StagedFile(path)
        settings = {**GROWING[path.suffix.lower()], "flush_packets": "1"} if info.live else {}
        try:
            self._container: OutputContainer = av.open(str(self._file.path), "w", container_options=settings)
        except OSError as error:
            self._file.drop()
            raise OutputFailed(f"{path} cannot be written: {error.strerror}") from error
        try:
            self._add_streams()
        except BaseException:
            self.discard()
            raise

    def _add_streams(self) -> None:
        options = LIVE_OPTIONS if self._info.live else FILE_OPTIONS
        self._stream = self._container.add_stream(ENCODER, rate=self._rate, options=dict(options))
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
        picture = self._pictures(frame.pixels)
        picture.pts, picture.time_base = self._ticks(frame, time_s), self._tick
        if self._info.live and picture.pts - self._keyframe_tick >= KEYFRAME_TICKS:
            picture.pict_type = PictureType.I
            self._keyframe_tick = picture.pts
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
            self._let_go()
            self._file.drop()
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
        self._file.keep()

    def discard(self) -> None:
        if self._done:
            return
        if self._info.live:
            with suppress(OutputFailed):
                self.close()
            return
        self._let_go()
        self._file.drop()

    def _let_go(self) -> None:
        self._done = True
        with suppress(av.FFmpegError, OSError):
            self._container.close()
        if self._sound is not None:
            self._sound.close()

    def _start(self, width: int, height: int, first: Frame) -> None:
        self._size = width, height
        self._pictures = Pictures(width, height, self._info)
        if self._pictures.note:
            self.notes.append(self._pictures.note)
        describe(self._stream.codec_context, self._pictures, self._info, self._tick)
        self._zero_ns = first.captured_ns
        if self._info.start_s and first.time_s is not None:
            self._zero_s = first.time_s
        if self._sound is not None:
            self._sound.start(self._zero_s)

    def _ticks(self, frame: Frame, time_s: float) -> int:
        if self._info.live:
            ticks = live_ticks(frame.captured_ns, self._zero_ns)
        else:
            ticks = round((time_s - self._zero_s) / self._tick)
        # Some files give two frames the same time; an encoder takes rising ones only.
        self._last_tick = max(ticks, self._last_tick + 1)
        return self._last_tick

    def _failure(self, error: Exception) -> OutputFailed:
        """What is written of a live stream stays; of a file, nothing."""
        self._let_go()
        reason = getattr(error, "strerror", None) or error
        message = f"{self._path} cannot be written: {reason}; is the disk full?"
        if self._info.live:
            return OutputFailed(f"{message} What was written until then stays")
        self._file.drop()
        return OutputFailed(message)


def open_video(target: str, info: StreamInfo, force: bool) -> Sink:
    return VideoSink(Path(target), info, force=force)
