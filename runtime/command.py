"""What all five command lines share: one clear line for a user's mistake, the right exit code, signals."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Any, NoReturn

from edgesr.runtime.errors import EdgeSRError, InputError

__all__ = ["Parser", "command", "size"]


class Terminated(BaseException):
    """SIGTERM, raised where the program stands so that everything open is closed or discarded."""


class Parser(argparse.ArgumentParser):
    """argparse with a `--version`, examples kept as written, and its mistakes as one InputError line."""

    def __init__(self, prog: str, description: str = "", examples: str = "", **settings: Any) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **settings,
        )
        try:
            installed = version("edgesr")
        except PackageNotFoundError:  # a GPU machine that may install nothing runs us from our folder
            installed = "(not installed)"
        self.add_argument("--version", action="version", version=f"%(prog)s {installed}")

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def size(text: str) -> tuple[int, int]:
    """`320x180` -> (320, 180), for argparse's `type`."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isascii() and height.isascii() and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected WIDTHxHEIGHT in pixels, such as 320x180")
    if not int(width) or not int(height):
        raise argparse.ArgumentTypeError(f"{text!r} has no pixels; expected WIDTHxHEIGHT, such as 320x180")
    return int(width), int(height)


def command(main: Callable[[Sequence[str]], None], arguments: Sequence[str] | None = None) -> int:
    """Run a command line's `main` and return its exit code: 0 done, 2 wrong input, 1 failed underway, 130 and 143
    for Ctrl-C and SIGTERM. Errors of ours are printed as one line on stderr; anything else is a bug and shows its trace."""

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        main(sys.argv[1:] if arguments is None else arguments)
    except EdgeSRError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped by Ctrl-C; no output is half-written\n")
        return 130
    except Terminated:
        sys.stderr.write("stopped by SIGTERM; no output is half-written\n")
        return 143
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
