"""Feeds a sink from a thread as a live stream would, until the block ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from threading import Event, Thread

from edgesr.runtime.backends.bicubic import BicubicBackend
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.pattern import PatternSource
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import AGE, Figures

LIMIT_S = 20.0


class Feeder:
    """Frames over and over, a pause and a region heeded; `errors` is what the sink raised."""

    def __init__(self, sink: Sink, *, width: int = 96, height: int = 64, frame_rate: float = 25.0) -> None:
        self.figures, self.controls = Figures(deadline_ms=200), Controls()
        self.errors: list[Exception] = []
        self.count = 0
        self._sink, self._interval_s = sink, 1 / frame_rate
        source = PatternSource("natural", width, height, frames=8, frame_rate=Fraction(25))
        self._lows = [frame.pixels.copy() for frame in source]
        self._backend = BicubicBackend(4)
        self._over = Event()
        self._thread = Thread(target=self._run, name="feeder", daemon=True)
        sink.attach(self.figures, self.controls)
        self.figures.tell(state="running", model=self._backend.title, size=(width, height))

    def frame(self) -> None:
        """One frame, from this thread."""
        captured_ns = time.perf_counter_ns()
        low = self._lows[self.count % len(self._lows)]
        if (region := self.controls.region) is not None:
            low = region.within(low.shape[1], low.shape[0]).of(low)
        pixels = self._backend.infer(low)
        self.figures.captured()
        self.figures.add("network", self._backend.network_ns)
        self._sink.write(Frame(pixels, self.count, captured_ns, low=low))
        age_ns = time.perf_counter_ns() - captured_ns
        self.figures.add("whole frame", age_ns)
        self.figures.add(AGE, age_ns)
        self.figures.shown(self.count, age_ns, self._backend.title, {})
        self.count += 1

    def _run(self) -> None:
        try:
            while not self._over.wait(self._interval_s):
                if self.controls.paused:
                    self.figures.drop("paused")
                else:
                    self.frame()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.errors.append(error)

    @contextmanager
    def running(self) -> Iterator["Feeder"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join(LIMIT_S)
