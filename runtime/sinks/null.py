"""Takes frames and keeps none: for timing, and the public fake for tests."""

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["NullSink", "open_null"]


class NullSink(Sink):
    """Counts. `enough`: after how many frames it wants no more; None for never."""

    def __init__(self, enough: int | None = None) -> None:
        self.title = "null:"
        self.notes = []
        self.count = 0
        self.closed = self.discarded = False
        self._enough = enough

    def write(self, frame: Frame) -> None:
        self.count += 1

    @property
    def wants_more(self) -> bool:
        return self._enough is None or self.count < self._enough

    def close(self) -> None:
        self.closed = True

    def discard(self) -> None:
        self.discarded = not self.closed


def open_null(target: str, info: StreamInfo, force: bool) -> Sink:
    if target:
        raise InputError(f"null:{target} is unknown; expected null: alone")
    return NullSink()
