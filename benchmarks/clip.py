"""The video that whole frames are read from: made once a run, by our own sink, read by our own source."""

from pathlib import Path

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import Source, open_source

__all__ = ["CLIP_FRAMES", "RepeatedClip", "make_clip"]

CLIP_FRAMES = 24


def make_clip(folder: Path, width: int, height: int) -> Path:
    """Write CLIP_FRAMES of `pattern:natural`, width x height, as H.264 (yuv420p) into `folder`.

    Raises InputError for an odd size, which 4:2:0 has not, and FrameTooLarge.
    """
    if width % 2 or height % 2:
        raise InputError(
            f"--size {width}x{height}: frames are read from H.264, whose sizes are even; "
            f"choose {width + width % 2}x{height + height % 2}"
        )
    path = folder / f"natural_{width}x{height}.mp4"
    # scale=1: there is no truth to compare with here, and four times the size would have to be made and shrunk
    with (
        open_source(f"pattern:natural?size={width}x{height}&frames={CLIP_FRAMES}&scale=1") as source,
        open_sink(str(path), source.info) as sink,
    ):
        for frame in source:
            sink.write(frame)
    return path


class RepeatedClip(Source):
    """The frames of a clip from its second on, again and again, so that a loop can be timed for as long as it takes.

    The first frame is left out, because it is decoded when the file is opened, and reading it would look cheap. The
    file is opened anew only in `make_ready`, which is called outside the clocks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def make_ready(self, frames: int) -> None:
        """See to it that the next `frames` reads reach no end of the file; at most CLIP_FRAMES - 1."""
        if frames > CLIP_FRAMES - 1:
            raise InputError(f"{frames} frames asked for at once; the clip gives {CLIP_FRAMES - 1}")
        if self._left < frames:
            self.close()
            self._open()

    def read(self) -> Frame | None:
        self._left -= 1
        return self._source.read()

    def close(self) -> None:
        self._source.close()

    def _open(self) -> None:
        self._source = open_source(str(self._path))
        self.info = self._source.info
        self._source.read()
        self._left = CLIP_FRAMES - 1
