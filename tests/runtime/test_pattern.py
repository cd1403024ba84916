"""The pattern as a camera: by the clock, dropping what nobody takes, with the time drawn in. As a file: test_sources.py."""

import time
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from threading import Thread

import numpy as np
import pytest

from edgesr.runtime.errors import InputError
from edgesr.runtime.resize import downscale
from edgesr.runtime.sources import open_source
from edgesr.runtime.sources.noise import Noise
from edgesr.runtime.sources.pace import Due, Pace
from edgesr.runtime.sources.part import Part
from edgesr.runtime.sources.pattern import NOT_TAKEN, PatternSource
from edgesr.runtime.timecode import read

START_NS = 5_000_000_000_000


class Clock:
    """Time goes by where somebody waits or works."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        self.now_ns += max(1, round(seconds * 1e9))

    def pace(self, fps: int) -> Pace:
        return Pace(Fraction(fps), clock=self, wait=self.wait)


def live(
    fps: int = 25, *, clock: Clock | None = None, frames: int = 0, **options: object
) -> tuple[PatternSource, Clock]:
    clock = clock or Clock()
    source = PatternSource("natural", 80, 48, frames, Fraction(fps), 2, live=True, pace=clock.pace(fps), **options)
    return source, clock


def test_frames_come_when_they_are_due() -> None:
    source, clock = live(25)
    assert source.info.live and source.info.frame_count is None
    for number in range(5):
        frame = source.read()
        assert frame is not None
        assert (frame.index, frame.captured_ns, frame.time_s) == (number, START_NS + number * 40_000_000, None)
        assert frame.decoded_ns == clock.now_ns >= frame.captured_ns
    assert not source.drops


def test_what_nobody_took_in_time_is_gone_and_counted() -> None:
    source, clock = live(25)
    indices = []
    for work_s in (0.01, 0.1, 0.0, 1.0, 0.0):
        frame = source.read()
        assert frame is not None and clock.now_ns - frame.captured_ns < 40_000_000, "never older than one interval"
        indices.append(frame.index)
        clock.wait(work_s)
    assert indices == [0, 1, 3, 4, 29]
    assert source.drops == {NOT_TAKEN: 1 + 24}


def test_an_odd_rate_does_not_drift() -> None:
    pace = Pace(Fraction(30000, 1001), clock=(clock := Clock()), wait=clock.wait)
    due = [pace.next() for _ in range(3001)]
    assert due[3000] == Due(3000, START_NS + 100_100_000_000, 0)


@pytest.mark.parametrize(("length", "most", "expected"), [(3, None, 3), (0, 3, 3), (5, 2, 2)])
def test_it_ends_where_it_is_told_to(length: int, most: int | None, expected: int) -> None:
    source, clock = live(25, frames=length, part=Part(frames=most))
    assert [frame.index for frame in source] == list(range(expected))
    assert source.read() is None and clock.now_ns <= START_NS + length * 40_000_000 + 80_000_000


def test_a_length_is_that_of_the_stream_taken_or_not() -> None:
    source, clock = live(25, frames=10)
    assert source.read() is not None
    clock.wait(0.3)
    assert [frame.index for frame in source] == [7, 8, 9]


def test_a_read_that_waits_ends_when_it_is_interrupted() -> None:
    source = PatternSource("natural", 80, 48, 0, Fraction(1, 60), 2, live=True)
    assert source.read() is not None
    found: list[object] = ["nothing yet"]
    thread = Thread(target=lambda: found.append(source.read()))
    thread.start()
    begin = time.perf_counter()
    source.interrupt()
    thread.join(10)
    assert not thread.is_alive() and time.perf_counter() - begin < 5 and found[-1] is None
    assert source.read() is None, "and every later one"


def test_a_file_is_interrupted_too() -> None:
    source = PatternSource("natural", 80, 48, 5)
    source.read()
    source.interrupt()
    assert source.read() is None


@pytest.mark.parametrize("extra", ["", "&static=1", "&noise=3"])
def test_each_frame_shows_its_own_time(extra: str) -> None:
    with open_source(f"pattern:natural?size=80x48&live=1&fps=200&timecode=1&scale=2{extra}", frames=10) as source:
        for frame in source:
            assert read(frame.pixels) == frame.captured_ns // 1000 * 1000
            assert frame.captured_ns <= frame.decoded_ns <= time.perf_counter_ns()


def test_a_file_shows_its_time_too() -> None:
    with open_source("pattern:natural?size=80x48&frames=2&timecode=1") as source:
        for frame in source:
            assert read(frame.pixels) == frame.captured_ns // 1000 * 1000


def test_its_truth_is_known_however_long_it_runs() -> None:
    source, clock = live(25)
    for _ in range(4):
        frame = source.read()
        assert frame is not None
        np.testing.assert_array_equal(frame.pixels, downscale(source.truth(frame.index), 2))
        clock.wait(1e6)
    with pytest.raises(InputError, match="frame -1"):
        source.truth(-1)


def test_the_picture_moves_at_every_frame_to_and_fro() -> None:
    source, _ = live(25)
    source._cycle = 4
    frames = [frame.pixels for _ in range(8) if (frame := source.read())]
    assert all(np.any(a != b) for a, b in pairwise(frames))
    np.testing.assert_array_equal(frames[1], frames[5])


def test_a_frame_that_is_kept_cannot_be_written_on() -> None:
    frame = PatternSource("natural", 80, 48, 5).read()
    assert frame is not None
    with pytest.raises(ValueError, match="read-only"):
        frame.pixels[0] = 0


@pytest.mark.parametrize("options", [{}, {"timecode": True}, {"timecode": True, "noise": 2.0}])
def test_a_frame_costs_no_memory_once_the_cycle_is_made(options: dict[str, object]) -> None:
    clock = Clock()
    source = PatternSource("natural", 320, 180, 0, Fraction(60), 1, live=True, pace=clock.pace(60), **options)
    source._cycle = source._most_kept = 8
    for _ in range(20):
        source.read()
    tracemalloc.start()
    try:
        for _ in range(200):
            source.read()
        assert tracemalloc.get_traced_memory()[1] < 320 * 180 * 3 / 2
    finally:
        tracemalloc.stop()
    assert len(source._kept) == 8


def test_a_long_file_keeps_so_many_frames_and_no_more() -> None:
    source = PatternSource("natural", 24, 16, 60, scale=1)
    source._most_kept = 5
    first = [frame.pixels for frame in source]
    assert len(source._kept) == 5 and len({pixels.tobytes() for pixels in first}) == 60


def test_a_still_scene_stands_still() -> None:
    with open_source("pattern:natural?size=80x48&frames=5&static=1") as source:
        frames = [frame.pixels for frame in source]
        assert all(np.array_equal(frames[0], other) for other in frames)
        assert source.info.notes[0].startswith("still of natural")


def test_noise_is_that_of_a_sensor_and_the_same_each_time() -> None:
    clean, out, again = np.full((60, 80, 3), 128, np.uint8), *(np.empty((60, 80, 3), np.uint8) for _ in range(2))
    noise = Noise(80, 60, 3.0, seed=1)
    noise.add(clean, 7, out)
    assert abs(out.std() - 3.0) < 0.2 and abs(out.mean() - 128) < 0.2
    Noise(80, 60, 3.0, seed=1).add(clean, 7, again)
    np.testing.assert_array_equal(out, again)
    noise.add(clean, 8, again)
    assert abs(np.corrcoef(out.ravel(), again.ravel())[0, 1]) < 0.1
    for level in (0, 255):
        noise.add(np.full_like(clean, level), 1, out)
        assert abs(int(out.min()) - level) < 20 and abs(int(out.max()) - level) < 20, "no value wraps around"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("live=2", "'2' is neither 0 nor 1"),
        ("live=yes", "neither 0 nor 1"),
        ("timecode=", "neither 0 nor 1"),
        ("noise=loud", "cannot be read"),
        ("noise=-1", "noise of a pattern is -1"),
        ("noise=nan", "noise of a pattern is nan"),
        ("live=1&frames=-1", "frames of a pattern is -1"),
        ("size=60x48&timecode=1", "a time code needs 72x24 pixels; the picture is 60x48"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(uri: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_source(f"pattern:natural?{uri}")


def test_a_live_pattern_has_no_start() -> None:
    with pytest.raises(InputError, match="a live pattern has no time"):
        open_source("pattern:natural?live=1", start_s=1.0)
