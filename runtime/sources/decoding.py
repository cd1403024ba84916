"""A video file opened with PyAV, and its whole pictures one after the other, each with its time."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from edgesr.runtime.errors import MissingFile, SourceFailed, UnreadableVideo
from edgesr.runtime.sources.truncation import missing_bytes

__all__ = ["Decoded", "VideoFile", "open_video_file", "origin_s", "picture_stream"]

NOT_VIDEO = ("tty", "image2", "lavfi", "concat", "hls", "sdp")  # demuxers that take text, pictures or lists of files
USUAL_RATE = Fraction(25)


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture as the decoder gave it, and its time in seconds from the file's beginning."""

    picture: av.VideoFrame
    time_s: float


class VideoFile:
    """The pictures of a file's first video stream, from its beginning or from a keyframe further on.

    Raises MissingFile, UnreadableVideo.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.container = open_video_file(path)
        try:
            self.stream = picture_stream(self.container, path)
        except BaseException:
            self.close()
            raise
        self.stream.thread_type = "AUTO"
        self._origin_s = origin_s(self.container)

    @property
    def rate(self) -> Fraction | None:
        """Frames a second, on average."""
        return self.stream.average_rate or self.stream.guessed_rate or self.stream.base_rate or None

    @property
    def tick_s(self) -> float:
        """The step of the file's clock."""
        return float(self.stream.time_base or 0)

    @property
    def duration_s(self) -> float | None:
        if self.stream.duration is not None and self.stream.time_base is not None:
            return float(self.stream.duration * self.stream.time_base)
        return None if self.container.duration is None else self.container.duration / av.time_base

    def seek(self, time_s: float) -> bool:
        """Go to a keyframe that is probably before `time_s`; False where the file cannot be searched."""
        try:
            self.container.seek(int((time_s + self._origin_s) * av.time_base), backward=True)
        except av.FFmpegError:
            return False
        return True

    def decode(self) -> Iterator[Decoded]:
        """Whole pictures in order of time.

        What is broken before the first of them is left out: a recording may begin between two keyframes. What is
        broken after it, or missing at the file's end, ends the stream with SourceFailed.
        """
        count, latest_s = 0, 0.0
        for picture in self._pictures():
            if picture is not None and not picture.is_corrupt:
                latest_s = self._time_s(picture, count)
                count += 1
                yield Decoded(picture, latest_s)
            elif count:
                raise SourceFailed(f"{self.path} is damaged after {latest_s:.2f} s; get a whole copy, or end there")
        if count and (missing := missing_bytes(self.path)):
            raise SourceFailed(
                f"{self.path} breaks off after {latest_s:.2f} s: {missing} bytes are missing at its end; "
                "get a whole copy, or end there"
            )

    def close(self) -> None:
        self.container.close()

    def _pictures(self) -> Iterator[av.VideoFrame | None]:
        """What the decoder gives; None where a packet cannot be read or decoded, after the pictures before it."""
        try:
            for packet in self.container.demux(self.stream):
                if packet.is_corrupt:
                    yield from self._flushed()
                    yield None
                    continue
                try:
                    yield from packet.decode()
                except av.FFmpegError:
                    yield None
        except av.FFmpegError:
            yield from self._flushed()
            yield None

    def _flushed(self) -> list[av.VideoFrame]:
        """The pictures that the decoder still held back."""
        codec = self.stream.codec_context
        try:
            pictures = codec.decode(None)
        except av.FFmpegError:
            pictures = []
        codec.flush_buffers()
        return pictures

    def _time_s(self, picture: av.VideoFrame, count: int) -> float:
        ticks = picture.pts if picture.pts is not None else picture.dts
        if ticks is None or picture.time_base is None:  # a bare H.264 stream
            return float(count / (self.rate or USUAL_RATE))
        return float(ticks * picture.time_base) - self._origin_s


def open_video_file(path: Path) -> InputContainer:
    """Raises MissingFile, UnreadableVideo; the caller closes it."""
    try:
        container = av.open(str(path), "r", metadata_errors="replace")
    except FileNotFoundError as error:
        raise MissingFile(f"{path} does not exist; expected a video file") from error
    except (av.FFmpegError, OSError) as error:
        raise UnreadableVideo(
            f"{path} is no video or a damaged one ({error.strerror}); expected e.g. MP4, MOV, MKV, AVI or TS, whole"
        ) from error
    name = container.format.name
    if name in NOT_VIDEO or name.endswith("_pipe"):
        container.close()
        raise UnreadableVideo(f"{path} is neither an image nor a video (FFmpeg takes it for {name}); expected one")
    return container


def origin_s(container: InputContainer) -> float:
    """What the file's clock shows at its beginning, which counts as 0."""
    start: int | None = container.start_time
    return 0.0 if start is None else start / av.time_base


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first video stream that is not a cover picture; raises UnreadableVideo where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & type(stream.disposition).attached_pic:
            return stream
    what = "sound only" if container.streams.audio else "no pictures"
    raise UnreadableVideo(f"{path} holds {what}; expected a video")
