"""edgesr-run: frames in, super-resolved frames out, and how long each step took."""

import json
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edgesr.runtime.backends import DEFAULT_MODEL, Backend, open_backend
from edgesr.runtime.command import Parser, command, size
from edgesr.runtime.compose import compare, fit
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output, replaced
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.pipeline import Arrange, run
from edgesr.runtime.report import latency_table, run_report
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import Source, open_source
from edgesr.runtime.timing import StageTimings

EXAMPLES = """sources: an image, a folder of images, a video file, pattern: (frames made on the fly)
sinks:   an image (.png .jpg …), a folder, a video (.mp4 .mkv .mov), window:, null:

examples:
  edgesr-run photo.jpg photo_x4.png
  edgesr-run clip.mp4 clip_x4.mp4 --model rdsrn_x4.onnx --start 0:10 --end 0:20
  edgesr-run clip.mp4 window: --compare
  edgesr-run clip.mp4 clip_x4.mp4 --model rdsrn_x4.engine --trust release.pub
  edgesr-run pattern: null: --frames 100 --report latency.json
"""


def parser() -> Parser:
    make = Parser("edgesr-run", "Super-resolve a stream of frames and tell the latency of every step.", EXAMPLES)
    make.add_argument("source")
    make.add_argument("sink", nargs="+")
    make.add_argument(
        "--model",
        default=str(DEFAULT_MODEL),
        help="an .onnx file or an .engine of edgesr-export, default:2, default:3, or bicubic (default: the shipped ECBSR x4)",
    )
    make.add_argument("--trust", type=Path, metavar="PUBLIC_KEY", help="run an engine only if this key signed its card")
    make.add_argument("--threads", type=int, help="of the network on the CPU (default: all cores)")
    make.add_argument("--frames", type=int, metavar="N", help="stop after N frames")
    make.add_argument(
        "--start", type=seconds, default=0.0, metavar="TIME", help="where in the video to begin: 12.5 or 1:02:03"
    )
    make.add_argument("--end", type=seconds, metavar="TIME", help="where to stop")
    make.add_argument("--compare", action="store_true", help="left half bicubic, right half super-resolved")
    make.add_argument("--fit", type=size, metavar="WxH", help="scale the result into a box, keeping its shape")
    make.add_argument("--report", type=Path, metavar="FILE", help="write the latency of every frame as JSON")
    make.add_argument("--force", action="store_true", help="overwrite outputs")
    make.add_argument("--quiet", action="store_true", help="no progress, no table")
    make.add_argument("--json", action="store_true", help="print the report as JSON instead of the table")
    return make


def seconds(text: str) -> float:
    """`12.5`, `1:02` or `1:02:03.5` -> seconds."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < float("inf") for part in parts):
        raise ArgumentTypeError(f"{text!r} is no time; expected seconds or H:MM:SS, such as 12.5 or 1:02:03")
    return float(sum(part * 60.0**power for power, part in enumerate(reversed(parts))))


def main_run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    if options.report:
        check_output(options.report, force=options.force)
    talk = Console(stderr=True, quiet=options.quiet, soft_wrap=True)
    with ExitStack() as stack:
        source = stack.enter_context(
            open_source(options.source, start_s=options.start, end_s=options.end, frames=options.frames)
        )
        backend = stack.enter_context(open_backend(options.model, threads=options.threads, trust=options.trust))
        if source.info.width and source.info.height:
            backend.spec.check_size(source.info.width, source.info.height)
        sinks = [stack.enter_context(open_sink(uri, source.info, force=options.force)) for uri in options.sink]
        progress = stack.enter_context(_progress(talk))
        step = _step(progress, source, backend)
        timings = run(source, backend, sinks, arrange=_arrange(options, backend.spec.scale), on_frame=step)
        if not timings.samples_ns:
            raise InputError(f"{options.source} gave no frame; expected at least one")
    notes = [*source.info.notes, *(note for sink in sinks for note in sink.notes)]
    for note in dict.fromkeys(notes):
        talk.print(f"note: {note}", markup=False, highlight=False)
    report = run_report(source.info, options.sink, backend, timings)
    if options.report:
        with replaced(options.report) as beside:
            beside.write_text(json.dumps(report) + "\n")
    if options.json:
        print(json.dumps(report))
    elif not options.quiet:
        Console().print(latency_table(timings, f"{source.info.title} through {backend.title}"))


def _arrange(options: Namespace, scale: int) -> Arrange | None:
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


def _progress(talk: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[latency]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=talk,
        transient=True,
        disable=not talk.is_terminal,
    )


def _step(progress: Progress, source: Source, backend: Backend) -> Callable[[Frame, StageTimings], None]:
    task = progress.add_task(backend.spec.title, total=source.info.frame_count, latency="")

    def step(_frame: Frame, timings: StageTimings) -> None:
        last = {stage: timings.samples_ns[stage][-1] / 1e6 for stage in ("network", "whole frame")}
        latency = f"network {last['network']:.0f} ms, frame {last['whole frame']:.0f} ms"
        progress.update(task, advance=1, latency=latency)

    return step


def main() -> None:
    sys.exit(command(main_run))


if __name__ == "__main__":
    main()
