"""edgesr-jetson info: what this machine is."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from edgesr.jetson.info import as_json, read_machine
from edgesr.jetson.report import machine_table

__all__ = ["EXAMPLES", "add_options", "run_info"]

EXAMPLES = """examples:
  edgesr-jetson info                      this machine, a board or a PC
  edgesr-jetson info --json               the same for programs
  edgesr-jetson info --root ./my-board    a board whose /etc, /proc, /sys, /usr and /var were copied into a folder
"""


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="read a recorded board's file tree instead of this machine"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.set_defaults(run=run_info)


def run_info(options: Namespace) -> int:
    info = read_machine(options.root)
    if options.json:
        print(json.dumps(as_json(info), indent=2, ensure_ascii=False))
    else:
        Console(highlight=False).print(machine_table(info))
    return 0
