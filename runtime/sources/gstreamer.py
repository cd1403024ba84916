"""Cameras at a board's CSI connector, and any pipeline of GStreamer's.

`csi://0?width=1280&height=720&fps=30&flip=2`, and `gst:` before what gst-launch-1.0 takes:
`gst:v4l2src device=/dev/video0 ! image/jpeg ! jpegdec`.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from threading import Event

from edgesr.runtime.errors import InputError, MissingDependency, SourceFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.gst_pipeline import Pipeline, Sample
from edgesr.runtime.gstreamer import Description, csi_pipeline, source_pipeline
from edgesr.runtime.libgstreamer import has_element
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.sources.part import WHOLE, Part
from edgesr.runtime.sources.uri import at_least, one_of, options, redacted

__all__ = ["GStreamerSource", "open_csi", "open_gst"]

OPEN_S = 15.0  # nvarguscamerasrc takes seconds to start; a network stream waits for its next keyframe
WAIT_S = 0.1  # until an interrupt is noticed
TITLE_LENGTH = 60
CSI_OPTIONS: dict[str, Callable[[str], object]] = {
    "width": at_least(1),
    "height": at_least(1),
    "fps": at_least(1, Fraction),
    "flip": lambda text: int(one_of(*"01234567")(text)),
}


class GStreamerSource(Source):
    """The frames of a pipeline that ends in an appsink called "out".

    live: the newest frame is given, and the first ones are not waited for; False: every frame is.
    hint: what to do where no frame comes, for the error's last words.
    A pipeline of a live source (a camera, RTSP) that ends is lost; one that reads a file is over.
    The pipeline is started when the source is made, and one frame waited for. Raises SourceFailed where none comes.
    """

    def __init__(
        self, description: Description, title: str, *, live: bool = True, part: Part = WHOLE, hint: str = ""
    ) -> None:
        part.refuse_times(title)
        self._title, self._limit = title, part.frames
        self._interrupted = Event()
        self._index = 0
        self.drops = self._drops = dict[str, int]()
        self._pipeline = Pipeline(description.text, title)
        try:
            self._pipeline.play()
            first = self._next(OPEN_S)
            if first is None:
                raise SourceFailed(f"{title} gave no frame in {OPEN_S:g} s{hint and f'; {hint}'}")
        except BaseException:
            self.close()
            raise
        video = self._pipeline.video
        assert video is not None
        self._held = None if live else first
        height, width = self._shape = first.pixels.shape[:2]
        self.info = StreamInfo(
            title=title,
            width=width,
            height=height,
            frame_rate=self._pipeline.frame_rate,
            frame_count=None if live else part.frames,
            pixel_aspect=self._pipeline.pixel_aspect,
            colour=video.tags,
            live=live,
            notes=[*description.notes, *video.notes],
        )

    def read(self) -> Frame | None:
        if self._index == self._limit:
            return None
        sample = self._held or self._next()
        self._held = None
        if sample is None or self._interrupted.is_set():
            if self._pipeline.ended and self._pipeline.is_live and not self._interrupted.is_set():
                raise SourceFailed(f"{self._title} ended, as a live stream does when its sender goes")
            return None
        if (shape := sample.pixels.shape[:2]) != self._shape:
            (height, width), (now_height, now_width) = self._shape, shape
            raise SourceFailed(f"{self._title} changed from {width}x{height} to {now_width}x{now_height}")
        frame = Frame(sample.pixels, self._index, sample.captured_ns, decoded_ns=sample.decoded_ns)
        self._index += 1
        return frame

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._interrupted.set()
        self._pipeline.close()

    def _next(self, limit_s: float = float("inf")) -> Sample | None:
        """The next whole frame; None at the end, when interrupted, and after so long a wait."""
        waited_s = 0.0
        while not (self._interrupted.is_set() or self._pipeline.ended) and waited_s < limit_s:
            sample = self._pipeline.pull(WAIT_S)
            if sample is None:
                waited_s += WAIT_S
            elif sample.corrupt:
                self._drops["corrupt"] = self._drops.get("corrupt", 0) + 1
            else:
                return sample
        return None


def open_csi(target: str, part: Part) -> Source:
    """`//0?width=1280&height=720&fps=30&flip=0`: the sensor's number, and what is asked of it."""
    found = re.fullmatch(r"//(\d*)/?(?:\?(.*))?", target)
    if not found:
        raise InputError(f"csi:{target} is no camera; expected such as csi://0?width=1280&height=720&fps=30&flip=0")
    sensor = int(found[1] or 0)
    title = f"csi://{sensor}"
    asked = options(found[2] or "", CSI_OPTIONS, title)
    if "fps" in asked:
        asked["frame_rate"] = asked.pop("fps")
    if not has_element("nvarguscamerasrc"):
        raise MissingDependency(
            f"{title} needs a Jetson, and there GStreamer's element nvarguscamerasrc, which is not here: "
            "apt install nvidia-l4t-gstreamer; a USB camera is camera:0"
        )
    hint = "is the camera connected and its overlay set (jetson-io)? sudo systemctl restart nvargus-daemon frees a stuck one"
    return GStreamerSource(csi_pipeline(sensor, **asked), title, part=part, hint=hint)


def open_gst(target: str, part: Part) -> Source:
    """A pipeline of the user's own; `appsink drop=false` at its end makes it one whose every frame is taken."""
    description = source_pipeline(target)
    title = redacted(f"gst:{' '.join(target.split())}")
    if len(title) > TITLE_LENGTH:
        title = f"{title[:TITLE_LENGTH]}..."
    live = not re.search(r"\bdrop\s*=\s*\"?(false|0|no)\b", description.text.rpartition("appsink")[2], re.IGNORECASE)
    return GStreamerSource(description, title, live=live, part=part)
