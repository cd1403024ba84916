"""The loop, with public fakes: pattern in, bicubic, null out."""

import pytest

from edgesr.runtime.backends import Backend, open_backend
from edgesr.runtime.backends.bicubic import BicubicBackend
from edgesr.runtime.errors import BackendFailed, OutputFailed
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.pipeline import run
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.pattern import PatternSource


class Recorder(Sink):
    title, notes = "recorder", []

    def __init__(self, enough: int = 1000) -> None:
        self.frames: list[Frame] = []
        self.enough, self.closed, self.discarded = enough, False, False

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)

    @property
    def wants_more(self) -> bool:
        return len(self.frames) < self.enough

    def close(self) -> None:
        self.closed = True

    def discard(self) -> None:
        self.discarded = True


def source(frames: int = 5) -> PatternSource:
    return PatternSource("natural", 16, 12, frames)


def test_every_frame_comes_through_in_order_and_is_timed() -> None:
    sinks = [Recorder(), Recorder()]
    with source() as frames, open_backend("bicubic:2") as backend:
        timings = run(frames, backend, sinks)
    for sink in sinks:
        assert [frame.index for frame in sink.frames] == [0, 1, 2, 3, 4]
        assert all(frame.pixels.shape == (24, 32, 3) for frame in sink.frames)
    assert list(timings.samples_ns) == ["read", "network", "infer", "write", "whole frame"]
    assert all(len(samples) == 5 for samples in timings.samples_ns.values())
    for i in range(5):
        at = {stage: samples[i] for stage, samples in timings.samples_ns.items()}
        assert at["network"] <= at["infer"]
        assert at["whole frame"] >= at["read"] + at["infer"] + at["write"]


def test_arrange_gets_both_pictures_and_is_timed_apart() -> None:
    seen: list[tuple[int, ...]] = []

    def arrange(low: Pixels, high: Pixels) -> Pixels:
        seen.append(low.shape + high.shape)
        return high[:4]

    sink = Recorder()
    timings = run(source(1), BicubicBackend(2), [sink], arrange=arrange)
    assert seen == [(12, 16, 3, 24, 32, 3)] and sink.frames[0].pixels.shape == (4, 32, 3)
    assert len(timings.samples_ns["arrange"]) == 1


def test_a_sink_that_has_enough_ends_the_loop() -> None:
    sink = Recorder(enough=2)
    assert len(run(source(), BicubicBackend(2), [sink]).samples_ns["read"]) == 2


class Broken(BicubicBackend):
    def infer(self, pixels: Pixels) -> Pixels:
        raise BackendFailed("out of luck")


class Full(Recorder):
    def write(self, frame: Frame) -> None:
        raise OutputFailed("disk full")


@pytest.mark.parametrize(("backend", "sink"), [(Broken(2), Recorder()), (BicubicBackend(2), Full())])
def test_a_failure_reaches_the_caller_and_the_sink_discards(backend: Backend, sink: Recorder) -> None:
    with pytest.raises((BackendFailed, OutputFailed)), sink:
        run(source(), backend, [sink])
    assert sink.discarded and not sink.closed
