"""TensorRT's timing cache on disk, one file for each GPU and TensorRT: kernels timed once are not timed again.

A file is a line that says whose it is, the SHA-256 of what follows, and TensorRT's bytes. Builders may run side by
side: the last one's file stays, and no reader sees half of one.
"""

import hashlib
import os
import re
from pathlib import Path

from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.files import replaced

__all__ = ["cache_path", "read_cache", "write_cache"]

TITLE = b"edgesr timing cache "
MAGIC = TITLE + b"1\n"
DIGEST_BYTES = hashlib.sha256().digest_size


def cache_path(gpu: str, compute_capability: str, tensorrt: str, folder: Path | None = None) -> Path:
    """Where the cache of this GPU and TensorRT lies. `folder`: instead of the user's, `~/.cache/edgesr/timing`.

    Raises OutputFailed where the user has no home.
    """
    parts = [re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.")[:60] for part in (gpu, compute_capability, tensorrt)]
    return (folder or _user_folder()) / ("_".join(part or "unknown" for part in parts) + ".timing")


def read_cache(path: Path) -> tuple[bytes, str]:
    """TensorRT's bytes and `hit`; without bytes, `new` or `new: ` and why what is there cannot be used."""
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return b"", "new"
    except OSError as error:
        return b"", f"new: {path} cannot be read ({error.strerror})"
    if not stored.startswith(MAGIC):
        return b"", f"new: {path} is no timing cache of this edgesr"
    digest, data = stored[len(MAGIC) :][:DIGEST_BYTES], stored[len(MAGIC) + DIGEST_BYTES :]
    if hashlib.sha256(data).digest() != digest:
        return b"", f"new: {path} was damaged (its checksum is wrong)"
    return data, "hit" if data else "new"


def write_cache(path: Path, data: bytes) -> None:
    """Put it in place of what is there, whole or not at all. Raises OutputFailed, which need not fail a build.

    A file that is no timing cache is left alone: it was named by mistake.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not _is_ours(path):
            raise OutputFailed(f"{path} is no timing cache of edgesr and stays as it is; name another file")
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror}") from error
    with replaced(path) as beside:
        beside.write_bytes(MAGIC + hashlib.sha256(data).digest() + data)


def _is_ours(path: Path) -> bool:
    """Of whatever version, and were it cut off within its title or empty."""
    with path.open("rb") as file:
        start = file.read(len(TITLE))
    return TITLE.startswith(start)


def _user_folder() -> Path:
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not named.is_absolute():  # the standard says to ignore what is not
        try:
            named = Path.home() / ".cache"
        except RuntimeError as error:
            raise OutputFailed("there is no home folder for the timing cache; set XDG_CACHE_HOME") from error
    return named / "edgesr" / "timing"
