"""A window on the screen, by OpenCV: q or Esc ends the run, space pauses, the mouse marks a region, r shows all again."""

import os
import subprocess
import sys

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.frame import Frame
from edgesr.runtime.images import opencv
from edgesr.runtime.region import Region
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import StreamInfo
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import Figures

__all__ = ["WindowSink", "open_window"]

STOP_KEYS = (27, ord("q"), ord("Q"))  # 27: Esc
PAUSE_KEYS, WHOLE_KEYS = (ord(" "),), (ord("r"), ord("R"))
SMALLEST_MARK = 8  # pixels of the input: less was a click
MARK_COLOUR = (0, 200, 255)
PROBE = "import cv2; cv2.namedWindow('edgesr', cv2.WINDOW_NORMAL); cv2.destroyAllWindows()"
PROBE_LIMIT_S = 20


class WindowSink(Sink):
    """Shows each frame as it comes; the frames' own times are not waited for.

    A rectangle drawn with the left button becomes the stream's region. Raises MissingDependency where no window can be opened: no display, or an OpenCV built without windows.
    """

    main_thread = True

    def __init__(self, title: str = "edgesr") -> None:
        self._cv2 = opencv()
        _probe()
        self.title, self.notes = "window:", []
        self._name = title
        self._open = False
        self._wanted = True
        self._controls = Controls()
        self._shown: tuple[Region, tuple[int, int]] | None = None
        self._from: tuple[int, int] | None = None
        self._to = (0, 0)

    def attach(self, figures: Figures, controls: Controls) -> None:
        self._controls = controls

    def write(self, frame: Frame) -> None:
        if not self._wanted:
            return
        if not self._open:
            plain = self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_KEEPRATIO | self._cv2.WINDOW_GUI_NORMAL  # no toolbar
            self._cv2.namedWindow(self._name, plain)
            self._cv2.resizeWindow(self._name, frame.pixels.shape[1], frame.pixels.shape[0])
            self._cv2.setMouseCallback(self._name, self._mouse)
            self._open = True
        height, width = frame.pixels.shape[:2]
        if frame.low is not None:
            self._shown = self._part_shown(frame.low.shape[1], frame.low.shape[0]), (width, height)
        pixels = frame.pixels
        if self._from is not None:
            pixels = pixels.copy()
            self._cv2.rectangle(pixels, self._from, self._to, MARK_COLOUR, 2)
        self._cv2.imshow(self._name, pixels)
        self._listen()

    def idle(self) -> None:
        if self._open and self._wanted:
            self._listen()

    def _listen(self) -> None:
        """Let the window live, and heed its keys."""
        key = self._cv2.waitKey(1) & 0xFF
        shown = self._cv2.getWindowProperty(self._name, self._cv2.WND_PROP_VISIBLE) >= 1
        self._wanted = shown and key not in STOP_KEYS
        if not self._wanted:
            self._controls.stop()
        elif key in PAUSE_KEYS:
            self._controls.paused = not self._controls.paused
        elif key in WHOLE_KEYS:
            self._controls.region = None

    def _part_shown(self, width: int, height: int) -> Region:
        """Which part of the input the picture of width x height input pixels is."""
        region = self._controls.region
        if region is None or (region.width, region.height) != (width, height):
            return Region(0, 0, width, height)
        return region

    def _mouse(self, event: int, x: int, y: int, _flags: int, _data: object) -> None:
        if event == self._cv2.EVENT_LBUTTONDOWN:
            self._from = self._to = (x, y)
        elif self._from is not None and event == self._cv2.EVENT_MOUSEMOVE:
            self._to = (x, y)
        elif self._from is not None and event == self._cv2.EVENT_LBUTTONUP:
            marked = self._marked(self._from, (x, y))
            self._from = None
            if marked is not None:
                self._controls.region = marked

    def _marked(self, one: tuple[int, int], other: tuple[int, int]) -> Region | None:
        """The rectangle between two points of the shown picture, in pixels of the input; None for a mere click."""
        if self._shown is None:
            return None
        part, (width, height) = self._shown
        left, right = (sorted((one[0], other[0]))[i] * part.width / width for i in (0, 1))
        top, bottom = (sorted((one[1], other[1]))[i] * part.height / height for i in (0, 1))
        x, y = max(0, round(left)), max(0, round(top))
        w, h = min(part.width, round(right)) - x, min(part.height, round(bottom)) - y
        if w < SMALLEST_MARK or h < SMALLEST_MARK:
            return None
        return Region(part.x + x, part.y + y, w, h)

    @property
    def wants_more(self) -> bool:
        return self._wanted

    def close(self) -> None:
        if self._open:
            self._open = False
            self._cv2.destroyAllWindows()

    def discard(self) -> None:
        self.close()


def _probe() -> None:
    """Try a window in a process of its own: without a display, Qt does not raise but ends the process."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise MissingDependency(
            "window: needs a screen, and neither DISPLAY nor WAYLAND_DISPLAY is set; "
            "run it on the desktop, or write to a file"
        )
    try:
        command = [sys.executable, "-c", PROBE]
        tried = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PROBE_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise MissingDependency(f"window: no window opened in {PROBE_LIMIT_S} s; write to a file instead") from error
    if tried.returncode:
        said = [line.strip() for line in tried.stderr.splitlines() if line.strip()] or ["no reason given"]
        reason = next((line for line in said if "not implemented" in line or "could not connect" in line), said[-1])
        raise MissingDependency(
            f"window: no window can be opened here ({reason}); it needs a desktop and an OpenCV that is not the "
            "headless one, or write to a file instead"
        )


def open_window(target: str, info: StreamInfo, force: bool) -> Sink:
    if target:
        raise InputError(f"window:{target} is unknown; expected window: alone")
    return WindowSink(f"edgesr - {info.title}")
