"""A lost source comes back: with sources made for the purpose."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tests.runtime.servers import wait_until

from edgesr.runtime.errors import InputError, SourceFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.sources.reconnecting import Reconnecting, Reconnection

FAST = {"wait_s": 0.001, "longest_wait_s": 0.004, "seed": 0}


class Camera(Source):
    """Gives `count` frames of one size, then does what `then` says: raises, hangs, or ends the stream."""

    def __init__(self, count: int = 3, then: str = "fail", *, width: int = 8, height: int = 6, lost: int = 0) -> None:
        self.info = StreamInfo(title="camera:7", width=width, height=height, live=True)
        self.drops = {"corrupt": lost} if lost else {}
        self.closed = False
        self._pixels = np.full((height, width, 3), 200, np.uint8)
        self._count, self._then, self._index = count, then, 0
        self._interrupted = threading.Event()

    def read(self) -> Frame | None:
        if self._interrupted.is_set():
            return None
        if self._index < self._count:
            self._index += 1
            return Frame(self._pixels, self._index - 1, time.perf_counter_ns())
        if self._then == "fail":
            raise SourceFailed("the plug was pulled")
        if self._then == "hang":
            self._interrupted.wait(20)
        return None

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._interrupted.set()
        self.closed = True


class Opener:
    """Hands out what it was given: sources, errors to raise, functions to call."""

    def __init__(self, *what: Source | Exception | Callable[[], Source]) -> None:
        self._what: Iterator[Source | Exception | Callable[[], Source]] = iter(what)
        self.calls = 0

    def __call__(self) -> Source:
        self.calls += 1
        item = next(self._what)
        if isinstance(item, Exception):
            raise item
        return item if isinstance(item, Source) else item()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    wait_until(lambda: set(threading.enumerate()) <= before)


def told(source: Source) -> list[str]:
    lines: list[str] = []
    source.events = lines.append
    return lines


def test_frames_are_counted_on_and_the_loss_is_told() -> None:
    first, second = Camera(3, lost=2), Camera(2, "end", lost=1)
    with Reconnecting(Opener(first, second), Reconnection(**FAST)) as source:
        lines = told(source)
        frames = list(source)
        assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
        assert [frame.time_s for frame in frames] == sorted(frame.time_s or 0.0 for frame in frames)
        assert (source.losses, source.reconnections, source.drops) == (1, 1, {"corrupt": 3})
        assert lines[0] == "lost: the plug was pulled" and lines[1].startswith("camera:7 is back after ")
    assert first.closed and second.closed


def test_the_first_opening_must_succeed() -> None:
    opener = Opener(InputError("no such camera"))
    with pytest.raises(InputError, match="no such camera"):
        Reconnecting(opener)
    assert opener.calls == 1


def test_attempts_are_limited_and_repeated_reasons_are_told_once() -> None:
    gone = [InputError("no such camera")] * 3
    with Reconnecting(Opener(Camera(1), *gone), Reconnection(attempts=3, **FAST)) as source:
        lines = told(source)
        assert source.read() is not None
        with pytest.raises(SourceFailed, match=r"no such camera \(3 attempts to open it again\)"):
            source.read()
    assert lines == ["lost: the plug was pulled", "still lost: no such camera"]


def test_no_attempts_end_the_stream_with_its_own_error() -> None:
    with Reconnecting(Opener(Camera(1)), Reconnection(attempts=0)) as source:
        source.read()
        with pytest.raises(SourceFailed, match=r"^the plug was pulled$"):
            source.read()


def test_attempts_count_anew_after_a_frame() -> None:
    gone = InputError("gone")
    opener = Opener(Camera(1), gone, Camera(1), gone, Camera(1, "end"))
    with Reconnecting(opener, Reconnection(attempts=2, **FAST)) as source:
        assert len(list(source)) == 3


def test_a_source_that_ends_by_itself_is_not_opened_again() -> None:
    opener = Opener(Camera(2, "end"))
    with Reconnecting(opener) as source:
        assert len(list(source)) == 2 and source.read() is None
    assert opener.calls == 1


def test_a_file_that_fails_is_not_opened_again() -> None:
    broken = Camera(1)
    broken.info = StreamInfo(title="gst:filesrc")
    with Reconnecting(Opener(broken)) as source:
        source.read()
        with pytest.raises(SourceFailed, match="plug"):
            source.read()


def test_a_frozen_source_is_lost() -> None:
    frozen = Camera(1, "hang")
    with Reconnecting(Opener(frozen, Camera(1, "end")), Reconnection(frozen_s=0.2, **FAST)) as source:
        lines = told(source)
        assert [frame.index for frame in source] == [0, 1]
    assert lines[0] == "lost: camera:7 is frozen: no frame for 0.2 s" and frozen.closed


class Late(Camera):
    """Gives a frame in the very moment in which it is interrupted."""

    def read(self) -> Frame | None:
        if not self._interrupted.is_set():
            self._interrupted.wait(20)
            return Frame(self._pixels, 0, time.perf_counter_ns())
        return super().read()


def test_a_frame_that_comes_as_the_source_is_given_up_is_not_its_end() -> None:
    with Reconnecting(Opener(Late(), Camera(1, "end")), Reconnection(frozen_s=0.2, **FAST)) as source:
        assert [frame.index for frame in source] == [0, 1] and source.losses == 1


def test_frames_are_limited_over_all_openings() -> None:
    with Reconnecting(Opener(Camera(2), Camera(2)), Reconnection(**FAST), frames=3) as source:
        assert source.info.frame_count == 3
        assert len(list(source)) == 3


def interrupted_after(source: Reconnecting, ready: Callable[[], bool]) -> float:
    """Read in a thread until `ready`, then interrupt: how long it took until `read` gave None."""
    ended: list[Frame | None] = []

    def read() -> None:
        while (frame := source.read()) is not None:
            pass
        ended.append(frame)

    thread = threading.Thread(target=read)
    thread.start()
    wait_until(ready)
    begin = time.monotonic()
    source.interrupt()
    thread.join(20)
    assert ended == [None]
    return time.monotonic() - begin


def test_an_interrupt_ends_a_read_that_waits_for_a_frame() -> None:
    with Reconnecting(Opener(Camera(1, "hang"))) as source:
        assert interrupted_after(source, lambda: source._watchdog._reading is not None) < 0.5
        assert source.read() is None


def test_an_interrupt_ends_the_pause_before_an_attempt() -> None:
    lost = Camera(1)
    with Reconnecting(Opener(lost), Reconnection(wait_s=60, longest_wait_s=60)) as source:
        assert interrupted_after(source, lambda: source.losses == 1) < 0.5
    assert lost.closed


def test_an_interrupt_ends_the_wait_for_a_server_that_does_not_answer() -> None:
    late, answer = Camera(1), threading.Event()

    def slow() -> Source:
        answer.wait(20)
        return late

    opener = Opener(Camera(1), slow)
    source = Reconnecting(opener, Reconnection(**FAST))
    assert interrupted_after(source, lambda: opener.calls == 2) < 0.5
    answer.set()
    source.close()
    assert late.closed  # it came when nobody wanted it any more


def test_another_size_is_refused_unless_it_is_to_be_rescaled() -> None:
    with Reconnecting(Opener(Camera(1), Camera(1, width=16, height=12)), Reconnection(**FAST)) as source:
        source.read()
        with pytest.raises(SourceFailed, match="now gives 16x12, it began with 8x6"):
            source.read()


def test_another_size_is_rescaled_between_black_bars() -> None:
    pytest.importorskip("cv2")
    opener = Opener(Camera(1), Camera(2, "end", width=16, height=6))
    with Reconnecting(opener, Reconnection(on_resize="rescale", **FAST)) as source:
        lines = told(source)
        frames = [frame.pixels.copy() for frame in source]
    assert [frame.shape for frame in frames] == [(6, 8, 3)] * 3
    assert (frames[1][[0, 5]] == 0).all() and (frames[1][2:4] == 200).all()
    assert [line for line in lines if "rescaled" in line] == ["camera:7 gives 16x6: rescaled to 8x6"]


@pytest.mark.parametrize("wrong", [{"attempts": -1}, {"frozen_s": 0.0}, {"frozen_s": float("nan")}, {"on_resize": "x"}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Reconnection(**wrong)
