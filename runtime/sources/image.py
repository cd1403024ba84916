"""One image file as a stream of one frame."""

from pathlib import Path
from time import perf_counter_ns

from edgesr.runtime.frame import Frame
from edgesr.runtime.images import read_image
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.sources.part import WHOLE, Part

__all__ = ["ImageSource", "open_image"]


class ImageSource(Source):
    """Reads the image when it is made, so that a bad one is refused before anything else starts."""

    def __init__(self, path: Path, part: Part = WHOLE) -> None:
        part.refuse_times(str(path))
        self._pixels, notes = read_image(path)
        self._name = path.stem
        self._done = False
        height, width = self._pixels.shape[:2]
        self.info = StreamInfo(title=path.name, width=width, height=height, frame_count=1, path=path, notes=notes)

    def read(self) -> Frame | None:
        if self._done:
            return None
        self._done = True
        return Frame(self._pixels, 0, perf_counter_ns(), name=self._name)


def open_image(target: str, part: Part) -> Source:
    return ImageSource(Path(target), part)
