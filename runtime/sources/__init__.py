"""Sources: where frames come from. A new kind is a file here, one line in SOURCES and its mark in `_kind_of`."""

import re
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.images import IMAGE_SUFFIXES
from edgesr.runtime.sources.base import ColourTags, Source, StreamInfo
from edgesr.runtime.sources.part import Part
from edgesr.runtime.sources.reconnecting import RECONNECTION, Reconnecting, Reconnection
from edgesr.runtime.sources.uri import redacted

__all__ = ["LIVE", "SOURCES", "ColourTags", "Part", "Reconnection", "Source", "StreamInfo", "open_source", "redacted"]

SOURCES = {
    "image": "edgesr.runtime.sources.image:open_image",
    "folder": "edgesr.runtime.sources.folder:open_folder",
    "video": "edgesr.runtime.sources.video:open_video",
    "pattern": "edgesr.runtime.sources.pattern:open_pattern",
    "camera": "edgesr.runtime.sources.camera:open_camera",
    "csi": "edgesr.runtime.sources.gstreamer:open_csi",
    "gst": "edgesr.runtime.sources.gstreamer:open_gst",
    "network": "edgesr.runtime.sources.network:open_network",
}
"""Kind -> the function (target, part) -> Source, loaded when asked for."""

SCHEMES = {
    **{scheme: scheme for scheme in ("pattern", "camera", "csi", "gst")},
    **dict.fromkeys(("rtsp", "rtsps", "http", "https", "udp"), "network"),
}
"""Scheme of a URI -> its kind."""

LIVE = ("camera", "csi", "gst", "network")
"""Kinds that may be lost and come back."""


def open_source(
    uri: str,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    frames: int | None = None,
    reconnection: Reconnection = RECONNECTION,
) -> Source:
    """Open `photo.png`, `folder/`, `clip.mp4`, `pattern:photo?size=128x96`, `camera:0`, `rtsp://…`; close it when done.

    start_s, end_s: seconds from the beginning; a video starts exactly at the first frame at or after start_s.
    frames: read at most that many.
    reconnection: what to do when a camera or a stream is lost.
    Raises InputError (MissingFile, UnreadableImage, UnreadableVideo, ...) before any frame is asked for.
    """
    part = Part(start_s, end_s, frames)
    kind, target = _kind_of(uri)
    opener: Callable[[str, Part], Source] = resolve_name(SOURCES[kind])
    if kind not in LIVE:
        return opener(target, part)
    part.refuse_times(redacted(uri))
    return Reconnecting(lambda: opener(target, Part()), reconnection, frames=frames)


def _kind_of(uri: str) -> tuple[str, str]:
    """The kind in SOURCES, and what its function is to open: a network's whole URI, else what follows the scheme."""
    path = Path(uri)
    exists = _exists(path)
    if re.match(r"/dev/video\d", uri):
        return "camera", uri
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri)
    if scheme and not exists:
        kind = SCHEMES.get(scheme[1].lower())
        if kind is None:
            raise InputError(f"{redacted(uri)}: {scheme[1]}: is no known source; expected {_EXPECTED}")
        return kind, uri if kind == "network" else uri[scheme.end() :]
    if not uri or not exists:
        raise MissingFile(f"{redacted(uri) or 'an empty name'} does not exist; expected {_EXPECTED}")
    if path.is_dir():
        return "folder", uri
    return ("image" if path.suffix.lower() in IMAGE_SUFFIXES else "video"), uri


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a pipeline is too long for a name
        return False


_EXPECTED = f"an image, a folder, a video file, /dev/video0, or one of {', '.join(f'{name}:' for name in SCHEMES)}"
