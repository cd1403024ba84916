"""The contract of a source: something that yields frames."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType

from edgesr.runtime.frame import Frame

__all__ = ["ColourTags", "Source", "StreamInfo"]


@dataclass(frozen=True)
class ColourTags:
    """How a video's YUV is meant, in FFmpeg's numbers (ITU-T H.273); 2 is "unspecified"."""

    matrix: int = 2
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """What is known of a stream before its first frame.

    width, height: of every frame; None where they differ from frame to frame (a folder).
    frame_rate: frames a second; None for images.
    frame_count: None where it cannot be known (a camera).
    pixel_aspect: width of a pixel by its height, as the file says; not 1 for anamorphic video.
    colour: None where frames were never YUV.
    path: the file or folder that frames are read from, which no sink may overwrite; None otherwise.
    origin: the video file that a video sink may take the sound from; None otherwise.
    start_s, end_s: the part of `origin` that is read; end_s None: to its end.
    live: frames come by the clock, whether they are taken or not: a camera, a network stream, a pattern told to.
    notes: what the source had to change or assume, in words for the user.
    """

    title: str
    width: int | None = None
    height: int | None = None
    frame_rate: Fraction | None = None
    frame_count: int | None = None
    pixel_aspect: Fraction = Fraction(1)
    colour: ColourTags | None = None
    path: Path | None = None
    origin: Path | None = None
    start_s: float = 0.0
    end_s: float | None = None
    live: bool = False
    notes: list[str] = field(default_factory=list)


class Source(ABC):
    """Yields `Frame`s in order. Whoever opens it closes it; a context manager does so.

    `info` may gain notes while frames are read (a folder's third image is 16-bit, say).

    drops: frames that never became pictures, by reason ("corrupt", ...), as counted so far; a live source skips them.
    events: called with a line about what happens to a live source (lost, back again), from the thread that reads.
    """

    info: StreamInfo
    drops: Mapping[str, int] = MappingProxyType({})
    events: Callable[[str], None] = staticmethod(lambda _line: None)

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, or None at the end. Raises InputError for a broken file, SourceFailed for a
        stream that breaks off. The frame's pixels stay valid until the next call."""

    def interrupt(self) -> None:  # noqa: B027 - most sources never wait
        """Make a `read` that waits in another thread return None soon, and every later one. From any thread."""

    def close(self) -> None:  # noqa: B027 - not every source holds something
        """Let go of files and devices; a second call does nothing."""

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.read()) is not None:
            yield frame

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
