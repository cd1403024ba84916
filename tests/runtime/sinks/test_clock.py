"""When frames of a served stream are seen."""

import time
from fractions import Fraction

import numpy as np
import pytest

from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.clock import LiveClock, live_ticks
from edgesr.runtime.sources import StreamInfo

PIXELS = np.zeros((2, 2, 3), np.uint8)


def ticks_of(info: StreamInfo, *frames: tuple[int, float | None]) -> list[int]:
    clock = LiveClock(info)
    return [clock.ticks(Frame(PIXELS, index, at, time_s)) for index, (at, time_s) in enumerate(frames)]


def test_live_frames_keep_the_distances_of_their_capture_and_nobody_waits() -> None:
    began = time.perf_counter()
    frames = [(5 * 10**9, 70.0), (5 * 10**9 + 10**8, 80.0), (3605 * 10**9, 90.0)]
    assert ticks_of(StreamInfo(title="x", live=True), *frames) == [0, 9000, 3600 * 90_000]
    assert time.perf_counter() - began < 5


def test_ticks_stay_exact_for_a_year() -> None:
    year_ns = 365 * 24 * 3600 * 10**9
    assert live_ticks(year_ns + 10**8, 0) - live_ticks(year_ns, 0) == 9000


@pytest.mark.parametrize("times", [(0.0, 0.1, 0.3), (None, None, None)])
def test_a_file_is_shown_at_its_own_pace(times: tuple[float | None, ...]) -> None:
    info = StreamInfo(title="x", frame_rate=Fraction(10))
    ticks = ticks_of(info, *((0, time_s) for time_s in times))
    assert ticks[0] == 0 and ticks[1] >= 9000 and ticks[2] >= (18_000 if times[2] is None else 27_000)


def test_a_long_gap_in_a_file_is_not_waited_for() -> None:
    began = time.perf_counter()
    ticks = ticks_of(StreamInfo(title="x"), (0, 0.0), (0, 3600.0), (0, 3600.1))
    assert time.perf_counter() - began < 30 and ticks[2] - ticks[1] >= 8000


def test_a_late_frame_is_shown_as_it_comes() -> None:
    clock = LiveClock(StreamInfo(title="x", frame_rate=Fraction(1000)))
    clock.ticks(Frame(PIXELS, 0, 0))
    time.sleep(0.1)
    assert clock.ticks(Frame(PIXELS, 1, 0)) >= 9000
