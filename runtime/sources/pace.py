"""The clock of a source that is live without being a camera: frames fall due whether they are taken or not."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from threading import Event
from time import perf_counter_ns

__all__ = ["Due", "Pace"]


@dataclass(frozen=True)
class Due:
    """number: of the newest frame that is due, from 0. due_ns: when it fell due. skipped: those before it that nobody took."""

    number: int
    due_ns: int
    skipped: int


class Pace:
    """Frame n is due n / rate seconds after the first was asked for.

    clock: nanoseconds. wait: waits so many seconds, and ends early after `stop`.
    """

    def __init__(
        self,
        rate: Fraction,
        *,
        clock: Callable[[], int] = perf_counter_ns,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._rate, self.clock = rate, clock
        self._stopped = Event()
        self._wait = wait or self._stopped.wait
        self._begin_ns: int | None = None
        self._next = 0

    def next(self) -> Due | None:
        """The newest frame that is due and was not given yet; waits for it. None after `stop`."""
        now_ns = self.clock()
        if self._begin_ns is None:
            self._begin_ns = now_ns
        number = max(self._next, int((now_ns - self._begin_ns) * self._rate / 10**9))
        due_ns = self._begin_ns + int(number * 10**9 / self._rate)
        while not self._stopped.is_set() and (left_ns := due_ns - self.clock()) > 0:
            self._wait(left_ns / 1e9)
        if self._stopped.is_set():
            return None
        skipped, self._next = number - self._next, number + 1
        return Due(number, due_ns, skipped)

    def stop(self) -> None:
        """Every `next` ends, now and later. From any thread."""
        self._stopped.set()
