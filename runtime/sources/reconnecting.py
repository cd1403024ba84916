"""A live source that outlives its device or connection: what is lost is opened again, with back-off."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event
from time import monotonic

import numpy as np

from edgesr.runtime.compose import fit
from edgesr.runtime.errors import EdgeSRError, InputError, SourceFailed
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.images import opencv
from edgesr.runtime.sources.base import Source
from edgesr.runtime.sources.patience import Opening, Watchdog

__all__ = ["Reconnecting", "Reconnection"]

ON_RESIZE = ("refuse", "rescale")


@dataclass(frozen=True, kw_only=True)
class Reconnection:
    """What to do when a live source is lost.

    attempts: in a row, to open it again; None: without end; 0: a loss ends the stream.
    frozen_s: no frame for so long counts as a loss.
    wait_s, longest_wait_s: the pause before the first attempt, doubled up to the longest, each +-20 % so that many
    viewers of one server do not come back at once. seed: of that chance.
    on_resize: a frame of another size than the first is an error ("refuse"), or brought to the first's ("rescale").
    """

    attempts: int | None = None
    frozen_s: float = 5.0
    wait_s: float = 0.5
    longest_wait_s: float = 10.0
    on_resize: str = "refuse"
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.attempts is not None and self.attempts < 0:
            raise InputError(f"reconnection attempts are {self.attempts}; expected 0 or more")
        if not self.frozen_s > 0:
            raise InputError(f"a source counts as frozen after {self.frozen_s:g} s; expected more than 0")
        if self.on_resize not in ON_RESIZE:
            raise InputError(f"on resize {self.on_resize} is unknown; expected {' or '.join(ON_RESIZE)}")


RECONNECTION = Reconnection()


class Reconnecting(Source):
    """What `opener` opens, again and again; frames are counted on, and `time_s` is the time since the first one came.

    The first opening must succeed: a wrong address or password raises here and is not tried again.
    `losses` and `reconnections` count, `events` tells of each. `read` raises SourceFailed once the attempts are used up
    and where a frame of another size is refused; where the source ends by itself, so does this.
    frames: how many to read at most.
    """

    def __init__(
        self, opener: Callable[[], Source], settings: Reconnection = RECONNECTION, *, frames: int | None = None
    ) -> None:
        if settings.on_resize == "rescale":
            opencv()
        self._opener, self._settings, self._left = opener, settings, frames
        self._chance = random.Random(settings.seed)
        self._stopped = Event()
        self.losses = self.reconnections = 0
        self._attempts = 0  # since the last frame
        self._index = self._offset = 0
        self._first_ns: int | None = None
        self._earlier = Counter[str]()
        self._canvas: Pixels | None = None
        self._fitted_from: tuple[int, int] | None = None
        self._opening: Opening | None = None
        self._lost: Source | None = None
        first = Opening(opener)
        self._source = first.wait(self._stopped)
        assert self._source is not None  # nobody can have stopped it
        self.info = replace(self._source.info, frame_count=frames)
        self._size = self.info.width, self.info.height
        self._limit = settings.attempts if self.info.live else 0
        self._watchdog = Watchdog(settings.frozen_s)

    def read(self) -> Frame | None:
        while not self._stopped.is_set() and self._left != 0:
            if self._source is None and not self._reconnect():
                break
            assert self._source is not None
            try:
                frame = self._watchdog.read(self._source)
            except SourceFailed as error:
                self._lose(str(error))
                continue
            if frame is not None:
                return self._given(frame)
            if not self._watchdog.has_stopped(self._source):
                break
            self._lose(f"{self.info.title} is frozen: no frame for {self._settings.frozen_s:g} s")
        return None

    def interrupt(self) -> None:
        self._stopped.set()
        self._watchdog.interrupt()

    def close(self) -> None:
        self.interrupt()
        self._watchdog.close()
        if self._opening is not None:
            self._opening.abandon()
        for source in (self._lost, self._source):
            if source is not None:
                source.close()
        self._lost = self._source = None

    def _lose(self, reason: str) -> None:
        """The source goes; it is closed where the next one is opened, as that may take its time."""
        assert self._source is not None
        self._earlier += Counter(self._source.drops)
        self._lost, self._reason, self._lost_s = self._source, reason, monotonic()
        self._source = None
        self._offset = self._index
        self.losses += 1
        self.events(f"lost: {reason}")

    def _reconnect(self) -> bool:
        """Try until there is a source; False where it was stopped before. Raises SourceFailed after the last attempt."""
        while self._attempts != self._limit:
            pause_s = min(self._settings.wait_s * 2 ** min(self._attempts, 20), self._settings.longest_wait_s)
            if self._stopped.wait(pause_s * self._chance.uniform(0.8, 1.2)):
                return False
            self._attempts += 1
            self._opening = Opening(self._opener, self._lost)
            try:
                self._source = self._opening.wait(self._stopped)
            except EdgeSRError as error:
                self._tell_again(str(error))
                continue
            if self._source is None:
                return False
            self.reconnections += 1
            self.events(f"{self.info.title} is back after {monotonic() - self._lost_s:.1f} s")
            return True
        tried = f" ({self._attempts} attempts to open it again)" if self._attempts else ""
        raise SourceFailed(f"{self._reason}{tried}")

    def _tell_again(self, reason: str) -> None:
        """Once for each reason in a row, not at each attempt."""
        if reason != self._reason:
            self.events(f"still lost: {reason}")
        self._reason = reason

    def _given(self, frame: Frame) -> Frame:
        assert self._source is not None
        if self._first_ns is None:
            self._first_ns = frame.captured_ns
        pixels = self._fitted(frame.pixels)
        index = self._offset + frame.index
        self._index, self._attempts = index + 1, 0
        if self._left is not None:
            self._left -= 1
        if self._source.drops:
            self.drops = self._earlier + Counter(self._source.drops)
        time_s = (frame.captured_ns - self._first_ns) / 1e9 if self.info.live else frame.time_s
        return replace(frame, pixels=pixels, index=index, time_s=time_s)

    def _fitted(self, pixels: Pixels) -> Pixels:
        """Of the first frame's size: scaled, between black bars where the shape is another."""
        height, width = pixels.shape[:2]
        if None in self._size:
            self._size = width, height
        if (width, height) == self._size:
            return pixels
        wide, high = self._size[0] or width, self._size[1] or height
        if self._settings.on_resize == "refuse":
            raise SourceFailed(
                f"{self.info.title} now gives {width}x{height}, it began with {wide}x{high}; start again, or let frames be "
                "rescaled with --on-resize rescale"
            )
        inner = fit(pixels, wide, high)
        if self._canvas is None:
            self._canvas = np.zeros((high, wide, 3), np.uint8)
        if self._fitted_from != (width, height):
            self._fitted_from = width, height
            self._canvas[:] = 0
            self.events(f"{self.info.title} gives {width}x{height}: rescaled to {wide}x{high}")
        y, x = (high - inner.shape[0]) // 2, (wide - inner.shape[1]) // 2
        self._canvas[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
        return self._canvas
