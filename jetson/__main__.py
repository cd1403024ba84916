"""edgesr-jetson: what this board is, whether it is set up right, and what it is doing."""

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgesr.jetson import (
    bundle_command,
    deploy_command,
    doctor_command,
    info_command,
    power_command,
    service_command,
    setup_command,
    watch_command,
)
from edgesr.jetson.errors import JetsonError
from edgesr.jetson.signals import Terminated, terminable

__all__ = ["main"]


EXAMPLES = """examples:
  edgesr-jetson info                                         this machine, a board or a PC
  edgesr-jetson info --root ./my-board                       a board whose files were copied into a folder
  edgesr-jetson doctor
  edgesr-jetson watch
  sudo edgesr-jetson power run --mode MAXN --lock-clocks -- edgesr-bench latency model.engine --size 640x360
  edgesr-jetson service install --print csi://0 http://:8080
  edgesr-jetson setup
  edgesr-jetson deploy nvidia@192.168.55.1 --model rdsrn_x4.onnx --size 320x180
  edgesr-jetson bundle -o bundle.tar --model rdsrn_x4.onnx

exit codes: 0 done, 1 failed or a check failed, 2 wrong input or options, 130 and 143 interrupted
edgesr-jetson COMMAND --help tells more.
"""


@dataclass(frozen=True)
class Verb:
    """`description`: what the help of the verb begins with."""

    help: str
    description: str
    examples: str
    add_options: Callable[[argparse.ArgumentParser], None]


VERBS = {
    "info": Verb(
        "board, JetPack, CUDA, TensorRT, OpenCV, memory, power mode, clocks",
        "Says what this machine is. Reads files only; CUDA is not initialised.",
        info_command.EXAMPLES,
        info_command.add_options,
    ),
    "doctor": Verb(
        "is this machine set up right? The reason, and the command that helps",
        "One check for each known trap, on a board or a PC.",
        doctor_command.EXAMPLES,
        doctor_command.add_options,
    ),
    "power": Verb(
        "show the power mode, set it, or run a command in one",
        "Power mode and clocks, through nvpmodel and jetson_clocks.",
        power_command.EXAMPLES,
        power_command.add_options,
    ),
    "watch": Verb(
        "loads, clocks, temperatures, power and memory, live",
        "Shows what the machine does, from tegrastats where it is, from /proc and /sys everywhere.",
        watch_command.EXAMPLES,
        watch_command.add_options,
    ),
    "service": Verb(
        "edgesr-run as a systemd service",
        "A hardened systemd unit for edgesr-run: write it, show it, remove it.",
        service_command.EXAMPLES,
        service_command.add_options,
    ),
    "setup": Verb(
        "make a board with JetPack 6 or 7 ready: environment, wheels, PyCUDA, swap",
        "Shows the steps, or performs or undoes them. Each may be run again. Not yet tried on a board.",
        setup_command.EXAMPLES,
        setup_command.add_options,
    ),
    "deploy": Verb(
        "edgesr on a board, over ssh: install, build the engine, verify, bench",
        "Copies wheel and model to a board, installs, builds the engine there and times it. Not yet tried on a board.",
        deploy_command.EXAMPLES,
        deploy_command.add_options,
    ),
    "bundle": Verb(
        "all wheels in one file, for a board without internet",
        "Makes an offline bundle, or installs from one. Not yet tried on a board.",
        bundle_command.EXAMPLES,
        bundle_command.add_options,
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    ours, rest = _split(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    options = parser.parse_args(ours, argparse.Namespace(rest=rest))
    if rest and not getattr(options, "takes_rest", False):
        parser.error(f"nothing is expected after --, found {' '.join(rest)}")
    try:
        with terminable():
            return int(options.run(options))
    except JetsonError as error:
        print(f"edgesr-jetson: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Terminated:
        return 143
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What follows the first `--` is another program's."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "edgesr-jetson", description=__doc__, epilog=EXAMPLES, formatter_class=raw, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"edgesr {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, verb in VERBS.items():
        one = commands.add_parser(
            name,
            help=verb.help,
            description=verb.description,
            epilog=verb.examples,
            formatter_class=raw,
            allow_abbrev=False,
        )
        verb.add_options(one)
    return parser


def _version() -> str:
    try:
        return importlib.metadata.version("edgesr")
    except importlib.metadata.PackageNotFoundError:
        return "from a checkout that is not installed"


if __name__ == "__main__":
    sys.exit(main())
