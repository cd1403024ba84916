"""`edgesr-bench plan`: what a network would take at best on a board that is not here."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from edgesr.benchmarks.arguments import Verbs
from edgesr.benchmarks.plan import known_plans, plan_of
from edgesr.benchmarks.roofline import REACHED, Board, Estimate, board_of, estimate
from edgesr.runtime.command import size
from edgesr.runtime.errors import InputError

__all__ = ["VERBS", "add_to"]

STYLES = {"likely": "green", "perhaps": "yellow", "unlikely": "", "no": "dim"}


def add_to(verbs: Verbs) -> None:
    plan = verbs.add_parser(
        "plan",
        help="an estimate: what a network would take at best on a board, and which networks would be fast enough",
        description="Estimate by roofline, from data sheets; nothing is measured and no board is needed.",
    )
    plan.add_argument("--board", required=True, metavar="NAME", help="such as orin-nano-super; a wrong name lists all")
    plan.add_argument(
        "--model", default="default", help="an .onnx file, default, or a network such as rdsrn (default: default)"
    )
    plan.add_argument("--size", type=size, metavar="WxH", required=True, help="of the input, such as 320x180")
    plan.add_argument("--scale", type=int, help="of a network given by name (default: 4)")
    plan.add_argument("--fps", type=float, default=30.0, help="frames a second that are wanted (default: 30)")
    plan.add_argument("--json", action="store_true", help="print JSON")


def run_plan(options: Namespace) -> None:
    if not 0 < options.fps < float("inf"):
        raise InputError(f"fps is {options.fps:g}; expected more than 0")
    board = board_of(options.board)
    width, height = options.size
    asked = estimate(plan_of(options.model, width, height, options.scale), board, width, height)
    others = [
        estimate(plan, board, width, height) for (_, scale), plan in known_plans().items() if scale == asked.scale
    ]
    others.sort(key=lambda each: each.floor_ms)
    if options.json:
        print(json.dumps(_document(board, options, asked, others), indent=1, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(plan_table(board, (width, height), options.fps, asked, others))


def _document(board: Board, options: Namespace, asked: Estimate, others: Sequence[Estimate]) -> dict[str, Any]:
    def told(each: Estimate) -> dict[str, Any]:
        return asdict(each) | {"expected_ms": each.expected_ms, "verdict": each.verdict(options.fps)}

    return {
        "kind": "edgesr-bench plan",
        "estimate": "by roofline from data sheets; nothing was measured",
        "board": asdict(board),
        "width": options.size[0],
        "height": options.size[1],
        "fps": options.fps,
        "model": told(asked),
        "networks": [told(each) for each in others],
    }


def plan_table(board: Board, size: tuple[int, int], fps: float, asked: Estimate, others: Sequence[Estimate]) -> Group:
    """For a terminal."""
    width, height = size
    good, usual = asked.expected_ms
    head = [
        f"ESTIMATE, nothing was measured: {asked.title} x{asked.scale} at {width}x{height} on {board.title}",
        (
            f"floor {asked.floor_ms:.2f} ms (arithmetic {asked.compute_ms:.2f}, memory {asked.memory_ms:.2f}), at most "
            f"{1000 / asked.floor_ms:.0f} fps"
        ),
        (
            f"engines reach {REACHED[1]:.0%} to {REACHED[0]:.0%} of the peaks: expect {good:.2f} to {usual:.2f} ms, "
            f"{1000 / usual:.0f} to {1000 / good:.0f} fps, for the network alone"
        ),
        f"{fps:g} fps: {asked.verdict(fps)}",
        f"building it takes about {asked.memory_mib:.0f} MiB of {board.memory_gb:g} GB; does it fit: {asked.fits}",
    ]
    foot = [
        f"peaks: {board.fp16_tflops:g} TFLOPS FP16 dense ({board.how}), {board.bandwidth_gb_s:g} GB/s, at the mode's full clocks",
        *(f"source: {source}" for source in board.sources),
        "not counted: camera, decoding, copies, display, other work on the board, throttling; what stays in a cache",
        "measure on the board: edgesr-bench latency",
    ]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(f"networks x{asked.scale}, estimated")
    for name in ("floor, ms", "expected, ms", "fits", f"{fps:g} fps"):
        table.add_column(name, justify="right")
    for each in others:
        good, usual = each.expected_ms
        verdict = each.verdict(fps)
        table.add_row(
            each.title, f"{each.floor_ms:.2f}", f"{good:.2f}–{usual:.2f}", each.fits, verdict, style=STYLES[verdict]
        )
    return Group(Text("\n".join(head), "bold"), "", table, "", Text("\n".join(foot), "dim"))


VERBS = {"plan": run_plan}
