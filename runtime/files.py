"""Files appear whole under their name or not at all: write beside, then rename."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgesr.runtime.errors import OutputExists, OutputFailed

__all__ = ["check_output", "replaced"]


def check_output(path: Path, *, force: bool) -> None:
    """Raise before any work is done where `path` cannot become a file: it exists, or its folder is missing."""
    if path.is_dir():
        raise OutputExists(f"{path} is a folder; expected the name of a file to write")
    if path.exists() and not force:
        raise OutputExists(f"{path} exists already; choose another name or add --force")
    if not path.parent.is_dir():
        raise OutputFailed(f"{path.parent} is no folder; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputFailed(f"{path.parent} is not writable; choose another place")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffix; it takes the name when the block ends well.

    On any error, Ctrl-C included, the temporary file goes and an older `path` stays as it was.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror}") from error
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)  # mkstemp's 0600 is for secrets
        beside.replace(path)
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
