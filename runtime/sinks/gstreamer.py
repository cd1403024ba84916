"""Frames into a GStreamer pipeline: `gst:h264 ! rtph264pay ! udpsink host=192.0.2.7 port=5000`."""

import re
from fractions import Fraction

from edgesr.runtime.errors import InputError, OutputFailed, SourceFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.gst_pipeline import Pipeline
from edgesr.runtime.gstreamer import Description, encoder, sink_pipeline
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["GStreamerSink", "open_gst"]

ENCODED = re.compile(r"(h26[45])(?:\s+bitrate=([0-9]{1,6}))?(?=\s*!)")
"""What a pipeline begins with that leaves the encoder to us; bitrate in kbit a second."""

WRITES_FILES = re.compile(r"\b(\w*filesink|splitmuxsink|hlssink\w*)\b")
BITRATE_KBPS = 8000
TRIAL_SIZE = 320, 180
TITLE = "gst:"


class GStreamerSink(Sink):
    """BGR frames, stamped as they come, into `tail`, which begins after the appsrc.

    A tail that begins with `h264 !` or `h265 !`, with `bitrate=4000` between where wanted, gets the board's hardware
    encoder where there is one, else a software encoder, said in the notes.
    A frame of another size starts the pipeline anew; one that writes a file refuses it.
    Raises InputError for a tail that GStreamer refuses, MissingDependency for an element that is missing.
    """

    def __init__(self, tail: str, info: StreamInfo) -> None:
        if not tail.strip():
            raise InputError(
                "gst: is empty; expected what comes after the frames, such as gst:videoconvert ! autovideosink"
            )
        if re.match(r"\s*appsrc\b", tail):
            raise InputError("gst: begins with an appsrc; leave it out, the frames come by one that is added")
        self.title, self.notes = TITLE, []
        self._rate: Fraction | None = info.frame_rate
        self._tail = self._completed(tail.strip())
        self.one_size = bool(WRITES_FILES.search(self._tail))
        self._size: tuple[int, int] | None = None
        self._pipeline: Pipeline | None = None
        Pipeline(self._described(*TRIAL_SIZE), TITLE).close()

    def write(self, frame: Frame) -> None:
        height, width = frame.pixels.shape[:2]
        if self._size != (width, height):
            self._begin(width, height, frame.index)
        assert self._pipeline is not None
        self._pipeline.push(frame.pixels)

    def close(self) -> None:
        """Waits until the pipeline has written what it was given."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            try:
                pipeline.finish()
            finally:
                pipeline.close()

    def discard(self) -> None:
        """Ends the pipeline where it stands; what it wrote is its own."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()

    def _completed(self, tail: str) -> str:
        wanted = ENCODED.match(tail)
        if wanted is None:
            return tail
        encode: Description = encoder(wanted[1], int(wanted[2] or BITRATE_KBPS), self._rate)
        self.notes += encode.notes
        return f"{encode.text}{tail[wanted.end() :]}"

    def _described(self, width: int, height: int) -> str:
        return sink_pipeline(width, height, self._rate, self._tail).text

    def _begin(self, width: int, height: int, index: int) -> None:
        if self._size is not None and (file := WRITES_FILES.search(self._tail)):
            raise InputError(
                f"frame {index} is {width}x{height}, those before were {'{}x{}'.format(*self._size)}; {file[1]} would "
                "begin its file anew: use --fit, or keep the region as it is"
            )
        self.close()
        self._size = width, height
        pipeline = Pipeline(self._described(width, height), TITLE)
        try:
            pipeline.play()
        except SourceFailed as error:
            pipeline.close()
            raise OutputFailed(str(error)) from error
        self._pipeline = pipeline


def open_gst(target: str, info: StreamInfo, force: bool) -> Sink:
    """target: what follows `gst:`."""
    return GStreamerSink(target, info)
