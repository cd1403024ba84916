"""edgesr-run: frames in, super-resolved frames out, and how long each step took."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from rich.console import Console

from edgesr.runtime.backends import Backend, open_backend
from edgesr.runtime.cameras import camera_table, cameras_of
from edgesr.runtime.command import Terminated, command
from edgesr.runtime.compose import compare, fit
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output, replaced
from edgesr.runtime.frame import Pixels
from edgesr.runtime.options import Way, parse
from edgesr.runtime.pipeline import Arrange
from edgesr.runtime.report import latency_table, run_report
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import Reconnection, open_source, redacted
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.deadline import DeadlineController
from edgesr.runtime.streaming.figures import Figures
from edgesr.runtime.streaming.log import Log
from edgesr.runtime.streaming.loop import run
from edgesr.runtime.streaming.machine import Machine, find_recorder
from edgesr.runtime.streaming.network import Network
from edgesr.runtime.streaming.notify import Notifier
from edgesr.runtime.streaming.stream import Stream
from edgesr.runtime.streaming.view import View
from edgesr.runtime.tiles import TiledBackend
from edgesr.runtime.timing import StageTimings


def main_run(arguments: Sequence[str]) -> None:
    options, ways = parse(arguments)
    if options.list_cameras:
        list_cameras(options.json)
        return
    if options.report:
        check_output(options.report, force=options.force)
    talk = Console(stderr=True, quiet=options.quiet, soft_wrap=True)
    recorder = find_recorder() if options.machine else None
    with ExitStack() as stack:
        network = stack.enter_context(Network(partial(open_models, options)))
        streams = [open_stream(stack, network, way, options) for way in ways]
        machine = Machine(recorder, lambda: shown(streams)) if recorder else None
        log = None
        if options.log:
            log = stack.enter_context(Log(options.log, force=options.force, machine=machine.stamp if machine else None))
            for number, stream in enumerate(streams):
                log.follow(stream.figures, number)
        notes = Notes(talk, streams)
        with recorded(machine, log, talk):
            try:
                run_streams(network, streams, options, talk, notes)
            except (KeyboardInterrupt, Terminated):
                for stream in streams:
                    if stream.source.info.live:  # it has no end of its own: what was recorded until now is the whole
                        for sink in stream.sinks:
                            sink.close()
                raise
        for stream, way in zip(streams, ways, strict=True):
            if not stream.figures.count("shown"):
                raise InputError(f"{redacted(way.source)} gave no frame; expected at least one")
    notes.tell()
    tell(network, streams, ways, options, machine)


def open_models(options: Namespace) -> list[Backend]:
    """Best first; nothing stays open where one cannot be opened."""
    with ExitStack() as stack:
        models = []
        for name in options.model:
            model = stack.enter_context(open_backend(name, threads=options.threads, trust=options.trust))
            if options.tile is not None:
                model = TiledBackend(model, None if options.tile == "auto" else options.tile)
            models.append(model)
        stack.pop_all()
    return models


def open_stream(stack: ExitStack, network: Network, way: Way, options: Namespace) -> Stream:
    """Source and sinks of one way; the stack closes them."""
    reconnection = Reconnection(attempts=options.attempts, frozen_s=options.frozen_s, on_resize=options.on_resize)
    source = stack.enter_context(
        open_source(
            way.source, start_s=options.start, end_s=options.end, frames=options.frames, reconnection=reconnection
        )
    )
    info = source.info
    if info.width and info.height:
        if options.roi:
            options.roi.check(info.width, info.height)
        width, height = (options.roi.width, options.roi.height) if options.roi else (info.width, info.height)
        for model in network.models:
            model.check_size(width, height)
    sinks = [stack.enter_context(open_sink(uri, info, force=options.force)) for uri in way.sinks]
    return Stream(
        source,
        sinks,
        options.policy or ("newest" if info.live else "all"),
        every=options.every,
        max_age_ms=options.max_age_ms,
        frames=options.frames if info.live else None,
        arrange=arrange_for(options, network.scale),
        time_code=options.time_code,
        figures=Figures(deadline_ms=options.deadline_ms, samples=None if info.live else StageTimings()),
        controls=Controls(options.roi),
    )


def arrange_for(options: Namespace, scale: int) -> Arrange | None:
    steps: list[Callable[[Pixels, Pixels], Pixels]] = []
    if options.compare:
        steps.append(lambda low, high: compare(low, high, scale))
    if options.fit:
        steps.append(lambda _low, high: fit(high, *options.fit))
    if not steps:
        return None

    def arrange(low: Pixels, high: Pixels) -> Pixels:
        for step in steps:
            high = step(low, high)
        return high

    return arrange


class Notes:
    """What sources and sinks had to change or assume: each line once. Of a live stream from its first frame on, else at the end."""

    def __init__(self, talk: Console, streams: Sequence[Stream]) -> None:
        self._talk, self._streams = talk, streams
        self._told: set[str] = set()

    def tell(self, *, live: bool = False) -> None:
        for stream in self._streams:
            if live and not (stream.source.info.live and stream.figures.count("shown")):
                continue
            for note in [*stream.source.info.notes, *(note for sink in stream.sinks for note in sink.notes)]:
                if note not in self._told:
                    self._told.add(note)
                    self._talk.print(f"note: {note}", markup=False, highlight=False)


def shown(streams: Sequence[Stream]) -> int:
    return sum(stream.figures.count("shown") for stream in streams)


@contextmanager
def recorded(machine: Machine | None, log: Log | None, talk: Console) -> Iterator[None]:
    """The machine's state is recorded meanwhile, and told afterwards, also where a stream without end is broken off."""
    if machine is None:
        yield
        return
    for note in machine.notes:
        talk.print(f"note: {note}", markup=False, highlight=False)
    try:
        with machine:
            yield
    finally:
        for line in machine.lines:
            talk.print(f"machine: {line}", markup=False, highlight=False)
        if log and machine.summary is not None:
            log.write({"summary": machine.summary})


