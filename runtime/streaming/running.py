"""A stream on its way, step by step: what each of its threads does with a frame."""

import time
from collections import deque
from dataclasses import dataclass, replace
from threading import Condition

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.region import Region
from edgesr.runtime.streaming.figures import AGE, BY_TIME_CODE, WHOLE_FRAME
from edgesr.runtime.streaming.health import Health
from edgesr.runtime.streaming.pool import Picture, Pool
from edgesr.runtime.streaming.slot import Slot
from edgesr.runtime.streaming.stream import Stream
from edgesr.runtime.timecode import read as read_time_code

__all__ = ["Passage", "Running"]

ROOM = {"newest": 1, "all": 2}
"""Items that a slot holds: with `all`, one more than is being worked on keeps every thread busy."""

PAUSE_S = 0.02
SILENT_S = 2.0  # without a frame before a live source counts as lost
WORK = ("read", "decode", "infer", "arrange", "write")
"""The stages that make up the whole frame: what was done for it, waiting in slots left out, which is in its age."""

STOPPED = "stopped"


@dataclass(eq=False)
class Passage:
    """A frame between two threads; every holder releases it once.

    frame: its place in the stream; its own pixels belong to the source and are gone.
    low: as captured. part: what the network is given of it, a view. high: the result, once there is one.
    stages_ns: how long each step took for this frame, waiting left out.
    """

    frame: Frame
    low: Picture
    part: Pixels
    stages_ns: dict[str, int]
    high: Picture | None = None
    model: str = ""
    scale: int = 1

    def share(self) -> "Passage":
        self.low.share()
        if self.high is not None:
            self.high.share()
        return replace(self)

    def release(self) -> None:
        self.low.release()
        if self.high is not None:
            self.high.release()


