"""What the loop of streams costs on top of the network: frames through `edgesr.runtime.streaming` against the bare backend.

A round gives both a turn of as many frames, the order changing from round to round, in the same thread with the same model and
the same pixels. A turn's figure is the time between two results, averaged over the turn: for the bare backend between two
`infer`, for the stream between two frames at a sink that keeps nothing. So what the loop does beside the network costs only
where it holds up the network. Then a live stream is run, and the age of what is shown is told.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgesr.benchmarks.machine import Machine, this_machine
from edgesr.benchmarks.settings import LEAST_ROUNDS
from edgesr.benchmarks.statistics import Ratio, Summary, ratio_of_medians, summary
from edgesr.runtime.backends import Backend, open_backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources import open_source
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.streaming.figures import AGE
from edgesr.runtime.streaming.loop import run
from edgesr.runtime.streaming.network import Network
from edgesr.runtime.streaming.stream import Stream
from edgesr.runtime.timing import Distribution

__all__ = ["StreamResult", "StreamSettings", "measure_stream", "stream_json", "stream_table"]

KIND = "edgesr-bench stream"
SCHEMA = 1
PICTURES = 8  # different frames, again and again: made before anything is timed
WARM_UP_TURNS = 2
ALLOWED_SHARE, ALLOWED_MS = 0.05, 2.0  # of a frame's time on top of the network, whichever is larger


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """model: as `open_backend` takes it. frames: of a turn. live_fps, live_frames: of the live stream."""

    model: str
    width: int
    height: int
    threads: int | None = None
    rounds: int = 20
    frames: int = 40
    live_fps: float = 30.0
    live_frames: int = 150

    def __post_init__(self) -> None:
        if self.rounds < LEAST_ROUNDS:
            raise InputError(f"rounds is {self.rounds}; expected at least {LEAST_ROUNDS}: fewer give no interval")
        for name in ("frames", "live_frames"):
            if getattr(self, name) < 2:
                raise InputError(f"{name.replace('_', '-')} is {getattr(self, name)}; expected 2 or more")
        if not self.live_fps > 0:
            raise InputError(f"fps is {self.live_fps:g}; expected more than 0")


@dataclass(frozen=True, kw_only=True)
class StreamResult:
    """bare_ns, stream_ns: time a frame of each round's turn. live: stages of the live stream, `age` among them."""

    settings: StreamSettings
    machine: Machine
    started: str
    title: str
    bare_ns: tuple[int, ...]
    stream_ns: tuple[int, ...]
    live: dict[str, Distribution]
    live_drops: dict[str, int]

    @property
    def bare(self) -> Summary:
        return summary(self.bare_ns)

    @property
    def stream(self) -> Summary:
        return summary(self.stream_ns)

    @property
    def ratio(self) -> Ratio:
        return ratio_of_medians(self.stream_ns, self.bare_ns, seed=0)

    @property
    def overhead_ms(self) -> float:
        """Median over rounds of what a frame takes more in the stream."""
        return float(np.median(np.subtract(self.stream_ns, self.bare_ns))) / 1e6

    @property
    def allowed_ms(self) -> float:
        return max(ALLOWED_SHARE * self.bare.median_ms, ALLOWED_MS)

    @property
    def is_met(self) -> bool:
        return self.overhead_ms <= self.allowed_ms


class Still(Source):
    """The same few pictures again and again."""

    def __init__(self, pictures: Sequence[Pixels], frames: int) -> None:
        height, width = pictures[0].shape[:2]
        self.info = StreamInfo(title="pictures in memory", width=width, height=height, frame_count=frames)
        self._pictures, self._frames, self._index = pictures, frames, 0

    def read(self) -> Frame | None:
        if self._index == self._frames:
            return None
        frame = Frame(self._pictures[self._index % len(self._pictures)], self._index, time.perf_counter_ns())
        self._index += 1
        return frame


class Stamps(Sink):
    """Keeps the time at which each frame came, and nothing else."""

    title = "null:"

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.at_ns: list[int] = []

    def write(self, frame: Frame) -> None:
        self.at_ns.append(time.perf_counter_ns())