def run_streams(network: Network, streams: Sequence[Stream], options: Namespace, talk: Console, notes: Notes) -> None:
    """Run them with everything that looks on: the terminal, systemd, the deadline."""
    notifier = Notifier()
    deadline = None
    if len(network.models) > 1:
        deadline = DeadlineController([model.title for model in network.models], options.deadline_ms)
    with View(talk, streams) as view:

        def tick() -> None:
            view.tick()
            notes.tell(live=True)
            count = shown(streams)
            notifier.frames(count, f"{count} frames shown")

        try:
            run(network, streams, deadline=deadline, on_tick=tick)
        finally:
            notifier.stopping()


def tell(
    network: Network, streams: Sequence[Stream], ways: Sequence[Way], options: Namespace, machine: Machine | None
) -> None:
    """The report, as a table, as JSON, in a file."""
    reports = []
    for stream, way in zip(streams, ways, strict=True):
        model, figures = network.models[0], stream.figures
        told = figures.snapshot().to_dict() if figures.samples is None else figures.samples.to_dict()
        reports.append(
            run_report(stream.source.info, [redacted(uri) for uri in way.sinks], model.spec, model.settings, told)
        )
    report: dict[str, object] = reports[0] if len(reports) == 1 else {"streams": reports}
    if machine:
        report["machine"] = machine.summary
    if options.report:
        with replaced(options.report) as beside:
            beside.write_text(json.dumps(report) + "\n")
    if options.json:
        print(json.dumps(report))
    elif not options.quiet:
        for stream in streams:
            table = latency_table(
                stream.figures.distributions(), f"{stream.source.info.title} through {network.models[0].title}"
            )
            Console().print(table)


def list_cameras(as_json: bool) -> None:
    cameras = cameras_of()
    if as_json:
        print(json.dumps([camera.to_dict() for camera in cameras]))
    elif cameras:
        Console().print(camera_table(cameras))
    else:
        print("no camera was found: no /dev/video* is there, and no camera daemon of a Jetson")


def main() -> None:
    sys.exit(command(main_run))


if __name__ == "__main__":
    main()