class Running:
    """A stream while it runs: its slots, and what each of its threads does (`edgesr.runtime.streaming.loop` starts them)."""

    def __init__(self, stream: Stream, network_turn: Condition) -> None:
        self.stream, self.figures, self.controls = stream, stream.figures, stream.controls
        policy, room = stream.policy, ROOM[stream.policy]
        self.captured: Slot[Passage] = Slot(policy, self._superseded, room=room, changed=network_turn)
        self.inferred: Slot[Passage] = Slot(policy, self._superseded, room=room)
        self.outlets: list[Slot[Passage]] = [
            Slot(policy, Passage.release if number else self._superseded, room=room)
            for number, _sink in enumerate(stream.sinks)
        ]
        self._low, self._high, self._arranged = Pool(), Pool(), Pool()
        self._health = Health()
        self._one_size = any(sink.one_size for sink in stream.sinks)
        self._wanted = stream.controls.region
        self._told_drops: dict[str, int] = {}
        self._count = 0
        self.ages_ns: deque[int] = deque(maxlen=1)

    @property
    def pictures_made(self) -> int:
        """How many times frame memory was allocated: a handful, however long the stream is."""
        return self._low.made + self._high.made + self._arranged.made

    # In the capture thread

    def capture(self) -> None:
        """Read until the source ends or the stream is stopped."""
        source, info = self.stream.source, self.stream.source.info
        while not self.controls.stopping.is_set():
            began = time.perf_counter_ns()
            frame = source.read()
            work_ns = time.perf_counter_ns() - began
            self._tell_drops()
            if frame is None:
                break
            if info.live:  # the rest is waiting for the camera
                work_ns = max(0, frame.decoded_ns - frame.captured_ns)
            self.figures.captured()
            if self._is_wanted(frame):
                low = self._low.copy(frame.pixels)
                stage = "decode" if info.live else "read"
                self.figures.add(stage, work_ns)
                self.captured.put(Passage(frame, low, low.pixels, {stage: work_ns}))
        self.captured.close()

    def _is_wanted(self, frame: Frame) -> bool:
        if frame.index % self.stream.every:
            self.figures.drop("every")
            return False
        while self.controls.paused and not self.controls.stopping.is_set():
            if self.stream.policy == "newest":
                self.figures.drop("paused")
                return False
            self.controls.stopping.wait(PAUSE_S)
        return True

    def _tell_drops(self) -> None:
        """What the source itself left out since the last time."""
        for reason, count in self.stream.source.drops.items():
            if new := count - self._told_drops.get(reason, 0):
                self.figures.drop(reason, new)
                self._told_drops[reason] = count

    # In the network's thread

    def infer(self, passage: Passage, backend: Backend) -> None:
        """Super-resolve a captured frame and hand it on."""
        began = time.perf_counter_ns()
        if reason := self._why_not(passage, began):
            self.figures.drop(reason)
            passage.release()
            return
        passage.part = part = self._part(passage.part)
        high = backend.infer(part)
        passage.high, passage.model, passage.scale = self._high.copy(high), backend.title, backend.spec.scale
        if self._health.see(part, high, backend.spec.scale):
            self.figures.warn(self._health.now)
        took_ns = time.perf_counter_ns() - began
        for stage, duration_ns in {"network": backend.network_ns, **backend.copies_ns, "infer": took_ns}.items():
            self._add(passage, stage, duration_ns)
        self.figures.tell(model=backend.title, size=(part.shape[1], part.shape[0]))
        if self.stream.arrange is None:
            self._hand_out(passage)
        else:
            self.inferred.put(passage)
        self._count += 1
        if self._count == self.stream.frames:
            self.controls.stop()

    def _why_not(self, passage: Passage, now_ns: int) -> str:
        """Why a captured frame is not super-resolved; "" where it is."""
        if self.controls.stopping.is_set():
            return STOPPED
        limit_ms = self.stream.max_age_ms
        if limit_ms is not None and now_ns - passage.frame.captured_ns > limit_ms * 1e6:
            return "too old"
        return ""

    def _part(self, whole: Pixels) -> Pixels:
        """What a viewer wants of the frame; another size, where a sink cannot take it, is refused and told."""
        height, width = whole.shape[:2]
        wanted = self.controls.region
        changed = _size_of(wanted, width, height) != _size_of(self._wanted, width, height)
        if changed and self._one_size and self._count:
            title = next(sink.title for sink in self.stream.sinks if sink.one_size)
            self.figures.event(f"another size of region is refused: {title} must keep the one that it has")
            self.controls.region = wanted = self._wanted
        self._wanted = wanted
        return whole if wanted is None else wanted.within(width, height).of(whole)

    def after_network(self) -> None:
        """No more frames will be super-resolved."""
        self.inferred.close()
        if self.stream.arrange is None:
            self._close_outlets()

    # In a thread of its own, where there is something to arrange

    def arrange(self) -> None:
        arrange = self.stream.arrange
        assert arrange is not None
        while (passage := self.inferred.take()) is not None:
            assert passage.high is not None
            began = time.perf_counter_ns()
            whole = passage.high
            passage.high = self._arranged.copy(arrange(passage.part, whole.pixels))
            whole.release()
            self._add(passage, "arrange", time.perf_counter_ns() - began)
            self._hand_out(passage)
        self._close_outlets()

    def _hand_out(self, passage: Passage) -> None:
        for outlet in self.outlets:
            outlet.put(passage.share())
        passage.release()

    def _close_outlets(self) -> None:
        for outlet in self.outlets:
            outlet.close()

    # In each sink's thread

    def output(self, number: int, timeout_s: float | None = None) -> bool:
        """Write the next frame to a sink; False when there will be none. With a timeout: True where none came in time."""
        sink, outlet = self.stream.sinks[number], self.outlets[number]
        passage = outlet.take(timeout_s)
        if passage is None:
            return not outlet.over
        assert passage.high is not None
        try:
            if sink.wants_more:
                began = time.perf_counter_ns()
                sink.write(replace(passage.frame, pixels=passage.high.pixels, low=passage.part))
                self._count_shown(number, passage, began, time.perf_counter_ns())
        finally:
            passage.release()
        if not sink.wants_more:
            self.controls.stop()
        return True

    def _count_shown(self, number: int, passage: Passage, began: int, shown: int) -> None:
        age_ns = shown - passage.frame.captured_ns
        if number:
            mark = f" → {self.stream.sinks[number].title}"
            self.figures.add(f"write{mark}", shown - began)
            self.figures.add(f"{AGE}{mark}", age_ns)
            return
        assert passage.high is not None
        self._add(passage, "write", shown - began)
        self._add(passage, WHOLE_FRAME, sum(passage.stages_ns.get(stage, 0) for stage in WORK))
        self._add(passage, AGE, age_ns)
        if self.stream.time_code and (drawn_ns := read_time_code(passage.high.pixels, passage.scale)) is not None:
            self._add(passage, BY_TIME_CODE, shown - drawn_ns)
        self.figures.shown(passage.frame.index, age_ns, passage.model, passage.stages_ns)
        self.ages_ns.append(age_ns)

    def _add(self, passage: Passage, stage: str, duration_ns: int) -> None:
        passage.stages_ns[stage] = duration_ns
        self.figures.add(stage, duration_ns)

    def _superseded(self, passage: Passage) -> None:
        self.figures.drop(STOPPED if self.controls.stopping.is_set() else "newer came")
        passage.release()

    # In the main thread

    def watch(self) -> None:
        """What nobody else notices: a source that gives nothing, a viewer's wish to end."""
        if self.controls.stopping.is_set():
            self.stream.source.interrupt()
        if self.stream.source.info.live:
            lost = self.figures.silent_s > SILENT_S
            self.figures.tell(state="source lost" if lost else "paused" if self.controls.paused else "running")

    # From any thread

    def abort(self) -> None:
        """End all threads of the stream soon; what waits is dropped."""
        self.controls.stop()
        self.stream.source.interrupt()
        for slot in (self.captured, self.inferred, *self.outlets):
            slot.abort()


def _size_of(region: Region | None, width: int, height: int) -> tuple[int, int]:
    """Of that region in a frame of width x height."""
    return (width, height) if region is None else (min(region.width, width), min(region.height, height))
