"""The loop of streams: nothing lost where nothing may be, nothing old where age counts, and one failure ends all."""

import threading
import time
import tracemalloc
from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pytest
from tests.runtime.streaming.played import LIMIT_S, PlayedBackend, PlayedSink, PlayedSource

from edgesr.runtime.errors import BackendFailed, InputError, OutputFailed, SourceFailed
from edgesr.runtime.frame import Pixels
from edgesr.runtime.region import Region
from edgesr.runtime.streaming import running as running_module
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.deadline import DeadlineController
from edgesr.runtime.streaming.figures import AGE, WHOLE_FRAME, Figures
from edgesr.runtime.streaming.loop import run
from edgesr.runtime.streaming.network import Network
from edgesr.runtime.streaming.pool import Pool
from edgesr.runtime.streaming.stream import Stream

INTERVAL_S = 1 / 60


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + LIMIT_S
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def run_one(stream: Stream, backend: PlayedBackend) -> None:
    with Network(lambda: [backend]) as network:
        run(network, [stream])
    assert backend.closed


def test_a_file_gives_every_frame_in_order_to_every_sink() -> None:
    sinks = [PlayedSink(0.001), PlayedSink(0.004), PlayedSink(main_thread=True)]
    stream = Stream(PlayedSource(40), sinks, "all")
    run_one(stream, PlayedBackend(0.002))
    for sink in sinks:
        assert sink.indices == list(range(40)) and [value for _i, _age, value in sink.seen] == list(range(40))
    figures = stream.figures.snapshot()
    assert figures.captured == figures.shown == 40 and not figures.drops and figures.state == "over"
    for stage in ("read", "network", "infer", "write", WHOLE_FRAME, AGE):
        assert figures.run[stage].count == 40
    assert figures.run[WHOLE_FRAME].median_ms <= figures.run[AGE].median_ms


def test_a_live_frame_is_never_older_than_one_interval_and_its_processing() -> None:
    source = PlayedSource(interval_s=INTERVAL_S, live=True)
    sink = PlayedSink(0.03)
    stream = Stream(source, [sink], "newest", frames=25)
    run_one(stream, PlayedBackend(0.1))
    gaps = np.diff(source.captured_ns)
    figures = stream.figures.snapshot()
    bound_ms = gaps.max() / 1e6 + figures.run["infer"].max_ms + figures.run["write"].max_ms
    assert max(age for _index, age, _value in sink.seen) * 1e3 < bound_ms + 20
    assert (
        sink.indices == sorted(sink.indices) and sink.indices[-1] > 60
    )  # the network missed most, the sink is up to date
    assert figures.drops["newer came"] >= figures.captured - figures.shown - 3
    assert source.captured_ns[-1] > 0 and figures.run[AGE].max_ms < bound_ms + 20


def test_a_slow_sink_does_not_slow_another() -> None:
    quick, slow = PlayedSink(), PlayedSink(0.3)
    run_one(Stream(PlayedSource(60, INTERVAL_S, live=True), [quick, slow], "newest"), PlayedBackend())
    assert len(quick.seen) > 4 * len(slow.seen) and slow.indices == sorted(slow.indices)


def test_streams_share_the_network_in_turns() -> None:
    sinks = [PlayedSink(), PlayedSink()]
    rates = (1 / 200, 1 / 20)  # the first would take the network for itself
    streams = [
        Stream(PlayedSource(interval_s=rate, live=True), [sink], "newest", frames=20)
        for rate, sink in zip(rates, sinks, strict=True)
    ]
    with Network(lambda: [PlayedBackend(0.05)]) as network:
        run(network, streams)
    first, second = (stream.figures.snapshot() for stream in streams)
    assert first.shown >= 19 and second.shown >= 19
    assert second.run[AGE].max_ms < 1e3 * (rates[1] + 3 * 0.05) + 200