def measure_stream(settings: StreamSettings, *, tell: Callable[[str], None] = lambda _line: None) -> StreamResult:
    """Raises what `open_backend` raises, and InputError for a size that the model cannot take."""
    machine = this_machine()
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    size = f"{settings.width}x{settings.height}"
    with open_source(f"pattern:natural?size={size}&frames={PICTURES}&scale=1") as source:
        pictures = [frame.pixels.copy() for frame in source]
    with Network(lambda: [open_backend(settings.model, threads=settings.threads)]) as network:
        network.models[0].spec.check_size(settings.width, settings.height)
        bare: list[int] = []
        stream: list[int] = []
        turns: list[tuple[list[int], Callable[[], list[int]]]] = [
            (bare, lambda: network.start(lambda backends: _bare(backends[0], pictures, settings.frames)).result()),
            (stream, lambda: _streamed(network, pictures, settings.frames)),
        ]
        for number in range(WARM_UP_TURNS + settings.rounds):
            tell(f"round {number - WARM_UP_TURNS + 1} of {settings.rounds}")
            for kept, turn in turns[:: 1 if number % 2 else -1]:
                kept.append(_between(turn()))
        tell("live")
        live, drops = _live(network, settings)
        return StreamResult(
            settings=settings,
            machine=machine,
            started=started,
            title=network.models[0].title,
            bare_ns=tuple(bare[WARM_UP_TURNS:]),
            stream_ns=tuple(stream[WARM_UP_TURNS:]),
            live=live,
            live_drops=drops,
        )


def _bare(backend: Backend, pictures: Sequence[Pixels], frames: int) -> list[int]:
    at_ns = []
    for index in range(frames):
        backend.infer(pictures[index % len(pictures)])
        at_ns.append(time.perf_counter_ns())
    return at_ns


def _streamed(network: Network, pictures: Sequence[Pixels], frames: int) -> list[int]:
    sink = Stamps()
    run(network, [Stream(Still(pictures, frames), [sink], "all")])
    return sink.at_ns


def _between(at_ns: Sequence[int]) -> int:
    """Mean time between two results of one turn."""
    return round(float(np.mean([after - before for before, after in pairwise(at_ns)])))


def _live(network: Network, settings: StreamSettings) -> tuple[dict[str, Distribution], dict[str, int]]:
    uri = f"pattern:natural?size={settings.width}x{settings.height}&scale=1&live=1&fps={settings.live_fps:g}&timecode=1"
    with open_source(uri) as source:
        stream = Stream(source, [Stamps()], "newest", frames=settings.live_frames, time_code=True)
        run(network, [stream])
    return stream.figures.distributions(), stream.figures.snapshot().drops


def stream_table(result: StreamResult) -> Group:
    """For a terminal."""
    settings, machine = result.settings, result.machine
    head = Text(
        f"{result.title} at {settings.width}x{settings.height}, {settings.rounds} rounds of {settings.frames} frames\n"
        f"{machine.name}, {machine.cores} cores, {machine.load_text}; {result.started}",
        "bold",
    )
    costs = Table("", "ms a frame (p5–p95)", "frames/s")
    for name, found in (("bare backend", result.bare), ("through the stream", result.stream)):
        costs.add_row(name, f"{found.median_ms:.2f} ({found.p5_ms:.2f}–{found.p95_ms:.2f})", f"{found.per_second:.1f}")
    ratio = result.ratio
    verdict = Text(
        f"the stream's own cost: {result.overhead_ms:+.2f} ms a frame, ratio {ratio.value:.3f} ({ratio.low:.3f}–{ratio.high:.3f}); "
        f"at most {result.allowed_ms:.2f} ms allowed: {'met' if result.is_met else 'missed'}"
    )
    ages = Table("stage, ms", "median", "p95", "p99", "max", title=f"live at {settings.live_fps:g} frames/s")
    for stage, d in result.live.items():
        style = "bold" if stage == AGE else ""
        ages.add_row(stage, *(f"{v:.2f}" for v in (d.median_ms, d.p95_ms, d.p99_ms, d.max_ms)), style=style)
    drops = ", ".join(f"{count} {reason}" for reason, count in result.live_drops.items()) or "none"
    return Group(head, costs, verdict, ages, Text(f"dropped: {drops}"))


def stream_json(result: StreamResult) -> str:
    """Everything, every round's figure included."""
    document = {"schema": SCHEMA, "kind": KIND, **asdict(result)} | {
        "bare": asdict(result.bare),
        "stream": asdict(result.stream),
        "ratio": asdict(result.ratio),
        "overhead_ms": result.overhead_ms,
        "allowed_ms": result.allowed_ms,
        "is_met": result.is_met,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
