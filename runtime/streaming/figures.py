"""What a stream tells of itself: stages, ages, drops and events, over the whole run and over the last seconds."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from threading import Lock

import numpy as np

from edgesr.runtime.timing import Distribution, StageTimings, distribution

__all__ = ["AGE", "BY_TIME_CODE", "WHOLE_FRAME", "Event", "Figures", "RunningDistribution", "Snapshot"]

AGE, WHOLE_FRAME = "age", "whole frame"
"""Stages: from the capture of a frame until it was shown; all the work done for it, waiting left out."""

BY_TIME_CODE = "age by time code"
"""The age once more, read back from the picture."""

RECENT_S = 5.0
EVENTS = 50  # kept for tables and pages; a log keeps all


class RunningDistribution:
    """Percentiles of a run without end: durations counted in buckets that grow by 1 %, so each figure is right to 0.5 %;
    count and maximum are exact. 16 KiB, however long it runs."""

    GROWTH = math.log(1.01)
    LOWEST_NS, BUCKETS = 1_000, 2_100  # 1 microsecond to 20 minutes; what lies outside counts as the nearest

    def __init__(self) -> None:
        self._counts = np.zeros(self.BUCKETS, np.int64)
        self._max_ns = 0

    def add(self, duration_ns: int) -> None:
        bucket = int(math.log(max(duration_ns, self.LOWEST_NS) / self.LOWEST_NS) / self.GROWTH)
        self._counts[min(bucket, self.BUCKETS - 1)] += 1
        self._max_ns = max(self._max_ns, duration_ns)

    def distribution(self) -> Distribution:
        """All NaN where there is no sample."""
        below = np.cumsum(self._counts)
        count = int(below[-1])
        if not count:
            return distribution(())
        ranks = [max(1, math.ceil(share * count)) for share in (0.5, 0.95, 0.99)]
        median, p95, p99 = (self._middle_ms(int(np.searchsorted(below, rank))) for rank in ranks)
        return Distribution(count, median, p95, p99, self._max_ns / 1e6)

    def _middle_ms(self, bucket: int) -> float:
        """Of a bucket, but no more than the largest sample."""
        middle_ns = self.LOWEST_NS * math.exp((bucket + 0.5) * self.GROWTH)
        return min(middle_ns, self._max_ns) / 1e6


@dataclass(frozen=True)
class Event:
    """seconds: since the stream began."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Snapshot:
    """Figures at one moment. Distributions are in milliseconds, by stage; `recent` is of the last seconds.

    captured: frames that the source gave. shown: frames that the first sink took. frames_per_second: shown ones, recently.
    drops: frames that were not shown, by reason. misses: frames that were shown later than the deadline.
    model: what runs now. state: "starting", "running", "paused", "source lost" or "over".
    warnings: what is wrong with the picture now ("black"), in words.
    """

    seconds: float
    state: str
    model: str
    width: int
    height: int
    captured: int
    shown: int
    frames_per_second: float
    captured_per_second: float
    drops: dict[str, int]
    misses: int
    run: dict[str, Distribution]
    recent: dict[str, Distribution]
    events: list[Event]
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """JSON-ready; a distribution without samples has null for its figures."""
        values = asdict(self)
        for name in ("run", "recent"):
            values[name] = {
                stage: {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in d.items()}
                for stage, d in values[name].items()
            }
        return values


