"""The loop in one thread: a frame is read, super-resolved, written, then the next; each step is timed. For benchmarks and for small
programs; `edgesr-run` uses `edgesr.runtime.streaming`, where the steps of several frames run at the same time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import Source
from edgesr.runtime.timing import StageTimings

__all__ = ["Arrange", "run"]

Arrange = Callable[[Pixels, Pixels], Pixels]
"""(frame as read, frame super-resolved) -> what goes to the sinks: a comparison, a fitted picture."""


def run(
    source: Source,
    backend: Backend,
    sinks: Sequence[Sink],
    *,
    arrange: Arrange | None = None,
    on_frame: Callable[[Frame, StageTimings], None] | None = None,
) -> StageTimings:
    """Every frame of the source, in order, until it ends or a sink has had enough.

    Stages: `read`; `infer` and in it `network` and what `Backend.copies_ns` tells; `arrange` where one is given; `write`; and
    `whole frame`, from before the read until after the last write. `on_frame` is called after each frame,
    outside all clocks. Whatever fails in a stage ends the loop and reaches the caller.
    """
    timings = StageTimings()
    while all(sink.wants_more for sink in sinks):
        begin = time.perf_counter_ns()
        frame = source.read()
        if frame is None:
            break
        was_read = time.perf_counter_ns()
        pixels = backend.infer(frame.pixels)
        inferred = time.perf_counter_ns()
        if arrange is not None:
            pixels = arrange(frame.pixels, pixels)
        arranged = time.perf_counter_ns()
        result = replace(frame, pixels=pixels)
        for sink in sinks:
            sink.write(result)
        written = time.perf_counter_ns()

        timings.add("read", was_read - begin)
        timings.add("network", backend.network_ns)
        for copy, duration_ns in backend.copies_ns.items():
            timings.add(copy, duration_ns)
        timings.add("infer", inferred - was_read)
        if arrange is not None:
            timings.add("arrange", arranged - inferred)
        timings.add("write", written - arranged)
        timings.add("whole frame", written - begin)
        if on_frame is not None:
            on_frame(result, timings)
    return timings
