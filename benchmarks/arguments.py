"""What the verbs of edgesr-bench share: kinds of arguments, and files that are written whole or not at all."""

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgesr.runtime.command import Parser
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output, replaced

__all__ = ["Verbs", "check_outputs", "duration", "write"]

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[Parser]
else:
    Verbs = argparse._SubParsersAction  # takes no parameter when it runs

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """`90s`, `5m`, `1h`, `1.5m` -> seconds, for argparse's `type`."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no duration; expected a number with s, m or h, such as 90s or 5m"
        )
    return float(found[1]) * SECONDS[found[2]]


def check_outputs(outputs: Mapping[str, Path | None], *, inputs: Iterable[str | Path], force: bool) -> list[Path]:
    """Raise before any work where a file cannot be written, or would be written over one that is read.

    outputs: by option; None where it was not given. Returns those that were.
    """
    given = {option: path for option, path in outputs.items() if path is not None}
    if len({path.resolve() for path in given.values()}) < len(given):
        raise InputError(f"two of {', '.join(given)} name the same file; choose different ones")
    read = {Path(path).resolve() for path in inputs}
    for path in given.values():
        if path.resolve() in read:
            raise InputError(f"{path} is one of the files that are read; choose another name for the output")
        check_output(path, force=force)
    return list(given.values())


def write(path: Path, text: str) -> None:
    with replaced(path) as beside:
        beside.write_text(text, encoding="utf-8")
