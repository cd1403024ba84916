"""Video files: right colours, right times, upright; what is refused is refused by name."""

import shlex
from fractions import Fraction
from pathlib import Path
from time import perf_counter_ns

import av
import numpy as np

from edgesr.runtime.errors import InputError, SourceFailed, UnreadableVideo
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.sources.decoding import Decoded, VideoFile
from edgesr.runtime.sources.orientation import UPRIGHT, Orientation, orientation_of
from edgesr.runtime.sources.part import WHOLE, Part
from edgesr.runtime.sources.truncation import missing_bytes
from edgesr.runtime.sources.yuv import BGRFromYUV, settled_tags

__all__ = ["VideoSource", "open_video"]

HDR_TRANSFERS = {16: "PQ, SMPTE ST 2084", 18: "HLG, ARIB STD-B67"}
"""ITU-T H.273 TransferCharacteristics."""

SEEK_MARGIN_S = 1.0  # demuxers seek by decoding time, which runs ahead of what is shown
VARIES = "variable frame rate: every frame keeps its own time"


class VideoSource(Source):
    """The first video stream of a file, frame by frame; `time_s` counts from the file's beginning.

    The first frame is decoded when the source is made: what cannot be used (HDR, interlaced, no video, damaged from
    the start) raises UnreadableVideo there. A file that breaks off gives its frames up to there, then SourceFailed.
    """

    def __init__(self, path: Path, part: Part = WHOLE) -> None:
        self._path, self._part = path, part
        self._file = VideoFile(path)
        self._given = 0
        self._last_s: float | None = None
        try:
            self._first = self._first_wanted()
            self.info = self._describe(self._first.picture)
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        if self._given == self._part.frames:
            return None
        decoded = next(self._decoded, None) if self._given else self._first
        if decoded is None or self._is_past(decoded):
            return None
        picture = decoded.picture
        if self._given:
            self._check(picture, decoded.time_s)
        self._watch_rate(decoded.time_s)
        frame = Frame(self._upright(picture), self._given, perf_counter_ns(), decoded.time_s)
        self._given += 1
        return frame

    def close(self) -> None:
        self._file.close()

    def _first_wanted(self) -> Decoded:
        """The first frame at or after the start: decoded from the keyframe before it, or from the beginning where
        the file cannot be searched."""
        start_s = self._part.start_s
        searched = start_s > SEEK_MARGIN_S and self._file.seek(start_s - SEEK_MARGIN_S)
        self._decoded = self._file.decode()
        first = next(self._decoded, None)
        if searched and (first is None or first.time_s > start_s):
            self._file.close()
            self._file = VideoFile(self._path)
            self._decoded = self._file.decode()
            first = next(self._decoded, None)
        if first is None:
            raise UnreadableVideo(f"{self._path} holds no picture that can be decoded; expected a whole video file")
        while first.time_s < start_s - self._file.tick_s / 2:
            latest_s, first = first.time_s, next(self._decoded, None)
            if first is None:
                raise InputError(f"start is {start_s:g} s; the last frame of {self._path.name} is at {latest_s:.3f} s")
        if self._is_past(first):
            raise InputError(
                f"no frame of {self._path.name} lies between start ({start_s:g} s) and end ({self._part.end_s:g} s); "
                f"the next one is at {first.time_s:.3f} s"
            )
        return first

    def _is_past(self, decoded: Decoded) -> bool:
        return self._part.end_s is not None and decoded.time_s >= self._part.end_s - self._file.tick_s / 2

    def _describe(self, picture: av.VideoFrame) -> StreamInfo:
        """Refuse what cannot be used, prepare the conversion, and tell."""
        self._refuse(picture)
        tags, notes = settled_tags(picture, self._path.name)
        self._layout = _layout(picture)
        self._convert = BGRFromYUV(picture, tags, self._file.stream.codec_context.name)
        self._orientation = orientation_of(picture, self._path.name)
        aspect = self._file.stream.codec_context.sample_aspect_ratio or Fraction(1)
        width, height = picture.width, picture.height
        if self._orientation.transposed:
            width, height, aspect = height, width, 1 / aspect
        self._turned = None if self._orientation == UPRIGHT else np.empty((height, width, 3), np.uint8)
        return StreamInfo(
            title=self._path.name,
            width=width,
            height=height,
            frame_rate=self._file.rate,
            frame_count=self._expected_count(),
            pixel_aspect=aspect,
            colour=tags,
            path=self._path,
            origin=self._path,
            start_s=self._part.start_s,
            end_s=self._part.end_s,
            notes=notes + _changes(picture, self._orientation, aspect) + self._file_notes(),
        )

    def _upright(self, picture: av.VideoFrame) -> Pixels:
        """As shown; one array is used again and again."""
        pixels = self._convert(picture)
        if self._turned is None:
            return pixels
        np.copyto(self._turned, self._orientation(pixels))
        return self._turned

    def _file_notes(self) -> list[str]:
        notes = []
        if len(self._file.container.streams.video) > 1:
            notes.append("more than one video stream: the first is read")
        if missing := missing_bytes(self._path):
            notes.append(f"{missing} bytes are missing at the end of the file")
        return notes

    def _expected_count(self) -> int | None:
        """Frames to come: exact for a whole file that counts them, else reckoned from duration and rate."""
        counted = self._file.stream.frames
        if counted and self._part.start_s == 0 and self._part.end_s is None:
            return self._part.limit(counted)
        duration_s, rate = self._file.duration_s, self._file.rate
        if duration_s is None or rate is None:
            return self._part.frames
        end_s = duration_s if self._part.end_s is None else min(duration_s, self._part.end_s)
        return self._part.limit(max(1, round((end_s - self._first.time_s) * rate)))

    def _check(self, picture: av.VideoFrame, time_s: float) -> None:
        """Raise where a later picture is of another kind than the first."""
        if (layout := _layout(picture)) != self._layout:
            raise SourceFailed(
                f"{self._path} changes from {self._layout} to {layout} at {time_s:.2f} s; expected one kind of "
                "picture: end before it, or convert the file with ffmpeg first"
            )
        self._refuse(picture)

    def _refuse(self, picture: av.VideoFrame) -> None:
        """Raise UnreadableVideo for HDR and interlaced pictures."""
        name = self._path.name
        source, target = shlex.quote(name), shlex.quote(f"{self._path.stem}-converted.mp4")
        if transfer := HDR_TRANSFERS.get(int(picture.color_trc)):
            raise UnreadableVideo(
                f"{name} is HDR ({transfer}); expected SDR. Convert it first: ffmpeg -i {source} -vf "
                f"zscale=t=linear:npl=100,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709:r=tv,format=yuv420p {target}"
            )
        if picture.interlaced_frame:
            raise UnreadableVideo(
                f"{name} is interlaced (two fields woven into a frame); expected progressive video. "
                f"Convert it first: ffmpeg -i {source} -vf bwdif {target}"
            )

    def _watch_rate(self, time_s: float) -> None:
        """Note once that the frame rate varies: a step that differs from 1/rate by more than rounding."""
        if self._file.rate and self._last_s is not None and VARIES not in self.info.notes:
            usual_s = float(1 / self._file.rate)
            if abs(time_s - self._last_s - usual_s) > max(2 * self._file.tick_s, 0.1 * usual_s):
                self.info.notes.append(VARIES)
        self._last_s = time_s


def _layout(picture: av.VideoFrame) -> str:
    return f"{picture.width}x{picture.height} {picture.format.name}"


def _changes(picture: av.VideoFrame, orientation: Orientation, aspect: Fraction) -> list[str]:
    """What becomes of a picture on its way to 8-bit BGR, in words."""
    notes = []
    if orientation != UPRIGHT:
        notes.append(orientation.words)
    if (bits := max(component.bits for component in picture.format.components)) > 8:
        notes.append(f"{bits} bits a sample: rounded to 8")
    if any(component.is_alpha for component in picture.format.components):
        notes.append("transparency dropped")
    if aspect != 1:
        notes.append(f"pixels are {aspect.numerator}:{aspect.denominator}, not square: kept as they are")
    return notes


def open_video(target: str, part: Part) -> Source:
    return VideoSource(Path(target), part)
