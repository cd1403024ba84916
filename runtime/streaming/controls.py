"""What a viewer may change while a stream runs."""

from threading import Event, Lock

from edgesr.runtime.region import Region

__all__ = ["Controls"]


class Controls:
    """Set by any thread, heeded by the loop from the next frame on.

    region: the part of the frame that is super-resolved; None: all of it. One that sticks out of the frame is moved into it.
    paused: the last picture stays; frames that come meanwhile are dropped (a live source) or wait (a file).
    stopping: the stream ends as it would at the end of its source.
    """

    def __init__(self, region: Region | None = None) -> None:
        self._lock = Lock()
        self._region = region
        self._paused = False
        self.stopping = Event()

    @property
    def region(self) -> Region | None:
        with self._lock:
            return self._region

    @region.setter
    def region(self, region: Region | None) -> None:
        with self._lock:
            self._region = region

    @property
    def paused(self) -> bool:
        with self._lock:
            return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        with self._lock:
            self._paused = paused

    def stop(self) -> None:
        self.stopping.set()