def fail(at: int, error: BaseException):
    def before(index: int) -> None:
        if index == at:
            raise error

    return before


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("stage", ["capture", "network", "arrange", "sink", "main thread", "tick"])
def test_a_stage_that_fails_ends_all_of_them_and_is_told(stage: str, live: bool) -> None:
    error = {"capture": SourceFailed, "network": BackendFailed}.get(stage, OutputFailed)("out of luck")
    source = PlayedSource(None, INTERVAL_S, live=live, before=fail(5 if stage == "capture" else -1, error))
    sinks = [
        PlayedSink(before=fail(2 if stage == "sink" else -1, error)),
        PlayedSink(main_thread=True, before=fail(2 if stage == "main thread" else -1, error)),
    ]
    arranged = 0

    def arrange(_low: Pixels, high: Pixels) -> Pixels:
        nonlocal arranged
        arranged += 1
        if stage == "arrange" and arranged == 3:
            raise error
        return high

    def tick() -> None:
        if stage == "tick" and sinks[0].seen:
            raise error

    stream = Stream(source, sinks, "newest" if live else "all", arrange=arrange)
    backend = PlayedBackend(0.01, before=fail(3 if stage == "network" else -1, error))
    failed_s: list[float] = []
    with Network(lambda: [backend]) as network, pytest.raises(type(error), match="out of luck"):
        try:
            run(network, [stream], on_tick=tick)
        finally:
            failed_s.append(time.monotonic())
    assert stream.figures.snapshot().state == "over" and backend.closed


def test_a_source_that_hangs_does_not_keep_the_others_from_ending() -> None:
    released = threading.Event()
    source = PlayedSource(before=lambda index: index == 3 and released.wait(LIMIT_S))
    sink = PlayedSink(before=fail(2, OutputFailed("disk full")))
    began = time.monotonic()
    with Network(lambda: [PlayedBackend()]) as network, pytest.raises(OutputFailed, match="disk full"):
        run(network, [Stream(source, [sink], "all")])
    assert time.monotonic() - began < LIMIT_S / 2
    released.set()


def test_ctrl_c_ends_the_threads_and_is_raised() -> None:
    def tick() -> None:
        raise KeyboardInterrupt

    stream = Stream(PlayedSource(interval_s=INTERVAL_S, live=True), [PlayedSink()], "newest")
    with Network(lambda: [PlayedBackend()]) as network, pytest.raises(KeyboardInterrupt):
        run(network, [stream], on_tick=tick)


def test_a_sink_that_has_enough_ends_the_stream() -> None:
    sink = PlayedSink(enough=3)
    run_one(Stream(PlayedSource(), [sink], "all"), PlayedBackend())
    assert sink.indices == [0, 1, 2]


def test_frames_limits_what_is_super_resolved() -> None:
    sink = PlayedSink()
    run_one(Stream(PlayedSource(interval_s=0.002, live=True), [sink], "all", frames=4), PlayedBackend())
    assert sink.indices == [0, 1, 2, 3]


def test_every_takes_each_nth_frame() -> None:
    sink = PlayedSink()
    stream = Stream(PlayedSource(10), [sink], "all", every=4)
    run_one(stream, PlayedBackend())
    assert sink.indices == [0, 4, 8] and stream.figures.snapshot().drops == {"every": 7}


def test_frames_that_are_too_old_are_dropped_with_their_reason() -> None:
    sink = PlayedSink()
    stream = Stream(PlayedSource(8), [sink], "all", max_age_ms=0)
    run_one(stream, PlayedBackend(0.001))
    assert not sink.seen and stream.figures.snapshot().drops == {"too old": 8}


def test_a_viewer_chooses_a_region_and_pauses() -> None:
    sink = PlayedSink(0.002)
    stream = Stream(PlayedSource(interval_s=0.004, live=True), [sink], "newest")
    steps = iter(["region", "whole", "pause", "stop"])
    state = {"step": "", "seen": 0, "captured": 0}

    def tick() -> None:
        figures = stream.figures.snapshot()
        shown = len(sink.seen) - int(state["seen"])
        if state["step"] == "pause":
            if figures.captured - int(state["captured"]) < 20:
                return
            assert shown <= 3  # what was under way
        elif shown < 4:
            return
        state.update(step=next(steps), seen=len(sink.seen), captured=figures.captured)
        if state["step"] == "region":
            stream.controls.region = Region(12, 9, 8, 6)  # sticks out: moved inside
        elif state["step"] == "whole":
            stream.controls.region = None
        elif state["step"] == "pause":
            stream.controls.paused = True
        else:
            stream.controls.stop()

    with Network(lambda: [PlayedBackend()]) as network:
        run(network, [stream], on_tick=tick)
    assert {(24, 32, 3), (12, 16, 3)} == set(sink.shapes)
    assert stream.figures.snapshot().drops["paused"] >= 15


