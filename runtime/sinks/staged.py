"""A file that is being written: under a temporary name beside its own until it is kept, or growing under its own."""

from contextlib import ExitStack, suppress
from pathlib import Path

from edgesr.runtime.files import replaced

__all__ = ["GrowingFile", "StagedFile"]


class _Dropped(Exception):
    """Thrown into `replaced` to make it clean up; never leaves this module."""


class StagedFile:
    """`edgesr.runtime.files.replaced` for those who cannot write inside one `with` block.

    path: where to write, beside the file's own name.
    """

    def __init__(self, path: Path) -> None:
        self._stack = ExitStack()
        self.path = self._stack.enter_context(replaced(path))

    def keep(self) -> None:
        """The file takes its name. Raises OutputFailed; then, as after `drop`, nothing is left."""
        self._stack.close()

    def drop(self) -> None:
        """The temporary file goes; after `keep` this does nothing."""
        dropped = _Dropped()
        with suppress(_Dropped):
            self._stack.__exit__(_Dropped, dropped, None)


class GrowingFile:
    """The same for a recording whose end nobody knows: it has its own name from the beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self) -> None:
        """It is there already."""

    def drop(self) -> None:
        """For a recording that never began: an older file under its name stays, an empty one goes."""
        if self.path.exists() and not self.path.stat().st_size:
            self.path.unlink()
