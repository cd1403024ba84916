"""What a terminal shows of running streams: a bar where the end is known, a table of figures where there is none."""

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from edgesr.runtime.report import EXPLAINED
from edgesr.runtime.streaming.figures import AGE, RECENT_S, WHOLE_FRAME, Snapshot
from edgesr.runtime.streaming.stream import Stream

__all__ = ["View", "live_table"]

REFRESH_S = 0.5
EVENTS_SHOWN = 4


def live_table(title: str, figures: Snapshot) -> RenderableType:
    """Stages over the last seconds and over the whole run, rates, drops, and the last events."""
    table = Table(
        "stage", f"last {RECENT_S:.0f} s", "p95", "run: median", "p95", "p99", "max", "what it is", title=title
    )
    for column in table.columns[1:7]:
        column.justify = "right"
    for stage, run in figures.run.items():
        recent = figures.recent[stage]
        milliseconds = (recent.median_ms, recent.p95_ms, run.median_ms, run.p95_ms, run.p99_ms, run.max_ms)
        bold = "bold" if stage in (WHOLE_FRAME, AGE) else ""
        table.add_row(stage, *(f"{value:.2f}" for value in milliseconds), EXPLAINED.get(stage, ""), style=bold)
    lines = [
        (
            f"{figures.state}: {figures.model}, {figures.width}x{figures.height}, "
            f"{figures.captured_per_second:.1f} frames/s in, {figures.frames_per_second:.1f} shown"
        ),
        f"{figures.shown} shown, {figures.misses} late; dropped: "
        + (", ".join(f"{count} {reason}" for reason, count in figures.drops.items()) or "none"),
    ]
    notes = [Text(line) for line in lines]
    notes += [Text(f"! {warning}", style="bold red") for warning in figures.warnings]
    notes += [Text(f"{event.seconds:8.1f} s  {event.text}", style="dim") for event in figures.events[-EVENTS_SHOWN:]]
    return Group(table, *notes)


class View:
    """Shows the streams on a terminal while they run; a context manager. Anywhere else it shows nothing."""

    def __init__(self, console: Console, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._endless = any(stream.source.info.live for stream in streams)
        self._drawn_s = -float("inf")
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[latency]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            auto_refresh=False,
        )
        self._tasks = [
            self._progress.add_task(stream.source.info.title, total=stream.source.info.frame_count, latency="")
            for stream in streams
        ]

    def tick(self) -> None:
        """Draw, where the last time is long enough ago."""
        now_s = time.monotonic()
        if self._live is None or now_s - self._drawn_s < REFRESH_S:
            return
        self._drawn_s = now_s
        self._live.update(self._tables() if self._endless else self._bars(), refresh=True)

    def _tables(self) -> RenderableType:
        return Group(*(live_table(stream.source.info.title, stream.figures.snapshot()) for stream in self._streams))

    def _bars(self) -> RenderableType:
        for task, stream in zip(self._tasks, self._streams, strict=True):
            figures = stream.figures.snapshot()
            medians = {
                stage: figures.recent[stage].median_ms for stage in ("network", WHOLE_FRAME) if stage in figures.run
            }
            latency = ", ".join(f"{stage} {value:.0f} ms" for stage, value in medians.items())
            self._progress.update(task, completed=figures.shown, latency=latency)
        return self._progress

    def __enter__(self) -> "View":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()
