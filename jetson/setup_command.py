"""edgesr-jetson setup: a board made ready for edgesr, step by step."""

import importlib.metadata
import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgesr.jetson.board_setup import SetupSettings, Step, perform, steps_for, undo

__all__ = ["EXAMPLES", "add_options", "run_setup"]

EXAMPLES = """examples:
  edgesr-jetson setup                       what would be done, as commands
  sudo edgesr-jetson setup --apply          do it; what is done already is left as it is
  sudo edgesr-jetson setup --apply --wheels ./wheels --package ./wheels/edgesr-0.1.0-py3-none-any.whl
                                            the same without internet (apt's packages must be there)
  sudo edgesr-jetson setup --undo           remove what --apply made
"""

CHECKOUT = Path(__file__).resolve().parent.parent


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
        package=options.package or _this_package(offline=bool(options.wheels)),
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


def _this_package(offline: bool) -> str:
    """What this edgesr came from: the checkout that it lies in, the checkout or wheel that pip says it took (PEP 610), if that
    is still there, else its name in an index. With the page in the browser, whose wheels an offline bundle lacks."""
    source = next((path for path in (CHECKOUT, _recorded()) if path and _can_be_installed(path)), None)
    extra = "" if offline else "[web]"
    return f"{source}{extra}" if source else f"edgesr{extra}=={importlib.metadata.version('edgesr')}"


def _can_be_installed(path: Path) -> bool:
    return path.is_file() or all((path / name).is_file() for name in ("pyproject.toml", "setup.py"))


def _recorded() -> Path | None:
    try:
        record = json.loads(importlib.metadata.distribution("edgesr").read_text("direct_url.json") or "{}")
        url = urlsplit(str(record.get("url", "")))
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError, AttributeError):
        return None
    return Path(unquote(url.path)) if url.scheme == "file" else None
