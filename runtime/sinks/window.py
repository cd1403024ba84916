"""A window on the screen, by OpenCV. Closing it, q or Esc ends the run."""

import os
import subprocess
import sys

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.frame import Frame
from edgesr.runtime.images import opencv
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["WindowSink", "open_window"]

STOP_KEYS = (27, ord("q"), ord("Q"))  # 27: Esc
PROBE = "import cv2; cv2.namedWindow('edgesr', cv2.WINDOW_NORMAL); cv2.destroyAllWindows()"
PROBE_LIMIT_S = 20


class WindowSink(Sink):
    """Shows each frame as it comes; the frames' own times are not waited for.

    Raises MissingDependency where no window can be opened: no display, or an OpenCV built without windows.
    """

    def __init__(self, title: str = "edgesr") -> None:
        self._cv2 = opencv()
        _probe()
        self.title, self.notes = "window:", []
        self._name = title
        self._open = False
        self._wanted = True

    def write(self, frame: Frame) -> None:
        if not self._wanted:
            return
        if not self._open:
            self._cv2.namedWindow(self._name, self._cv2.WINDOW_NORMAL)
            self._cv2.resizeWindow(self._name, frame.pixels.shape[1], frame.pixels.shape[0])
            self._open = True
        self._cv2.imshow(self._name, frame.pixels)
        key = self._cv2.waitKey(1) & 0xFF
        shown = self._cv2.getWindowProperty(self._name, self._cv2.WND_PROP_VISIBLE) >= 1
        self._wanted = shown and key not in STOP_KEYS

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
