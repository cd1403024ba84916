"""When a frame of a served stream is to be seen."""

import time

from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.encoding import TICK
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["LiveClock", "live_ticks"]

USUAL_RATE = 25
LONGEST_WAIT_S = 1.0  # a longer gap between two frames of a file is cut: whoever ends a run does not wait for it


def live_ticks(captured_ns: int, zero_ns: int) -> int:
    """The time from `zero_ns` to `captured_ns` in TICKs."""
    return (captured_ns - zero_ns) * TICK.denominator // 10**9


class LiveClock:
    """Gives each frame its ticks, counted from the first one.

    A live source's frames keep the distances in which they were captured. A file's frames are held back until their
    own times, so that viewers see it at its pace; where they come too late they are seen as they come.
    """

    def __init__(self, info: StreamInfo) -> None:
        self._live, self._rate = info.live, info.frame_rate or USUAL_RATE
        self._zero_ns: int | None = None
        self._begin_s = 0.0

    def ticks(self, frame: Frame) -> int:
        at_ns = frame.captured_ns if self._live else self._wait(frame)
        if self._zero_ns is None:
            self._zero_ns = at_ns
        return live_ticks(at_ns, self._zero_ns)

    def _wait(self, frame: Frame) -> int:
        place_s = float(frame.index / self._rate) if frame.time_s is None else frame.time_s
        early_s = self._begin_s + place_s - time.perf_counter()
        if self._zero_ns is None or not 0 <= early_s <= LONGEST_WAIT_S:
            self._begin_s = time.perf_counter() - place_s
        else:
            time.sleep(early_s)
        return time.perf_counter_ns()
