"""Sinks: where frames go. A new kind is a file here, one line in SINKS and its mark in `_kind_of`."""

import re
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

from edgesr.runtime.errors import InputError
from edgesr.runtime.images import IMAGE_SUFFIXES
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import StreamInfo
from edgesr.runtime.sources.uri import redacted

__all__ = ["SINKS", "VIDEO_SUFFIXES", "Sink", "open_sink"]

SINKS = {
    "image": "edgesr.runtime.sinks.image:open_image",
    "folder": "edgesr.runtime.sinks.folder:open_folder",
    "video": "edgesr.runtime.sinks.video:open_video",
    "rtsp": "edgesr.runtime.sinks.rtsp.sink:open_rtsp",
    "udp": "edgesr.runtime.sinks.udp:open_udp",
    "gst": "edgesr.runtime.sinks.gstreamer:open_gst",
    "http": "edgesr.runtime.sinks.web:open_web",
    "window": "edgesr.runtime.sinks.window:open_window",
    "null": "edgesr.runtime.sinks.null:open_null",
}
"""Kind -> the function (target, info, force) -> Sink, loaded when asked for."""

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov")
SCHEMES = ("rtsp", "udp", "gst", "http", "window", "null")


def open_sink(uri: str, info: StreamInfo, *, force: bool = False) -> Sink:
    """Open `out.png`, `folder/`, `out.mp4`, `rtsp://:8554/sr`, `window:` or `null:` for the stream that `info` tells of.

    Everything that can be refused without a frame is refused here: an output that exists (unless `force`), one that
    is the input, sound that the file cannot hold. The size is taken from the first frame, not from `info`.
    Raises InputError, OutputExists, OutputFailed, MissingDependency.
    """
    kind, target = _kind_of(uri)
    if kind not in SCHEMES and info.path is not None and _would_overwrite(Path(target), info.path):
        raise InputError(f"{uri} is the input, or would overwrite it; choose another name for the output")
    opener: Callable[[str, StreamInfo, bool], Sink] = resolve_name(SINKS[kind])
    return opener(target, info, force)


def _would_overwrite(target: Path, origin: Path) -> bool:
    """Is `target` the origin, or a folder in which the origin has the name that its own frame would get?"""
    return any(path.exists() and path.samefile(origin) for path in (target, target / f"{origin.stem}.png"))


def _kind_of(uri: str) -> tuple[str, str]:
    """The kind in SINKS, and what its function is to open."""
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri):
        if scheme[1] not in SCHEMES:
            raise InputError(f"{redacted(uri)}: {scheme[1]}: is no known sink; expected {_EXPECTED}")
        return scheme[1], uri[scheme.end() :]
    path = Path(uri)
    suffix = path.suffix.lower()
    if not uri:
        raise InputError(f"an empty name is no sink; expected {_EXPECTED}")
    if uri.endswith("/") or path.is_dir() or not suffix:
        return "folder", uri
    if suffix in IMAGE_SUFFIXES:
        return "image", uri
    if suffix in VIDEO_SUFFIXES:
        return "video", uri
    raise InputError(f"{uri}: {suffix} cannot be written; expected {_EXPECTED}")


_EXPECTED = (
    f"an image ({', '.join(IMAGE_SUFFIXES)}), a video ({', '.join(VIDEO_SUFFIXES)}), a folder, "
    f"{', '.join(f'{scheme}:' for scheme in SCHEMES[:-1])} or {SCHEMES[-1]}:"
)
