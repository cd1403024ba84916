"""The machine's state beside the streams. Who knows it brings a recorder by an entry point; nothing of it is imported here:

[project.entry-points."edgesr.recorders"]
board = "edgesr.jetson.machine_log:BoardLog"
"""

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.installed import pip_install

__all__ = ["Machine", "MachineLog", "find_recorder"]

GROUP = "edgesr.recorders"
STALE_S = 5.0  # what was seen longer ago says nothing about a frame
FAILURES = 3  # different ones that are told; a stream may go on for weeks

T = TypeVar("T")


@runtime_checkable
class MachineLog(Protocol):
    """What a stream asks of a recorder. It must take constant memory, however long it records."""

    @property
    def notes(self) -> Sequence[str]:
        """What a user should know before the start: what this machine does not tell."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def latest(self) -> Mapping[str, Any] | None:
        """A few figures of now, JSON-ready, and "at_ns", when they were taken, by time.perf_counter_ns(); from any thread."""

    def summary(self, frames: int) -> Mapping[str, Any]:
        """From start to stop, in which so many frames came out; JSON-ready."""

    def describe(self, frames: int) -> Sequence[str]:
        """The same for a reader, in a few lines."""


def find_recorder(name: str = "board") -> MachineLog:
    """The installed recorder of that name. Raises MissingDependency, InputError."""
    installed = entry_points(group=GROUP)
    found = [entry for entry in installed if entry.name == name]
    if not found:
        others = ", ".join(sorted(set(installed.names))) or "none"
        raise MissingDependency(
            f"no recorder {name} is installed (found: {others}); edgesr itself brings one: install it anew, such as {pip_install('web')}"
        )
    try:
        recorder = found[0].load()()
    except Exception as error:
        raise MissingDependency(f"the recorder {found[0].value} cannot be used: {_words(error)}") from error
    if not isinstance(recorder, MachineLog):
        raise InputError(f"{found[0].value} is no recorder; expected the methods of edgesr.runtime.streaming.machine")
    return recorder


class Machine:
    """A recorder while streams run; a context manager. What it fails at is told in `lines` and ends no stream.

    frames: how many came out until now. summary and lines: of the whole time, when it is over.
    """

    def __init__(self, recorder: MachineLog, frames: Callable[[], int]) -> None:
        self.notes = list(recorder.notes)
        self.summary: Mapping[str, Any] | None = None
        self.lines: list[str] = []
        self._recorder, self._frames = recorder, frames
        self._failures: list[str] = []

    def stamp(self) -> dict[str, Any] | None:
        """What stands beside a frame that came out now; None where nothing was seen lately. From any thread."""
        latest = self._safely(self._recorder.latest)
        seen = dict(latest) if latest else {}
        at_ns = seen.pop("at_ns", None)
        return seen if at_ns is not None and time.perf_counter_ns() - at_ns <= STALE_S * 1e9 else None

    def __enter__(self) -> "Machine":
        self._safely(self._recorder.start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._safely(self._recorder.stop)
        frames = self._frames()
        self.summary = self._safely(lambda: self._recorder.summary(frames))
        self.lines = [*(self._safely(lambda: self._recorder.describe(frames)) or ()), *self._failures]

    def _safely(self, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - whatever somebody's recorder does, the stream matters more
            failure = f"its recorder failed: {_words(error)}"
            if failure not in self._failures and len(self._failures) < FAILURES:
                self._failures.append(failure)
            return None


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
