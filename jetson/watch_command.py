"""edgesr-jetson watch: loads, clocks, temperatures, power and memory, live."""

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import closing

from rich.console import Console
from rich.live import Live

from edgesr.jetson.info import read_machine
from edgesr.jetson.report import verdict
from edgesr.jetson.watch import samples_of, sources, watch_view

__all__ = ["EXAMPLES", "add_options", "run_watch"]

EXAMPLES = """examples:
  edgesr-jetson watch                       until Ctrl-C
  sudo edgesr-jetson watch                  a board tells the memory's bandwidth and the GPU's clock to root only
  edgesr-jetson watch --once
  edgesr-jetson watch --json > run.jsonl    one line a sample, "at_ns" from the clock that edgesr-run stamps frames with
"""


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--interval", type=_seconds, default=1.0, metavar="S", help="between two samples (default: 1)")
    parser.add_argument("--once", action="store_true", help="one sample, then end")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a view")
    parser.set_defaults(run=run_watch)


def run_watch(options: Namespace) -> int:
    with closing(samples_of(min(options.interval, 0.5) if options.once else options.interval)) as samples:
        first = next(samples)
        if options.json:
            print(json.dumps(first.to_dict()), flush=True)
            for sample in () if options.once else samples:
                print(json.dumps(sample.to_dict()), flush=True)
            return 0
        title, source = verdict(read_machine()), sources()
        console = Console(highlight=False)
        if options.once:
            console.print(watch_view(first, title, source))
            return 0
        with Live(watch_view(first, title, source), console=console, auto_refresh=False) as live:
            for sample in samples:
                live.update(watch_view(sample, title, source, before=first), refresh=True)
    return 0


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.05 <= value <= 3600:
        raise ArgumentTypeError(f"{text!r} is no interval; expected seconds from 0.05 to 3600")
    return value
