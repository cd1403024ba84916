"""edgesr-bench: how fast and how good, model against model."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.plot import check_plot, draw_plot
from edgesr.benchmarks.report import latency_json, latency_markdown, latency_table
from edgesr.benchmarks.stream import StreamSettings, measure_stream, stream_json, stream_table
from edgesr.runtime.command import Parser, command, size
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output, replaced

EXAMPLES = """examples:
  edgesr-bench latency ecbsr_x4.cpu.onnx bicubic --size 320x180
  edgesr-bench latency rdsrn_x4.onnx carn_x4.onnx --size 160x90 --budget 5m --json report.json --markdown report.md
  edgesr-bench latency rdsrn_x4.onnx ecbsr_x4.cpu.onnx --size 160x90 --data Set5 --plot quality.png
  edgesr-bench latency ecbsr_x4.bare.onnx ecbsr_x4.cpu.onnx --size 320x180    what bytes in and out cost
  edgesr-bench stream --size 320x180    what the loop costs on top of the network
"""

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """`90s`, `5m`, `1h`, `1.5m` -> seconds, for argparse's `type`."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no duration; expected a number with s, m or h, such as 90s or 5m"
        )
    return float(found[1]) * SECONDS[found[2]]


def parser() -> Parser:
    make = Parser("edgesr-bench", "Measure models against each other.", EXAMPLES)
    verbs = make.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    latency = verbs.add_parser(
        "latency",
        help="network and whole-frame time of models, interleaved",
        description="Time models round by round on the same frames; the first is what the others are compared with.",
        examples=EXAMPLES,
    )
    latency.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help=".onnx files of edgesr-export, default (default:2), or bicubic (bicubic:2)",
    )
    latency.add_argument("--size", type=size, metavar="WxH", required=True, help="of the input, such as 320x180")
    latency.add_argument("--threads", type=int, help="of the networks on the CPU (default: all cores)")
    latency.add_argument("--rounds", type=int, help="how many (default: 30, or what the budget holds)")
    latency.add_argument("--budget", type=duration, metavar="TIME", help="for warm-up and rounds: 90s, 5m, 1h")
    latency.add_argument(
        "--data", action="append", default=[], metavar="FOLDER", help="full-size images for PSNR, SSIM"
    )
    latency.add_argument("--seed", type=int, default=0, help="of the order in each round and of the intervals")
    latency.add_argument("--json", type=Path, metavar="FILE", help="write everything, every sample included")
    latency.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    latency.add_argument("--plot", type=Path, metavar="FILE.png", help="draw whole-frame time against PSNR")
    latency.add_argument("--force", action="store_true", help="overwrite these files")
    add_stream(verbs)
    return make


def add_stream(verbs: "argparse._SubParsersAction[Parser]") -> None:
    stream = verbs.add_parser(
        "stream",
        help="what the loop of streams costs on top of the network, and the age of a live frame",
        description="Frames through the loop against the bare backend, turn by turn; then a live stream.",
    )
    stream.add_argument("model", nargs="?", default="default", metavar="MODEL", help="as edgesr-run takes it")
    stream.add_argument("--size", type=size, metavar="WxH", default=(320, 180), help="of the input (default: 320x180)")
    stream.add_argument("--threads", type=int, help="of the network on the CPU (default: all cores)")
    stream.add_argument("--rounds", type=int, default=20, help="turns of each (default: 20)")
    stream.add_argument("--frames", type=int, default=40, help="of a turn (default: 40)")
    stream.add_argument("--fps", type=float, default=30.0, help="of the live stream (default: 30)")
    stream.add_argument("--live-frames", type=int, default=150, help="of the live stream (default: 150)")
    stream.add_argument("--json", type=Path, metavar="FILE", help="write everything")
    stream.add_argument("--force", action="store_true", help="overwrite the file")


def run_stream(options: argparse.Namespace) -> None:
    if options.json is not None:
        check_output(options.json, force=options.force)
    settings = StreamSettings(
        model=options.model,
        width=options.size[0],
        height=options.size[1],
        threads=options.threads,
        rounds=options.rounds,
        frames=options.frames,
        live_fps=options.fps,
        live_frames=options.live_frames,
    )
    with Console(stderr=True).status("opening the model") as status:
        result = measure_stream(settings, tell=lambda line: status.update(line))
    if options.json is not None:
        with replaced(options.json) as beside:
            beside.write_text(stream_json(result), encoding="utf-8")
    Console(highlight=False).print(stream_table(result))


def run_latency(options: argparse.Namespace) -> None:
    outputs = [path for path in (options.json, options.markdown, options.plot) if path is not None]
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise InputError("two of --json, --markdown and --plot name the same file; choose different ones")
    for path in outputs:
        if path.resolve() in {Path(model).resolve() for model in options.models}:
            raise InputError(f"{path} is one of the models; choose another name for the output")
        check_output(path, force=options.force)
    if options.plot is not None:
        check_plot(options.plot)
    width, height = options.size
    settings = LatencySettings(
        models=tuple(options.models),
        width=width,
        height=height,
        threads=options.threads,
        rounds=options.rounds,
        budget_s=options.budget,
        data=tuple(options.data),
        needs_quality=options.plot is not None,
        seed=options.seed,
    )
    with Console(stderr=True).status("opening the models") as status:
        result = measure_latency(settings, tell=lambda line: status.update(line))
    for path, text in ((options.json, latency_json), (options.markdown, latency_markdown)):
        if path is not None:
            with replaced(path) as beside:
                beside.write_text(text(result), encoding="utf-8")
    if options.plot is not None:
        draw_plot(result, options.plot)
    Console(highlight=False).print(latency_table(result))
    for path in outputs:
        print(f"wrote {path}")


VERBS = {"latency": run_latency, "stream": run_stream}


def run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    VERBS[options.verb](options)


def main() -> None:
    sys.exit(command(run))


if __name__ == "__main__":
    main()
