"""A source, a network and sinks that do what a test tells them, at the pace that it tells them."""

import time
from collections.abc import Callable
from threading import Event

import numpy as np

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.spec import ModelSpec

LIMIT_S = 30


class PlayedSource(Source):
    """`frames` frames whose pixels are their index; live: one each `interval_s`, whether the last was taken or not."""

    def __init__(
        self,
        frames: int | None = None,
        interval_s: float = 0.0,
        *,
        live: bool = False,
        size: tuple[int, int] = (16, 12),
        before: Callable[[int], None] = lambda _index: None,
    ) -> None:
        self.info = StreamInfo(title="played", width=size[0], height=size[1], live=live)
        self._frames, self._interval_s, self._before = frames, interval_s, before
        self._pixels = np.zeros((size[1], size[0], 3), np.uint8)
        self._index = 0
        self._stop = Event()
        self._due_s = time.monotonic()
        self.captured_ns: list[int] = []

    def read(self) -> Frame | None:
        if self._index == self._frames:
            return None
        self._before(self._index)
        self._due_s = max(self._due_s + self._interval_s, time.monotonic() - self._interval_s)
        if self._stop.wait(max(0.0, self._due_s - time.monotonic())):
            return None
        index, self._index = self._index, self._index + 1
        self._pixels[:] = index % 200
        now = time.perf_counter_ns()
        self.captured_ns.append(now)
        return Frame(self._pixels, index, now, decoded_ns=now)

    def interrupt(self) -> None:
        self._stop.set()


class PlayedBackend(Backend):
    """Nearest neighbour that takes `takes_s`."""

    def __init__(
        self, takes_s: float = 0.0, *, name: str = "played", before: Callable[[int], None] = lambda _n: None
    ) -> None:
        self.spec = ModelSpec(
            name=name, scale=2, colour="rgb", parameters=0, multiply_adds_per_pixel=1.0, receptive_field=0
        )
        self.title, self.settings = name, {}
        self.takes_s, self.network_ns, self.count = takes_s, 0, 0
        self._before = before
        self._out = np.zeros((0, 0, 3), np.uint8)
        self.closed = False

    def infer(self, pixels: Pixels) -> Pixels:
        self._before(self.count)
        self.count += 1
        start = time.perf_counter_ns()
        height, width = pixels.shape[:2]
        if self._out.shape != (2 * height, 2 * width, 3):
            self._out = np.zeros((2 * height, 2 * width, 3), np.uint8)
        for y in (0, 1):
            for x in (0, 1):
                self._out[y::2, x::2] = pixels
        time.sleep(self.takes_s)
        self.network_ns = time.perf_counter_ns() - start
        return self._out

    def close(self) -> None:
        self.closed = True


class PlayedSink(Sink):
    """Keeps (index, age in s, value of the first pixel) of each frame."""

    def __init__(
        self,
        takes_s: float = 0.0,
        *,
        enough: int | None = None,
        main_thread: bool = False,
        before: Callable[[int], None] = lambda _n: None,
    ) -> None:
        self.title, self.notes = "played", []
        self.main_thread = main_thread
        self.seen: list[tuple[int, float, int]] = []
        self.shapes: list[tuple[int, ...]] = []
        self._takes_s, self._enough, self._before = takes_s, enough, before

    def write(self, frame: Frame) -> None:
        self._before(len(self.seen))
        time.sleep(self._takes_s)
        age_s = (time.perf_counter_ns() - frame.captured_ns) / 1e9
        self.seen.append((frame.index, age_s, int(frame.pixels[0, 0, 0])))
        self.shapes.append(frame.pixels.shape)

    @property
    def indices(self) -> list[int]:
        return [index for index, _age, _value in self.seen]

    @property
    def wants_more(self) -> bool:
        return self._enough is None or len(self.seen) < self._enough
