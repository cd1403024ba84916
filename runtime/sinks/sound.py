"""The sound of a video file, copied packet by packet into another: nothing is encoded anew, so nothing is lost."""

import io
import shlex
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from edgesr.runtime.errors import InputError, SourceFailed
from edgesr.runtime.sources.decoding import open_video_file, origin_s, picture_stream

__all__ = ["Sound"]

if TYPE_CHECKING:
    SoundPacket: TypeAlias = Packet[AudioStream]
else:  # only PyAV's stubs know that a packet belongs to a kind of stream
    SoundPacket = Packet

FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
SEEK_MARGIN_S = 1.0


class Sound:
    """All sound streams of the video file `origin` on their way into `output`, whose suffix is given.

    Raises InputError where that kind of file cannot hold one of them.
    """

    def __init__(self, origin: Path, output: OutputContainer, suffix: str) -> None:
        self._origin, self._output = origin, output
        self._container = open_video_file(origin)
        self._origin_s = origin_s(self._container)
        self._zero_s = 0.0
        self._held: SoundPacket | None = None
        streams = self._container.streams.audio
        try:
            _refuse_unholdable(origin, streams, suffix)
            self._targets = {stream.index: output.add_stream_from_template(stream) for stream in streams}
        except BaseException:
            self.close()
            raise
        for stream in streams:
            self._targets[stream.index].metadata.update(stream.metadata)
        self._packets: Iterator[SoundPacket] = self._container.demux(tuple(streams)) if streams else iter(())

    @property
    def left_behind(self) -> list[str]:
        """What else the origin holds and is not carried over, in words."""
        streams = self._container.streams
        kinds = {"subtitles": streams.subtitles, "data": streams.data, "attachments": streams.attachments}
        return [name for name, found in kinds.items() if found]

    def start(self, zero_s: float) -> None:
        """Leave out what begins before `zero_s` of the origin, which becomes 0."""
        self._zero_s = zero_s
        if zero_s > SEEK_MARGIN_S:
            self._seek(self._container, zero_s - SEEK_MARGIN_S)

    def copy_until(self, end_s: float) -> None:
        """Write the packets that begin before `end_s` of the origin. Raises SourceFailed for damaged sound."""
        while packet := self._held or self._next():
            self._held = packet
            if self._time_s(packet) >= end_s:
                return
            self._held = None
            self._write(packet)

    def pictures_after(self, time_s: float) -> bool:
        """Has the origin pictures later than `time_s`? Then what was written is a part of it."""
        if not self._targets:
            return False
        with open_video_file(self._origin) as container:
            stream = picture_stream(container, self._origin)
            self._seek(container, time_s)
            for packet in container.demux(stream):
                if packet.pts is not None and float(packet.pts * packet.time_base) - self._origin_s > time_s:
                    return True
        return False

    def close(self) -> None:
        self._container.close()

    def _seek(self, container: InputContainer, time_s: float) -> None:
        """Go to somewhere before `time_s`; a file that cannot be searched is read from its beginning."""
        with suppress(av.FFmpegError):
            container.seek(int((time_s + self._origin_s) * av.time_base), backward=True)

    def _next(self) -> SoundPacket | None:
        """The next packet that is wanted; None at the end."""
        try:
            for packet in self._packets:
                if packet.is_corrupt:
                    raise SourceFailed(f"the sound of {self._origin} is damaged; convert its sound first")
                if packet.dts is not None and (not self._zero_s or self._time_s(packet) >= self._zero_s):
                    return packet
        except av.FFmpegError as error:
            raise SourceFailed(f"the sound of {self._origin} cannot be read: {error.strerror}") from error
        return None

    def _time_s(self, packet: SoundPacket) -> float:
        ticks = packet.dts if packet.pts is None else packet.pts
        return float((ticks or 0) * packet.time_base) - self._origin_s

    def _write(self, packet: SoundPacket) -> None:
        shift = round(Fraction(self._origin_s + self._zero_s) / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = self._targets[packet.stream.index]
        self._output.mux_one(packet)


def _refuse_unholdable(origin: Path, streams: tuple[AudioStream, ...], suffix: str) -> None:
    for stream in streams:
        able = [other for other in FORMATS if _can_hold(FORMATS[other], stream)]
        if suffix not in able:
            converted = shlex.quote(f"{origin.stem}-aac.mkv")
            way = f"write a {' or '.join(able)}" if able else "convert its sound first"
            raise InputError(
                f"{suffix} cannot hold the sound of {origin.name} ({stream.codec_context.name}): {way}, "
                f"or ffmpeg -i {shlex.quote(origin.name)} -c:v copy -c:a aac {converted}"
            )


def _can_hold(container_format: str, stream: AudioStream) -> bool:
    """Try it in memory: FFmpeg's own lists of codecs for each container are incomplete."""
    output = av.open(io.BytesIO(), "w", format=container_format)
    try:
        output.add_stream_from_template(stream)
        output.start_encoding()
    except (ValueError, av.FFmpegError):  # ValueError: PyAV's own check
        return False
    finally:
        output.close()
    return True
