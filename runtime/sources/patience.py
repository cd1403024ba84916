"""For how long a live source is waited for, when it is opened and when it is read; both end at once where they must."""

from collections.abc import Callable
from threading import Event, Lock, Thread
from time import monotonic

from edgesr.runtime.frame import Frame
from edgesr.runtime.sources.base import Source

__all__ = ["Opening", "Watchdog"]

TICK_S = 0.1
ABANDON_S = 10.0
"""How long a close waits for an opening that nobody wants any more; each source has limits of its own below that."""


class Opening:
    """`opener` in a thread of its own, so that nobody has to wait for a server or device that does not answer.

    before: what is closed first, in the same thread.
    """

    def __init__(self, opener: Callable[[], Source], before: Source | None = None) -> None:
        self._opener, self._before = opener, before
        self._lock = Lock()
        self._done = Event()
        self._source: Source | None = None
        self._error: BaseException | None = None
        self._unwanted = False
        self._thread = Thread(target=self._open, name="opening a source", daemon=True)
        self._thread.start()

    def wait(self, stopped: Event) -> Source | None:
        """The source; None where it was stopped before. Raises what `opener` raises."""
        try:
            while not self._done.wait(TICK_S):
                if stopped.is_set():
                    return None
        except BaseException:  # Ctrl-C
            self.abandon(0)
            raise
        if self._error is not None:
            raise self._error
        with self._lock:
            source, self._source = self._source, None
        return source

    def abandon(self, limit_s: float = ABANDON_S) -> None:
        """What nobody fetched is closed, now or when it is there; waits for that for so long."""
        with self._lock:
            self._unwanted = True
            source, self._source = self._source, None
        if source is not None:
            source.close()
        self._thread.join(limit_s)

    def _open(self) -> None:
        try:
            if self._before is not None:
                self._before.close()
            source = None if self._unwanted else self._opener()
            with self._lock:
                if not self._unwanted:
                    self._source, source = source, None
            if source is not None:
                source.close()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
        self._done.set()


class Watchdog:
    """Reads a source, and interrupts it where that takes too long: then its `read` gives None, from then on."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = Lock()
        self._reading: Source | None = None
        self._stopped: Source | None = None
        self._since_s = 0.0
        self._over = Event()
        self._thread = Thread(target=self._watch, name="watching a source", daemon=True)
        self._thread.start()

    def read(self, source: Source) -> Frame | None:
        with self._lock:
            if self._over.is_set():
                return None
            self._reading, self._since_s = source, monotonic()
        try:
            return source.read()
        finally:
            with self._lock:
                self._reading = None

    def has_stopped(self, source: Source) -> bool:
        return self._stopped is source

    def interrupt(self) -> None:
        """Now, and for ever."""
        with self._lock:
            self._over.set()
            if self._reading is not None:
                self._reading.interrupt()

    def close(self) -> None:
        self.interrupt()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(TICK_S):
            with self._lock:
                if self._reading is not None and monotonic() - self._since_s > self._limit_s:
                    self._stopped = self._reading
                    self._reading.interrupt()
