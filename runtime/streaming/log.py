"""A stream's log: one JSON line for each frame shown, each drop, each event; what the figures forget, it keeps."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.files import check_output
from edgesr.runtime.streaming.figures import Event, Figures

__all__ = ["Log"]

FLUSH_S = 1.0


class Log:
    """Lines are appended as things happen and reach the disk within a second of frames; a context manager.

    {"time_s": …, "stream": 0, "frame": 17, "model": …, "stages_ms": {"read": …, …, "age": …}}, or with "dropped" and "count", or
    with "event", instead of "frame". `time_s` is Unix time. machine: asked at every frame what stands beside it, as "machine".
    Raises OutputExists; OutputFailed from the thread that cannot write.
    """

    def __init__(
        self,
        path: Path,
        *,
        force: bool = False,
        clock: Callable[[], float] = time.time,
        machine: Callable[[], Mapping[str, Any] | None] | None = None,
    ) -> None:
        check_output(path, force=force)
        self._path, self._clock, self._machine = path, clock, machine
        self._lock = Lock()
        self._flushed_s = 0.0
        try:
            self._file = path.open("w")
        except OSError as error:
            raise self._failure(error) from error

    def follow(self, figures: Figures, stream: int = 0) -> None:
        """From now on, write what these figures are fed."""

        def frame(index: int, model: str, stages_ns: dict[str, int]) -> None:
            stages_ms = {stage: round(duration_ns / 1e6, 4) for stage, duration_ns in stages_ns.items()}
            line = {"stream": stream, "frame": index, "model": model, "stages_ms": stages_ms}
            if self._machine is not None and (seen := self._machine()):
                line["machine"] = seen
            self.write(line)

        def drop(reason: str, count: int) -> None:
            self.write({"stream": stream, "dropped": reason, "count": count})

        def event(event: Event) -> None:
            self.write({"stream": stream, "event": event.text})

        figures.on_frame.append(frame)
        figures.on_drop.append(drop)
        figures.on_event.append(event)

    def write(self, values: Mapping[str, object]) -> None:
        """A line of its own, with the time before it."""
        now_s = self._clock()
        line = json.dumps({"time_s": round(now_s, 6), **values}) + "\n"
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.write(line)
                if not 0 <= now_s - self._flushed_s < FLUSH_S:  # the clock may have been set back
                    self._file.flush()
                    self._flushed_s = now_s
            except OSError as error:
                raise self._failure(error) from error

    def close(self) -> None:
        """Nothing is written any more; a second call does nothing."""
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                raise self._failure(error) from error

    def _failure(self, error: OSError) -> OutputFailed:
        return OutputFailed(f"the log {self._path} cannot be written: {error.strerror or error}; is the disk full?")

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