def test_models_of_two_scales_are_refused() -> None:
    other = PlayedBackend()
    object.__setattr__(other.spec, "scale", 4)
    with pytest.raises(InputError, match="several scales"):
        Network(lambda: [PlayedBackend(), other])
    assert other.closed


def test_the_steady_state_allocates_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[Pool] = []

    class CountedPool(Pool):
        def __init__(self) -> None:
            super().__init__()
            pools.append(self)

    monkeypatch.setattr(running_module, "Pool", CountedPool)
    size = 640, 480
    windows: list[int] = []  # bytes by which memory rose at most, where the pools did not grow
    mark = {"held": 0, "made": -1}

    def before(number: int) -> None:
        if number % 10:
            return
        made = sum(pool.made for pool in pools)
        held, peak = tracemalloc.get_traced_memory()
        if made == mark["made"]:
            windows.append(peak - mark["held"])
        mark.update(held=held, made=made)
        tracemalloc.reset_peak()

    tracemalloc.start()
    try:
        stream = Stream(
            PlayedSource(150, size=size), [PlayedSink(before=before)], "all", arrange=lambda _low, high: high
        )
        run_one(stream, PlayedBackend())
    finally:
        tracemalloc.stop()
    assert len(windows) >= 5 and mark["made"] <= 24
    assert max(windows) < size[0] * size[1] * 3, "a captured frame or more was allocated while the pools stood still"


def test_a_deadline_that_is_missed_brings_the_smaller_model_and_room_brings_the_better_one_back() -> None:
    large, small = PlayedBackend(0.08, name="large"), PlayedBackend(0.001, name="small")
    sink = PlayedSink()
    stream = Stream(PlayedSource(interval_s=INTERVAL_S, live=True), [sink], "newest", figures=Figures(deadline_ms=60))
    deadline = DeadlineController(["large", "small"], 60, missed_s=0.3, calm_s=0.3, retry_s=0.6)
    ran: list[str] = []
    stream.figures.on_frame.append(lambda _index, model, _stages: ran.append(model))
    end_s = time.monotonic() + LIMIT_S

    def tick() -> None:
        if ran and ran[-1] == "small":
            large.takes_s = 0.002  # the load is gone
        if ("small" in ran and ran[-1] == "large") or time.monotonic() > end_s:
            stream.controls.stop()

    with Network(lambda: [large, small]) as network:
        run(network, [stream], deadline=deadline, on_tick=tick)
    order = [model for model, _frames in groupby(ran)]
    assert order[:3] == ["large", "small", "large"]
    told = [event.text for event in stream.figures.snapshot().events]
    assert "missed the deadline" in told[0] and len(told) >= 2 and stream.figures.snapshot().misses > 0


def test_a_network_that_gives_black_is_told_while_it_runs() -> None:
    class Overflowing(PlayedBackend):
        def infer(self, pixels: Pixels) -> Pixels:
            return super().infer(pixels) * np.uint8(self.count < 10)

    source = PlayedSource(40)
    source._index = 60  # bright enough to tell
    source._frames = 100
    stream = Stream(source, [PlayedSink()], "all")
    run_one(stream, Overflowing())
    assert "black" in stream.figures.snapshot().events[0].text and stream.figures.snapshot().warnings


def test_a_region_of_another_size_is_refused_while_a_sink_has_one_size() -> None:
    sink = PlayedSink(0.002)
    sink.one_size = True
    stream = Stream(PlayedSource(interval_s=0.004, live=True), [sink], "newest", controls=Controls(Region(0, 0, 8, 6)))
    steps = iter([Region(4, 4, 8, 6), Region(0, 0, 10, 6), None])
    seen = 0

    def tick() -> None:
        nonlocal seen
        if len(sink.seen) - seen >= 4:
            seen = len(sink.seen)
            try:
                stream.controls.region = next(steps)
            except StopIteration:
                stream.controls.stop()

    with Network(lambda: [PlayedBackend()]) as network:
        run(network, [stream], on_tick=tick)
    assert set(sink.shapes) == {(12, 16, 3)} and stream.controls.region == Region(4, 4, 8, 6)
    assert [event.text for event in stream.figures.snapshot().events] == [
        "another size of region is refused: played must keep the one that it has"
    ] * 2
