"""GStreamer's own library, by ctypes: its functions with their signatures, and which elements there are.

GStreamer 1.16 (JetPack 5) and later. No OpenCV that was built with it is needed, which no wheel of OpenCV is.
"""

import ctypes
import locale
from ctypes import POINTER, byref, c_char_p, c_int, c_uint64, c_void_p
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from edgesr.runtime.errors import MissingDependency
from edgesr.runtime.sources.uri import redacted

__all__ = ["PACKAGES", "ErrorPointer", "has_element", "is_installed", "library", "package_of", "taken_message"]

INSTALL = (
    "apt install libgstreamer1.0-0 libgstreamer-plugins-base1.0-0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
)

PACKAGES = {
    "nvidia-l4t-gstreamer": ("nv",),
    "gstreamer1.0-libav": ("avdec_", "avenc_", "avdemux_", "avmux_"),
    "gstreamer1.0-plugins-ugly": ("x264enc",),
    "gstreamer1.0-plugins-bad": (
        "h264parse",
        "h265parse",
        "x265enc",
        "mpegtsmux",
        "tsdemux",
        "openh264",
        "hlssink",
        "srt",
    ),
    "gstreamer1.0-rtsp": ("rtspclientsink",),
    "gstreamer1.0-plugins-base": ("video", "app", "uridecodebin", "decodebin", "playbin", "audio"),
}
"""Debian's package -> how the names of its elements begin; what is not here is most likely in plugins-good."""


class GError(ctypes.Structure):
    """What GLib tells of a failure."""

    _fields_ = (("domain", ctypes.c_uint32), ("code", c_int), ("message", c_char_p))


ErrorPointer = POINTER(GError)

SIGNATURES = {
    "gst_init_check": (c_int, (c_void_p, c_void_p, POINTER(ErrorPointer))),
    "gst_element_factory_find": (c_void_p, (c_char_p,)),
    "gst_parse_launch": (c_void_p, (c_char_p, POINTER(ErrorPointer))),
    "gst_object_unref": (None, (c_void_p,)),
    "gst_mini_object_unref": (None, (c_void_p,)),
    "gst_bin_get_by_name": (c_void_p, (c_void_p, c_char_p)),
    "gst_element_set_state": (c_int, (c_void_p, c_int)),
    "gst_element_get_bus": (c_void_p, (c_void_p,)),
    "gst_element_get_clock": (c_void_p, (c_void_p,)),
    "gst_element_get_base_time": (c_uint64, (c_void_p,)),
    "gst_element_get_static_pad": (c_void_p, (c_void_p, c_char_p)),
    "gst_pad_peer_query": (c_int, (c_void_p, c_void_p)),
    "gst_query_new_latency": (c_void_p, ()),
    "gst_query_parse_latency": (None, (c_void_p, POINTER(c_int), POINTER(c_uint64), POINTER(c_uint64))),
    "gst_clock_get_time": (c_uint64, (c_void_p,)),
    "gst_bus_timed_pop_filtered": (c_void_p, (c_void_p, c_uint64, c_int)),
    "gst_message_get_structure": (c_void_p, (c_void_p,)),
    "gst_message_parse_error": (None, (c_void_p, POINTER(ErrorPointer), POINTER(c_void_p))),
    "gst_sample_get_buffer": (c_void_p, (c_void_p,)),
    "gst_sample_get_caps": (c_void_p, (c_void_p,)),
    "gst_sample_get_segment": (c_void_p, (c_void_p,)),
    "gst_segment_to_running_time": (c_uint64, (c_void_p, c_int, c_uint64)),
    "gst_caps_get_structure": (c_void_p, (c_void_p, ctypes.c_uint)),
    "gst_structure_get_string": (c_char_p, (c_void_p, c_char_p)),
    "gst_structure_get_int": (c_int, (c_void_p, c_char_p, POINTER(c_int))),
    "gst_structure_get_fraction": (c_int, (c_void_p, c_char_p, POINTER(c_int), POINTER(c_int))),
    "gst_buffer_get_flags": (c_int, (c_void_p,)),
    "gst_buffer_get_size": (ctypes.c_size_t, (c_void_p,)),
    "gst_buffer_extract": (ctypes.c_size_t, (c_void_p, ctypes.c_size_t, c_void_p, ctypes.c_size_t)),
    "gst_buffer_new_allocate": (c_void_p, (c_void_p, ctypes.c_size_t, c_void_p)),
    "gst_buffer_fill": (ctypes.c_size_t, (c_void_p, ctypes.c_size_t, c_void_p, ctypes.c_size_t)),
}
APP_SIGNATURES = {
    "gst_app_sink_try_pull_sample": (c_void_p, (c_void_p, c_uint64)),
    "gst_app_sink_is_eos": (c_int, (c_void_p,)),
    "gst_app_src_push_buffer": (c_int, (c_void_p, c_void_p)),
    "gst_app_src_get_current_level_bytes": (c_uint64, (c_void_p,)),
    "gst_app_src_end_of_stream": (c_int, (c_void_p,)),
}
GLIB_SIGNATURES = {"g_error_free": (None, (ErrorPointer,)), "g_free": (None, (c_void_p,))}
LIBRARIES: dict[str, dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "libglib-2.0.so.0": GLIB_SIGNATURES,
    "libgstreamer-1.0.so.0": SIGNATURES,
    "libgstapp-1.0.so.0": APP_SIGNATURES,
}


@lru_cache(maxsize=1)
def library() -> Any:
    """Its functions by name, loaded and initialised once; other threads run while one of them waits. Raises MissingDependency."""
    functions = SimpleNamespace()
    try:
        for file, signatures in LIBRARIES.items():
            opened = ctypes.CDLL(file)
            for name, (result, arguments) in signatures.items():
                function = getattr(opened, name)
                function.restype, function.argtypes = result, arguments
                setattr(functions, name, function)
    except (OSError, AttributeError) as error:
        raise MissingDependency(
            f"this needs GStreamer 1.16 or later, which is not here ({error}): {INSTALL}"
        ) from error
    problem = ErrorPointer()
    if not functions.gst_init_check(None, None, byref(problem)):
        raise MissingDependency(f"GStreamer does not start: {taken_message(functions, problem)}")
    # GStreamer took the user's locale; FFmpeg would then misread 0.5 where 0,5 is usual.
    locale.setlocale(locale.LC_NUMERIC, "C")
    return functions


def is_installed() -> bool:
    try:
        library()
    except MissingDependency:
        return False
    return True


@lru_cache(maxsize=256)
def has_element(name: str) -> bool:
    """Does GStreamer know an element of that name? False where there is no GStreamer at all."""
    if not is_installed():
        return False
    functions = library()
    factory = functions.gst_element_factory_find(name.encode())
    if factory:
        functions.gst_object_unref(factory)
    return bool(factory)


def package_of(element: str) -> str:
    """The Debian package that most likely holds an element."""
    found = (package for package, starts in PACKAGES.items() if element.startswith(starts))
    return next(found, "gstreamer1.0-plugins-good")


def taken_message(functions: Any, problem: "ctypes._Pointer[GError]") -> str:
    """What a GError says. Lets go of it."""
    if not problem:
        return "no reason is given"
    said: str = problem.contents.message.decode(errors="replace")
    functions.g_error_free(problem)
    return redacted(said)
