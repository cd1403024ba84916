"""One frame into one image file."""

from pathlib import Path

from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output
from edgesr.runtime.frame import Frame
from edgesr.runtime.images import opencv, write_image
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.staged import StagedFile
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["ImageSink", "open_image"]


class ImageSink(Sink):
    """The file appears under its name at `close`. A second frame is an InputError."""

    def __init__(self, path: Path, info: StreamInfo, *, force: bool = False) -> None:
        opencv()
        if info.frame_count is not None and info.frame_count > 1:
            raise InputError(
                f"{path} holds one image, {info.title} has {info.frame_count} frames; "
                f"write to the folder {path.with_suffix('')}/ or read one frame only"
            )
        check_output(path, force=force)
        self.title, self.notes = str(path), []
        self._path = path
        self._staged: StagedFile | None = None

    def write(self, frame: Frame) -> None:
        if self._staged is not None:
            raise InputError(
                f"{self._path} holds one image and there is a second frame; "
                f"write to the folder {self._path.with_suffix('')}/ or read one frame only"
            )
        self._staged = StagedFile(self._path)
        write_image(self._staged.path, frame.pixels)

    def close(self) -> None:
        if self._staged is not None:
            self._staged.keep()

    def discard(self) -> None:
        if self._staged is not None:
            self._staged.drop()


def open_image(target: str, info: StreamInfo, force: bool) -> Sink:
    return ImageSink(Path(target), info, force=force)
