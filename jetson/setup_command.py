"""edgesr-jetson setup: a board made ready for edgesr, step by step."""

import importlib.metadata
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edgesr.jetson.board_setup import SetupSettings, Step, perform, steps_for, undo

__all__ = ["EXAMPLES", "add_options", "run_setup"]

EXAMPLES = """examples:
  edgesr-jetson setup                       what would be done, as commands
  sudo edgesr-jetson setup --apply          do it; what is done already is left as it is
  sudo edgesr-jetson setup --apply --wheels ./wheels --package ./wheels/edgesr-0.1.0-py3-none-any.whl
                                            the same without internet (apt's packages must be there)
  sudo edgesr-jetson setup --undo           remove what --apply made
"""


def add_options(parser: ArgumentParser) -> None:
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--apply", action="store_true", help="perform the steps")
    act.add_argument("--undo", action="store_true", help="undo them")
    parser.add_argument("--environment", default="/opt/edgesr", metavar="DIR", help="(default: /opt/edgesr)")
    parser.add_argument(
        "--package", metavar="WHEEL", help="of edgesr: a wheel, a checkout, a name for pip (default: as this one)"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="take every wheel from this folder, none from the internet"
    )
    parser.add_argument(
        "--swap", type=int, metavar="GIB", help="size of the swap file; 0 for none (default: 4 below 16 GB of memory)"
    )
    parser.set_defaults(run=run_setup)


def run_setup(options: Namespace) -> int:
    settings = SetupSettings(
        package=options.package or _this_package(),
        environment=options.environment,
        wheels=str(options.wheels.resolve()) if options.wheels else None,
        swap_gib=options.swap,
    )
    steps = steps_for(settings)
    if options.apply:
        perform(steps, _tell)
        _tell(f"ready: {settings.environment}/bin/edgesr-jetson doctor")
    elif options.undo:
        undo(steps, _tell)
    else:
        for step in steps:
            _show(step)
        print("# sudo edgesr-jetson setup --apply does this; --undo removes it")
    return 0


def _tell(line: str) -> None:
    print(f"edgesr-jetson: {line}", flush=True)  # commands print between our lines


def _show(step: Step) -> None:
    if step.done():
        print(f"# {step.name}: done already\n")
        return
    print(f"# {step.name}: {step.why}")
    for command in step.do:
        print(f"sudo {'env ' if command.environment else ''}{command}")
    print()


def _this_package() -> str:
    """The checkout that this module lies in, else the installed version's name."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "setup.py").is_file():
        return str(checkout)
    return f"edgesr=={importlib.metadata.version('edgesr')}"
