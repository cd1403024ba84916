"""A pipeline of GStreamer's: parsed, run, and frames taken out of it or put into it.

By GStreamer's own library and not by OpenCV, which keeps to itself why a pipeline failed and when a frame was captured, waits
without being interruptible, and takes all YUV for BT.601. Only functions are called, except for one field of GstBuffer, whose
place is fixed by GStreamer's promise of a stable ABI (64-bit: pts at byte 72).
"""

import ctypes
import os
import re
import time
from ctypes import byref, c_int, c_uint64, c_void_p
from dataclasses import dataclass
from fractions import Fraction
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError, MissingDependency, OutputFailed, SourceFailed
from edgesr.runtime.frame import Pixels
from edgesr.runtime.libgstreamer import ErrorPointer, library, package_of, taken_message
from edgesr.runtime.raw_video import RawVideo, padded
from edgesr.runtime.sinks.encoding import Pictures
from edgesr.runtime.sources.base import StreamInfo
from edgesr.runtime.sources.uri import redacted

__all__ = ["Pipeline", "Sample"]

FORMAT_TIME = 3
STATE_NULL, STATE_PLAYING, STATE_CHANGE_FAILURE = 1, 4, 0
MESSAGE_EOS, MESSAGE_ERROR = 1 << 0, 1 << 1
CORRUPTED = 1 << 8  # GST_BUFFER_FLAG_CORRUPTED
INTERLACED = ("interleaved", "fields", "alternate")
NO_TIME = 2**64 - 1
PTS_OFFSET = 72
PUSH_POLL_S = 0.002
SECOND = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Sample:
    """One BGR frame out of a pipeline.

    pixels: uint8 (H, W, 3), in memory that the next `pull` overwrites; rows may be padded.
    corrupt: the decoder says that it had to guess.
    captured_ns: `time.perf_counter_ns()` when it was captured, by its own time stamp where the pipeline is live; else when
    it was taken out. decoded_ns: when it was BGR.
    """

    pixels: Pixels
    captured_ns: int
    decoded_ns: int
    corrupt: bool = False


