"""edgesr-jetson doctor: is this machine set up right?"""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from edgesr.jetson.doctor import Verdict, examine, read_findings, worst
from edgesr.jetson.doctor.report import as_json, page

__all__ = ["EXAMPLES", "add_options", "run_doctor"]

EXAMPLES = """examples:
  edgesr-jetson doctor                      this machine, with the Python that runs this command
  edgesr-jetson doctor --json
  edgesr-jetson doctor --root ./my-board    a board whose /etc, /proc, /sys, /usr and /var were copied into a folder

exit codes: 0 ok or warnings only, 1 at least one check failed, 2 wrong input or options
"""


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, metavar="DIR", help="examine a recorded board's file tree")
    parser.add_argument("--json", action="store_true", help="JSON instead of a page")
    parser.set_defaults(run=run_doctor)


def run_doctor(options: Namespace) -> int:
    findings = read_findings(options.root)
    checks = examine(findings)
    if options.json:
        print(json.dumps(as_json(findings, checks), indent=2, ensure_ascii=False))
    else:
        Console(highlight=False).print(page(findings, checks))
    return int(worst(checks) is Verdict.FAIL)