class Figures:
    """Fed by the threads of one stream, read by tables, sinks and logs. Every method may be called from any thread.

    deadline_ms: an age above it is a miss; None: there is none.
    samples: gets every sample as well, where a run has an end and a report is wanted.
    on_frame (index, model, ns by stage), on_drop (reason, count), on_event: called as they happen, for a log; in the thread in
        which it happens.
    """

    def __init__(
        self,
        *,
        deadline_ms: float | None = None,
        samples: StageTimings | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.deadline_ms = deadline_ms
        self.samples = samples
        self.on_frame: list[Callable[[int, str, dict[str, int]], None]] = []
        self.on_drop: list[Callable[[str, int], None]] = []
        self.on_event: list[Callable[[Event], None]] = []
        self._clock = clock
        self._began_ns = clock()
        self._lock = Lock()
        self._run: dict[str, RunningDistribution] = {}
        self._recent: dict[str, deque[tuple[int, int]]] = {}
        self._arrivals: dict[str, deque[int]] = {"captured": deque(), "shown": deque()}
        self._counts = Counter[str]()
        self._drops = Counter[str]()
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._warnings: list[str] = []
        self._state, self._model, self._size = "starting", "", (0, 0)

    def add(self, stage: str, duration_ns: int) -> None:
        """One sample of a stage."""
        now = self._clock()
        with self._lock:
            if stage not in self._run:
                self._run[stage], self._recent[stage] = RunningDistribution(), deque()
            self._run[stage].add(duration_ns)
            recent = self._recent[stage]
            recent.append((now, duration_ns))
            while recent[0][0] < now - RECENT_S * 1e9:
                recent.popleft()
            if self.samples is not None:
                self.samples.add(stage, duration_ns)

    def captured(self) -> None:
        """The source gave a frame."""
        self._arrived("captured")

    @property
    def silent_s(self) -> float:
        """Since the source gave a frame, or since the stream began."""
        with self._lock:
            return (self._clock() - (self._arrivals["captured"] or [self._began_ns])[-1]) / 1e9

    def shown(self, index: int, age_ns: int, model: str, stages_ns: dict[str, int]) -> None:
        """The first sink took a frame, so long after its capture."""
        self._arrived("shown")
        if self.deadline_ms is not None and age_ns / 1e6 > self.deadline_ms:
            with self._lock:
                self._counts["misses"] += 1
        for tell in self.on_frame:
            tell(index, model, stages_ns)

    def drop(self, reason: str, count: int = 1) -> None:
        """Frames that will not be shown: "newer came", "too old", "paused", "every", "corrupt", ..."""
        with self._lock:
            self._drops[reason] += count
        for tell in self.on_drop:
            tell(reason, count)

    def event(self, text: str) -> None:
        """Something that a user wants to know later: lost, back again, another model."""
        event = Event((self._clock() - self._began_ns) / 1e9, text)
        with self._lock:
            self._events.append(event)
        for tell in self.on_event:
            tell(event)

    def tell(self, *, state: str | None = None, model: str | None = None, size: tuple[int, int] | None = None) -> None:
        """What the stream is doing now; size: width and height of what goes into the network."""
        with self._lock:
            self._state = self._state if state is None else state
            self._model = self._model if model is None else model
            self._size = self._size if size is None else size

    def warn(self, warnings: list[str]) -> None:
        """What is wrong with the picture now, in place of what was; new ones become events."""
        with self._lock:
            new = [warning for warning in warnings if warning not in self._warnings]
            self._warnings = list(warnings)
        for warning in new:
            self.event(warning)

    def count(self, what: str) -> int:
        """Of "captured" frames, "shown" ones, or "misses"."""
        with self._lock:
            return self._counts[what]

    def distributions(self) -> dict[str, Distribution]:
        """Of the whole run, by stage; exact where every sample was kept."""
        with self._lock:
            if self.samples is not None:
                return self.samples.distributions()
            return {stage: running.distribution() for stage, running in self._run.items()}

    def snapshot(self) -> Snapshot:
        now = self._clock()
        with self._lock:
            recent = {
                stage: [duration for at, duration in samples if at >= now - RECENT_S * 1e9]
                for stage, samples in self._recent.items()
            }
            return Snapshot(
                seconds=(now - self._began_ns) / 1e9,
                state=self._state,
                model=self._model,
                width=self._size[0],
                height=self._size[1],
                captured=self._counts["captured"],
                shown=self._counts["shown"],
                frames_per_second=self._rate("shown", now),
                captured_per_second=self._rate("captured", now),
                drops=dict(self._drops),
                misses=self._counts["misses"],
                run={stage: running.distribution() for stage, running in self._run.items()},
                recent={stage: distribution(samples) for stage, samples in recent.items()},
                events=list(self._events),
                warnings=list(self._warnings),
            )

    def _arrived(self, what: str) -> None:
        now = self._clock()
        with self._lock:
            self._counts[what] += 1
            arrivals = self._arrivals[what]
            arrivals.append(now)
            while arrivals[0] < now - RECENT_S * 1e9:
                arrivals.popleft()

    def _rate(self, what: str, now: int) -> float:
        """A second, over the last seconds, or over the time since the first where that is less."""
        arrivals = [at for at in self._arrivals[what] if at >= now - RECENT_S * 1e9]
        if len(arrivals) < 2:
            return 0.0
        return (len(arrivals) - 1) / max((now - arrivals[0]) / 1e9, 1e-9)
