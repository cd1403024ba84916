"""Sources: where frames come from. A new kind is a file here, one line in SOURCES and its mark in `_kind_of`."""

import re
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.images import IMAGE_SUFFIXES
from edgesr.runtime.sources.base import ColourTags, Source, StreamInfo
from edgesr.runtime.sources.part import Part

__all__ = ["SOURCES", "ColourTags", "Part", "Source", "StreamInfo", "open_source"]

SOURCES = {
    "image": "edgesr.runtime.sources.image:open_image",
    "folder": "edgesr.runtime.sources.folder:open_folder",
    "video": "edgesr.runtime.sources.video:open_video",
    "pattern": "edgesr.runtime.sources.pattern:open_pattern",
}
"""Kind -> the function (target, part) -> Source, loaded when asked for."""

SCHEMES = ("pattern",)


def open_source(uri: str, *, start_s: float = 0.0, end_s: float | None = None, frames: int | None = None) -> Source:
    """Open `photo.png`, `folder/`, `clip.mp4` or `pattern:photo?size=128x96`; close it when done.

    start_s, end_s: seconds from the beginning; a video starts exactly at the first frame at or after start_s.
    frames: read at most that many.
    Raises InputError (MissingFile, UnreadableImage, UnreadableVideo, ...) before any frame is asked for.
    """
    part = Part(start_s, end_s, frames)
    kind, target = _kind_of(uri)
    opener: Callable[[str, Part], Source] = resolve_name(SOURCES[kind])
    return opener(target, part)


def _kind_of(uri: str) -> tuple[str, str]:
    """The kind in SOURCES, and what its function is to open."""
    path = Path(uri)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri)
    if scheme and not path.exists():
        if scheme[1] not in SCHEMES:
            raise InputError(
                f"{uri}: {scheme[1]}: is no known source; expected an image, a folder, a video file or pattern:"
            )
        return scheme[1], uri[scheme.end() :]
    if not uri or not path.exists():
        raise MissingFile(f"{uri or 'an empty name'} does not exist; expected an image, a folder, a video or pattern:")
    if path.is_dir():
        return "folder", uri
    return ("image" if path.suffix.lower() in IMAGE_SUFFIXES else "video"), uri
