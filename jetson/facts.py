"""Reading single facts from a machine's files, below a root: `/` for this machine, a folder for a recorded board."""

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

__all__ = ["Fact", "first", "names_in", "one_line", "path_below", "read_fact", "read_number", "read_text"]

MAX_LINKS = 40  # what Linux follows before it gives up with ELOOP


@dataclass(frozen=True)
class Fact:
    """One thing that was looked for. Three states: found, not found, and there but not understood (`problem`).

    `source` names the file (as on its own machine), the package or the call that gave the value.
    """

    value: str | None = None
    source: str = ""
    problem: str = ""


def path_below(root: Path, path: str) -> Path:
    """Where `path` of the machine lies whose files are at `root`.

    Symbolic links are followed as that machine would: an absolute target starts at `root` and `..` stops there, so a
    recorded board never shows a file of this machine. Raises OSError where links go in a circle.
    """
    ahead = list(reversed(PurePosixPath(path).parts))
    behind: list[str] = []
    links = 0
    while ahead:
        part = ahead.pop()
        if part == "/":
            behind.clear()
        elif part == "..":
            del behind[-1:]
        elif (here := root.joinpath(*behind, part)).is_symlink():
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            ahead.extend(reversed(PurePosixPath(os.readlink(here)).parts))
        else:
            behind.append(part)
    return root.joinpath(*behind)


def read_text(root: Path, path: str) -> str | None:
    """The file's text (bytes that are no UTF-8 replaced), None where there is no such file. Raises OSError."""
    file = path_below(root, path)
    if not file.exists():
        return None
    if not file.is_file():  # a folder would raise a bare errno, a pipe would wait for ever
        raise OSError(errno.EINVAL, "not a regular file", path)
    return file.read_bytes().decode("utf-8", "replace")


def read_fact(root: Path, path: str, parse: Callable[[str], str]) -> Fact:
    """`parse` raises ValueError with what it expected and found where it does not understand the text."""
    try:
        text = read_text(root, path)
        return Fact() if text is None else Fact(parse(text), path)
    except OSError as error:
        return Fact(None, path, f"{path}: {error.strerror}")
    except ValueError as error:
        return Fact(None, path, f"{path}: {error}")


def first(facts: Iterable[Fact]) -> Fact:
    """The first with a value. A problem met on the way to it is kept: it stands beside the value."""
    problem = Fact()
    for fact in facts:
        if fact.value is not None:
            return replace(fact, problem=problem.problem) if problem.problem else fact
        if fact.problem and not problem.problem:
            problem = fact
    return problem


def one_line(text: str) -> str:
    """Text of a device tree or sysfs file: one printable line, ended by NUL or newline."""
    line = text.strip("\0\n\t ")
    if not line or not line.isprintable() or "\N{REPLACEMENT CHARACTER}" in line:
        raise ValueError(f"expected one line of text, found {text[:60]!r}")
    return line


def read_number(root: Path, path: str) -> int | None:
    """A whole number of 64 bits from sysfs; None where the file is missing, unreadable or holds something else."""
    text = read_fact(root, path, one_line).value or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def names_in(root: Path, folder: str) -> list[str]:
    """What lies in a folder, sorted; nothing where it is missing or closed to us."""
    try:
        return sorted(os.listdir(path_below(root, folder)))
    except OSError:
        return []
