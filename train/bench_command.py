"""`edgesr-train bench`: its options, its table, and whether the goals are met."""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from edgesr.runtime.files import check_output, replaced

if TYPE_CHECKING:
    from edgesr.train.bench import BenchResult, Spread

__all__ = ["add_to", "bench"]

EXAMPLES = """examples:
  edgesr-train bench shipped/ecbsr_x4 --data.root ~/datasets
  edgesr-train bench shipped/ecbsr_x4 --data.root ~/datasets --data.workers 2 --json bench.json
  edgesr-train bench rdsrn_x4 --synthetic --steps 40 --rounds 4
"""
NAMES = {
    "loader": "loader",
    "step": "step, a fixed batch",
    "plain": "plain PyTorch loop",
    "lightning": "Lightning's loop",
}


def add_to(verbs: Any) -> None:
    """To argparse's subparsers."""
    make = verbs.add_parser(
        "bench",
        prog="edgesr-train bench",
        help="samples a second of loader, step and loop, against a plain PyTorch loop",
        examples=EXAMPLES,
    )
    make.add_argument(
        "recipe", help="a YAML file, or the name of one that edgesr brings; overridden by flags as in fit"
    )
    make.add_argument("--steps", type=int, default=300, help="of each part, over all rounds (default: 300)")
    make.add_argument("--rounds", type=int, default=10, help="in which the parts take turns (default: 10)")
    make.add_argument("--synthetic", action="store_true", help="made images in the place of the recipe's")
    make.add_argument("--json", type=Path, metavar="FILE", help="write every turn, with all that made it")
    make.add_argument("--force", action="store_true", help="overwrite FILE")


def bench(options: Namespace, rest: Sequence[str]) -> None:
    from edgesr.train.bench import BenchSettings, bench_report, measure

    if options.json:
        check_output(options.json, force=options.force)
    settings = BenchSettings(options.recipe, tuple(rest), options.steps, options.rounds, options.synthetic)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # It draws itself between rounds alone: a thread that does so all the time would be measured.
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("rounds", total=settings.rounds)
        result = measure(settings, tell=lambda done: progress.update(task, completed=done, refresh=True))
    Console(highlight=False).print(_table(result))
    for line in result.verdicts():
        print(line)
    if result.is_disturbed:
        print(f"something else was running (load {result.load:.1f} before): its share is in all times, in ratios less")
    if options.json:
        with replaced(options.json) as beside:
            beside.write_text(json.dumps(bench_report(result), indent=1) + "\n")


def _table(result: "BenchResult") -> Table:
    from edgesr.train.bench import PARTS

    settings = result.settings
    table = Table(
        "",
        title=f"{Path(settings.recipe).stem}: {result.network}, batch {result.batch_size}, {result.precision}"
        + (", made images" if settings.synthetic else ""),
        caption=f"{result.device}, {result.cores} cores; PyTorch's threads: {result.threads}, the loader's processes: "
        f"{result.workers}; median and quartiles of {settings.rounds} rounds of {settings.steps_a_round} steps",
    )
    for name in ("samples/s", "ms a step", "CPU ms a step", "rate to plain loop's"):
        table.add_column(name, justify="right")
    for part in PARTS:
        spreads = (
            result.samples_per_s(part),
            result.step_ms(part),
            result.cpu_ms(part),
            result.rate_ratio(part, "plain"),
        )
        table.add_row(NAMES[part], *map(_told, spreads))
    return table


def _told(spread: "Spread") -> str:
    return f"{_figure(spread.median)} ({_figure(spread.low)}–{_figure(spread.high)})"


def _figure(value: float) -> str:
    """Three significant digits, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
