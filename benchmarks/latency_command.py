"""`edgesr-bench latency`: models interleaved, round by round."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from rich.console import Console

from edgesr.benchmarks.arguments import Verbs, check_outputs, duration, write
from edgesr.benchmarks.html_report import results_html
from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.plot import check_plot, draw_plot
from edgesr.benchmarks.report import latency_json, latency_markdown, latency_table
from edgesr.benchmarks.rivals import split_rival
from edgesr.benchmarks.settings import USUAL_LAYERS
from edgesr.runtime.command import size

__all__ = ["VERBS", "add_to"]


def add_to(verbs: Verbs) -> None:
    latency = verbs.add_parser(
        "latency",
        help="network and whole-frame time of models, interleaved",
        description="Time models round by round on the same frames; the first is what the others are compared with.",
    )
    latency.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help=".onnx files of edgesr-export, default (default:2), bicubic (bicubic:2), .engine files, or opencv:FILE.onnx, "
        "openvino:FILE.onnx, ncnn:FILE.onnx, pytorch:FILE.pt2, onnxruntime-cuda:FILE.onnx, onnxruntime-tensorrt:FILE.onnx for "
        "other runtimes",
    )
    latency.add_argument("--size", type=size, metavar="WxH", required=True, help="of the input, such as 320x180")
    latency.add_argument("--threads", type=int, help="of the networks on the CPU (default: all cores)")
    latency.add_argument("--rounds", type=int, help="how many (default: 30, or what the budget holds)")
    latency.add_argument("--budget", type=duration, metavar="TIME", help="for warm-up and rounds: 90s, 5m, 1h")
    latency.add_argument(
        "--duration",
        type=duration,
        metavar="TIME",
        help="measure for so long, and compare the last minute with the first",
    )
    latency.add_argument(
        "--data", action="append", default=[], metavar="FOLDER", help="full-size images for PSNR, SSIM"
    )
    latency.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="FILE.pt2",
        help="compare the results of its network's models with PyTorch's; may be given once for each network",
    )
    latency.add_argument("--flicker", action="store_true", help="how much a still scene with noise moves in the result")
    latency.add_argument(
        "--profile",
        type=_layers,
        nargs="?",
        const=USUAL_LAYERS,
        metavar="N",
        help=f"time every layer after the rounds, and show the N slowest ({USUAL_LAYERS})",
    )
    latency.add_argument("--seed", type=int, default=0, help="of the order in each round and of the intervals")
    latency.add_argument("--json", type=Path, metavar="FILE", help="write everything, every sample included")
    latency.add_argument("--html", type=Path, metavar="FILE", help="write a page with table, plots and method")
    latency.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    latency.add_argument("--plot", type=Path, metavar="FILE.png", help="draw whole-frame time against PSNR")
    latency.add_argument("--force", action="store_true", help="overwrite these files")


def run_latency(options: Namespace) -> None:
    named = {
        "--json": options.json,
        "--html": options.html,
        "--markdown": options.markdown,
        "--plot": options.plot,
    }
    inputs = [*(split_rival(model)[1] for model in options.models), *options.reference]
    outputs = check_outputs(named, inputs=inputs, force=options.force)
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
        duration_s=options.duration,
        data=tuple(options.data),
        needs_quality=options.plot is not None,
        flicker=options.flicker,
        references=tuple(options.reference),
        profile=options.profile,
        seed=options.seed,
    )
    with Console(stderr=True).status("opening the models") as status:
        result = measure_latency(settings, tell=lambda line: status.update(line))
    if options.json is not None:
        write(options.json, latency_json(result))
    if options.html is not None:
        write(options.html, results_html([result]))
    if options.markdown is not None:
        write(options.markdown, latency_markdown(result))
    if options.plot is not None:
        draw_plot(result, options.plot)
    Console(highlight=False).print(latency_table(result))
    for path in outputs:
        print(f"wrote {path}")


def _layers(text: str) -> int:
    """For argparse, which takes a model that follows `--profile` for its number."""
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(
            f"{text!r} is no number of layers; expected one, such as {USUAL_LAYERS}, or nothing before another option"
        )
    return int(text)


VERBS = {"latency": run_latency}
