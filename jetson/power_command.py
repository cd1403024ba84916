"""edgesr-jetson power: show the power mode, set it, or run a command in one."""

import json
import os
import pwd
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shutil import which
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgesr.jetson.errors import NotHere, WrongRequest
from edgesr.jetson.info import check_root
from edgesr.jetson.power import Power, read_power
from edgesr.jetson.power_control import find_mode, lock_clocks, power_mode, set_mode
from edgesr.jetson.report import rows_of_power

__all__ = ["EXAMPLES", "add_options", "run_power"]

EXAMPLES = """examples:
  edgesr-jetson power                                       the mode, what is offered, the clocks
  sudo edgesr-jetson power set MAXN --lock-clocks           for good; the clocks until the next start
  sudo edgesr-jetson power run --mode 25W --lock-clocks -- edgesr-bench latency model.engine --size 640x360
                                                            for this command only; it runs as you, not as root
"""

END_S = 10.0
"""What a command has to end by itself after SIGTERM."""


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, metavar="DIR", help="show that of a recorded board's file tree")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.set_defaults(run=run_power, verb=None)
    verbs = parser.add_subparsers(dest="verb", metavar="set|run")
    one = verbs.add_parser("set", help="set a mode, and leave it so")
    one.add_argument("mode", metavar="MODE", help="its name or number")
    one.add_argument(
        "--lock-clocks", action="store_true", help="hold all clocks at their highest, as jetson_clocks does"
    )
    one = verbs.add_parser("run", help="run a command in a mode, and set everything back")
    one.add_argument("--mode", metavar="MODE", help="its name or number (default: as it is)")
    one.add_argument(
        "--lock-clocks", action="store_true", help="hold all clocks at their highest, as jetson_clocks does"
    )
    one.usage = "edgesr-jetson power run [--mode MODE] [--lock-clocks] -- COMMAND ..."
    one.set_defaults(takes_rest=True)


def run_power(options: Namespace) -> int:
    if options.verb and (options.root or options.json):
        raise WrongRequest(f"--root and --json go with edgesr-jetson power alone, not with power {options.verb}")
    if options.verb == "set":
        mode = find_mode(read_power(Path("/")), options.mode)
        set_mode(mode)
        if options.lock_clocks:
            lock_clocks()
        print(f"{mode.name}{', clocks locked' if options.lock_clocks else ''}")
        return 0
    if options.verb == "run":
        return _run_in_mode(options)
    if options.root is not None:
        check_root(options.root)
    power = read_power(Path("/") if options.root is None else options.root.resolve())
    if options.json:
        print(json.dumps(asdict(power), indent=2))
    else:
        Console(highlight=False).print(_table(power))
    return 0


def _table(power: Power) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for mode in power.modes:
        here = mode.number == power.number
        notes = ["now"] * here + ["at first start"] * (mode.number == power.default)
        table.add_row(
            Text(f"mode {mode.number}"), Text(mode.name, "bold" if here else ""), Text(", ".join(notes), "dim")
        )
    for name, value, source in rows_of_power(power):
        table.add_row(Text(name), Text(value), Text(source, "dim"))
    return table


def _run_in_mode(options: Namespace) -> int:
    if not options.rest:
        raise WrongRequest("no command was given; expected one after --, such as -- edgesr-bench latency model.engine")
    program = which(options.rest[0])
    if program is None:
        raise WrongRequest(f"{options.rest[0]} is not on PATH (sudo has one of its own); give its whole path")
    if options.mode is None and not options.lock_clocks:
        raise WrongRequest("nothing to set: give --mode MODE, --lock-clocks, or both")
    with power_mode(options.mode, lock_clocks=options.lock_clocks) as mode:
        told = [*([mode.name] if mode else []), *(["clocks locked"] if options.lock_clocks else [])]
        print(f"edgesr-jetson: {', '.join(told)}, set back afterwards", file=sys.stderr)
        return _run_as_caller([program, *options.rest[1:]])


def _run_as_caller(command: Sequence[str]) -> int:
    """Under sudo as the user who called it. Its exit code; 128 and more for a signal, as a shell tells it."""
    try:
        with subprocess.Popen(command, **_caller(os.environ.get("SUDO_UID", ""))) as child:
            try:
                code = child.wait()
            except BaseException:  # Ctrl-C reached the child as well; SIGTERM reached us alone
                child.terminate()
                try:
                    child.wait(END_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                raise
    except OSError as error:
        raise NotHere(f"{command[0]} cannot be started: {error.strerror}") from error
    return code if code >= 0 else 128 - code


def _caller(number: str) -> dict[str, Any]:
    if not number.isdigit() or int(number) == 0:
        return {}
    user = pwd.getpwuid(int(number))
    home = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups, "env": {**os.environ, **home}}
