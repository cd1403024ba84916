"""The images of a folder, sorted by name; they may differ in size."""

from collections import Counter
from pathlib import Path
from time import perf_counter_ns

from edgesr.runtime.frame import Frame
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.sources.part import WHOLE, Part

__all__ = ["FolderSource", "open_folder"]


class FolderSource(Source):
    """Frames are named after their files; where `a.png` and `a.jpg` stand side by side, with their suffix.

    What had to be changed is noted once, with the first file and how many followed.
    """

    def __init__(self, folder: Path, part: Part = WHOLE) -> None:
        part.refuse_times(str(folder))
        files = image_files(folder)
        self._files = files[: part.limit(len(files))]
        self._stems = Counter(file.stem for file in self._files)
        self._changes: dict[str, list[str]] = {}
        self._index = 0
        self.info = StreamInfo(title=folder.name or str(folder), frame_count=len(self._files), path=folder)

    def read(self) -> Frame | None:
        if self._index == len(self._files):
            return None
        file = self._files[self._index]
        pixels, changes = read_image(file)
        for change in changes:
            self._note(change, file.name)
        name = file.stem if self._stems[file.stem] == 1 else file.name
        frame = Frame(pixels, self._index, perf_counter_ns(), name=name)
        self._index += 1
        return frame

    def _note(self, change: str, name: str) -> None:
        names = self._changes.setdefault(change, [])
        names.append(name)
        self.info.notes[:] = [
            f"{files[0]}{f' and {len(files) - 1} more' if files[1:] else ''}: {what}"
            for what, files in self._changes.items()
        ]


def open_folder(target: str, part: Part) -> Source:
    return FolderSource(Path(target), part)
