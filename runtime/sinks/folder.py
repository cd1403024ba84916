"""Every frame into a PNG of its own."""

import os
from pathlib import Path

from edgesr.runtime.errors import InputError, OutputExists, OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.images import opencv, write_image
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["FolderSink", "open_folder"]

DIGITS = 6


class FolderSink(Sink):
    """Files are named after `Frame.name`, or `000000.png` by index. Each appears whole or not at all.

    `discard` removes the files this sink wrote, and the folder where it made it; what --force overwrote is gone.
    """

    def __init__(self, folder: Path, *, force: bool = False) -> None:
        opencv()
        self.title, self.notes = f"{folder}/", []
        self._folder = folder
        self._written: list[Path] = []
        self._closed = False
        self._made = self._prepare(force)

    def _prepare(self, force: bool) -> bool:
        """True where the folder was made."""
        folder = self._folder
        if folder.exists() and not folder.is_dir():
            raise OutputExists(f"{folder} is a file; expected a folder, or a name ending in .png, .mp4, ...")
        if folder.is_dir():
            if any(folder.iterdir()) and not force:
                raise OutputExists(f"{folder} is not empty; choose another folder or add --force")
            if not os.access(folder, os.W_OK):
                raise OutputFailed(f"{folder} is not writable; choose another place")
            return False
        try:
            folder.mkdir()
        except OSError as error:
            raise OutputFailed(f"the folder {folder} cannot be made: {error.strerror}") from error
        return True

    def write(self, frame: Frame) -> None:
        file = self._folder / f"{frame.name or f'{frame.index:0{DIGITS}}'}.png"
        if file in self._written:
            raise InputError(f"two frames are called {file.stem}; expected names that differ")
        write_image(file, frame.pixels)
        self._written.append(file)

    def close(self) -> None:
        self._closed = True

    def discard(self) -> None:
        if self._closed:
            return
        self._closed = True
        for file in self._written:
            file.unlink(missing_ok=True)
        if self._made and not any(self._folder.iterdir()):
            self._folder.rmdir()


def open_folder(target: str, info: StreamInfo, force: bool) -> Sink:
    return FolderSink(Path(target), force=force)