class Pipeline:
    """A pipeline as gst-launch-1.0 describes it; frames leave by an appsink called "out" or enter by an appsrc called "in".

    title: names it in messages, without credentials. Nothing runs before `play`. `close` may be called from any thread,
    and ends a `pull` or `push` that waits in another one.
    Raises InputError for a description that GStreamer refuses, MissingDependency for an element that is not there.

    ended: no more frames will come out. video: how the last one was laid out; frame_rate, pixel_aspect: as the first told.
    """

    def __init__(self, text: str, title: str) -> None:
        self._gst = library()
        self._title = title
        self._lock = Lock()
        self._closing = self._closed = False
        self._pipeline = self._parse(text)
        self._bus = self._gst.gst_element_get_bus(self._pipeline)
        self._out = self._gst.gst_bin_get_by_name(self._pipeline, b"out")
        self._in = self._gst.gst_bin_get_by_name(self._pipeline, b"in")
        self._clock: int | None = None
        self._memory: NDArray[np.uint8] | None = None
        self._takes_yuv = re.search(r"\bappsrc\b[^!]*format=I420", text) is not None
        self._pictures: Pictures | None = None
        self._entered: tuple[int, int] | None = None  # height and width
        self.ended = False
        self.video: RawVideo | None = None
        self.frame_rate: Fraction | None = None
        self.pixel_aspect = Fraction(1)

    @property
    def is_live(self) -> bool:
        """Do frames come by a clock? Known after the first one."""
        return self._clock is not None

    def play(self) -> None:
        """Start it. A device or an address that fails says so here or at `pull`, by SourceFailed."""
        if self._gst.gst_element_set_state(self._pipeline, STATE_PLAYING) == STATE_CHANGE_FAILURE:
            raise SourceFailed(self._reason() or f"{self._title} does not start, and GStreamer does not say why")

    def pull(self, timeout_s: float) -> Sample | None:
        """The next frame of "out"; None where none came in that time, and where no more will come (`ended`).

        Raises SourceFailed for whatever fails in the pipeline, and for frames of a format that is not in FORMATS.
        """
        with self._lock:
            if self._closed:
                return None
            sample = self._gst.gst_app_sink_try_pull_sample(self._out, int(timeout_s * SECOND))
            if not sample:
                if reason := self._reason():
                    raise SourceFailed(reason)
                self.ended = bool(self._gst.gst_app_sink_is_eos(self._out))
                return None
            taken_ns = time.perf_counter_ns()
            try:
                if self.video is None:
                    self._clock = self._live_clock()
                buffer = self._gst.gst_sample_get_buffer(sample)
                corrupt = bool(self._gst.gst_buffer_get_flags(buffer) & CORRUPTED)
                age_ns = self._age_ns(buffer, self._gst.gst_sample_get_segment(sample))
                pixels = self._pixels(sample, buffer)
                return Sample(pixels, taken_ns - age_ns, time.perf_counter_ns(), corrupt)
            finally:
                self._gst.gst_mini_object_unref(sample)

    def push(self, pixels: Pixels) -> None:
        """uint8 (H, W, 3) BGR, of one size, into "in", as BGR or I420 (BT.709), whichever its caps say; waits while the
        pipeline is busy. Raises OutputFailed."""
        with self._lock:
            if self._closed:
                raise OutputFailed(f"{self._title} is closed already")
            data = self._entering(pixels)
            self._wait_until_taken()
            buffer = self._gst.gst_buffer_new_allocate(None, data.size, None)
            if not buffer:
                raise OutputFailed(f"{self._title}: no memory for a frame of {data.size} bytes")
            self._gst.gst_buffer_fill(buffer, 0, data.ctypes.data, data.size)
            if self._gst.gst_app_src_push_buffer(self._in, buffer) < 0:
                raise OutputFailed(self._reason(wait_s=1) or f"{self._title} takes no more frames")

    def finish(self, timeout_s: float = 10.0) -> None:
        """No more frames enter: wait until all that did are through, so that files are whole. Raises OutputFailed."""
        with self._lock:
            if self._closed:
                return
            self._gst.gst_app_src_end_of_stream(self._in)
            message = self._gst.gst_bus_timed_pop_filtered(
                self._bus, int(timeout_s * SECOND), MESSAGE_EOS | MESSAGE_ERROR
            )
            if not message:
                raise OutputFailed(f"{self._title} did not finish in {timeout_s:g} s; its end may be missing")
            if reason := self._taken_error(message):
                raise OutputFailed(reason)

    def close(self) -> None:
        """Stop it and let go; a second call does nothing."""
        if self._closed:
            return
        self._closing = True
        self._gst.gst_element_set_state(self._pipeline, STATE_NULL)  # what waits in another thread returns
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for held in (self._clock, self._out, self._in, self._bus, self._pipeline):
                if held:
                    self._gst.gst_object_unref(held)

    def _parse(self, text: str) -> int:
        problem = ErrorPointer()
        pipeline = self._gst.gst_parse_launch(os.fsencode(text), byref(problem))
        if not problem and pipeline:
            return int(pipeline)
        if pipeline:
            self._gst.gst_object_unref(pipeline)
        said = taken_message(self._gst, problem)
        if absent := re.search(r'no element "([^"]+)"', said):
            raise MissingDependency(
                f"{self._title} needs GStreamer's element {absent[1]}, which is not here: apt install {package_of(absent[1])}"
            )
        raise InputError(f"{self._title} is no pipeline that GStreamer takes: {said}; try it with gst-launch-1.0 first")

    def _live_clock(self) -> int | None:
        """The clock that a live pipeline stamps its frames by; None where time stamps say nothing of their capture."""
        live, lowest, highest = c_int(), c_uint64(), c_uint64()
        query = self._gst.gst_query_new_latency()
        # A sink that waits for no clock calls itself not live; what comes before it tells the truth.
        entry = self._gst.gst_element_get_static_pad(self._out, b"sink")
        if self._gst.gst_pad_peer_query(entry, query):
            self._gst.gst_query_parse_latency(query, byref(live), byref(lowest), byref(highest))
        self._gst.gst_object_unref(entry)
        self._gst.gst_mini_object_unref(query)
        clock: int | None = self._gst.gst_element_get_clock(self._pipeline) if live.value else None
        return clock

    def _age_ns(self, buffer: int, segment: int) -> int:
        """How long ago a frame was captured; 0 where that is not known."""
        stamp = c_uint64.from_address(buffer + PTS_OFFSET).value
        if self._clock is None or stamp == NO_TIME:
            return 0
        running = self._gst.gst_segment_to_running_time(segment, FORMAT_TIME, stamp)
        if running == NO_TIME:
            return 0
        began = self._gst.gst_element_get_base_time(self._pipeline)
        return max(0, int(self._gst.gst_clock_get_time(self._clock)) - int(began) - int(running))

    def _pixels(self, sample: int, buffer: int) -> Pixels:
        """The frame of a sample, copied into memory of our own and made BGR."""
        structure = self._gst.gst_caps_get_structure(self._gst.gst_sample_get_caps(sample), 0)
        width, height = c_int(), c_int()
        self._gst.gst_structure_get_int(structure, b"width", byref(width))
        self._gst.gst_structure_get_int(structure, b"height", byref(height))
        name, colorimetry, site = (
            self._text(structure, field) for field in (b"format", b"colorimetry", b"chroma-site")
        )
        if self.video is None:
            self.frame_rate = self._fraction(structure, b"framerate")
            self.pixel_aspect = self._fraction(structure, b"pixel-aspect-ratio") or Fraction(1)
        if self._text(structure, b"interlace-mode") in INTERLACED:
            raise SourceFailed(
                f"{self._title} is interlaced; expected progressive video: add ! deinterlace to a pipeline"
            )
        if self.video is None or self.video.key != (name, width.value, height.value, colorimetry, site):
            self.video = RawVideo(name, width.value, height.value, colorimetry, site, self._title)
        memory = self.video.memory
        if (given := self._gst.gst_buffer_get_size(buffer)) != memory.size:
            raise SourceFailed(
                f"{self._title} gives {given} bytes for a frame of {width.value}x{height.value}; expected {memory.size}"
            )
        self._gst.gst_buffer_extract(buffer, 0, memory.ctypes.data, memory.size)
        return self.video.pixels()

    def _wait_until_taken(self) -> None:
        """Until the frame before is on its way. An appsrc that waits itself would not notice that the pipeline failed."""
        while True:
            if reason := self._reason():
                raise OutputFailed(reason)
            if self._closing or not self._gst.gst_app_src_get_current_level_bytes(self._in):
                return
            time.sleep(PUSH_POLL_S)

    def _entering(self, pixels: Pixels) -> NDArray[np.uint8]:
        """A frame as the caps of "in" say, in our own memory."""
        height, width = pixels.shape[:2]
        self._entered = self._entered or (height, width)
        if self._entered != (height, width):
            raise OutputFailed(
                f"{self._title}: a frame of {width}x{height} after those of {self._entered[1]}x{self._entered[0]}; expected "
                "one size"
            )
        if not self._takes_yuv:
            stride = padded(3 * width)
            if self._memory is None:
                self._memory = np.zeros(stride * height, np.uint8)
            np.ndarray(pixels.shape, np.uint8, self._memory, 0, (stride, 3, 1))[:] = pixels
        else:
            if self._pictures is None:
                self._pictures = Pictures(width, height, StreamInfo(title=self._title))
            planes = self._pictures(pixels).planes
            sizes = [padded(plane.width) * plane.height for plane in planes]
            if self._memory is None:
                self._memory = np.zeros(sum(sizes), np.uint8)
            for plane, part in zip(planes, np.split(self._memory, np.cumsum(sizes)[:-1]), strict=True):
                lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                part.reshape(plane.height, -1)[:, : plane.width] = lines[:, : plane.width]
        assert self._memory is not None
        return self._memory

    def _text(self, structure: int, name: bytes) -> str:
        """A field of caps; "" where it is not there."""
        found: bytes | None = self._gst.gst_structure_get_string(structure, name)
        return found.decode() if found else ""

    def _fraction(self, structure: int, name: bytes) -> Fraction | None:
        """A field of caps; None where it is not there, or 0."""
        above, below = c_int(), c_int()
        if not self._gst.gst_structure_get_fraction(structure, name, byref(above), byref(below)):
            return None
        return Fraction(above.value, below.value) if above.value > 0 and below.value > 0 else None

    def _reason(self, wait_s: float = 0) -> str | None:
        """Why the pipeline failed, in one line; None where it did not."""
        message = self._gst.gst_bus_timed_pop_filtered(self._bus, int(wait_s * SECOND), MESSAGE_ERROR)
        return self._taken_error(message) if message else None

    def _taken_error(self, message: int) -> str | None:
        """What an error message says; None for the end of the stream. Lets go of it."""
        if not self._gst.gst_message_get_structure(message):
            self._gst.gst_mini_object_unref(message)
            return None
        problem, details = ErrorPointer(), c_void_p()
        self._gst.gst_message_parse_error(message, byref(problem), byref(details))
        self._gst.gst_mini_object_unref(message)
        said = taken_message(self._gst, problem)
        lines = ctypes.string_at(details.value).decode(errors="replace").splitlines() if details.value else []
        self._gst.g_free(details)
        return f"{self._title}: {said}" + (f" ({redacted(lines[-1].strip())})" if len(lines) > 1 else "")
