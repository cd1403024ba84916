"""edgesr-jetson: what this board is."""

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from edgesr.jetson.errors import JetsonError
from edgesr.jetson.info import as_json, read_machine
from edgesr.jetson.report import machine_table

__all__ = ["main"]

EXAMPLES = """examples:
  edgesr-jetson info                      this machine, a board or a PC
  edgesr-jetson info --json               the same for programs
  edgesr-jetson info --root ./my-board    a board whose /etc, /proc, /sys, /usr and /var were copied into a folder

exit codes: 0 done, 2 wrong input or options, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        info = read_machine(options.root)
    except JetsonError as error:
        print(f"edgesr-jetson: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(as_json(info), indent=2, ensure_ascii=False))
    else:
        Console(highlight=False).print(machine_table(info))
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("edgesr-jetson", description=__doc__, epilog=EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"edgesr {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    info = commands.add_parser(
        "info",
        help="board, JetPack, CUDA, TensorRT, OpenCV, memory, power mode, clocks",
        description="Says what this machine is. Reads files only; CUDA is not initialised.",
        epilog=EXAMPLES,
        formatter_class=raw,
    )
    info.add_argument(
        "--root", type=Path, metavar="DIR", help="read a recorded board's file tree instead of this machine"
    )
    info.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser


def _version() -> str:
    try:
        return importlib.metadata.version("edgesr")
    except importlib.metadata.PackageNotFoundError:
        return "from a checkout that is not installed"


if __name__ == "__main__":
    sys.exit(main())
