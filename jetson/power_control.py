"""Setting power mode and clocks, through NVIDIA's nvpmodel and jetson_clocks; both want root.

with power_mode("MAXN", lock_clocks=True):
    ...                                   # afterwards, whatever happened, mode and clocks are as they were
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from edgesr.jetson.errors import JetsonError, NoPermission, ProgramFailed, RebootNeeded, WrongRequest
from edgesr.jetson.power import Power, PowerMode, read_power
from edgesr.jetson.programs import find_program, run
from edgesr.jetson.signals import terminable, undisturbed

__all__ = ["find_mode", "lock_clocks", "parse_query", "power_mode", "query_mode", "set_mode"]


def find_mode(power: Power, wanted: str) -> PowerMode:
    """By number or by name, as nvpmodel.conf has them; case and `_`, `-`, blanks do not matter. Raises WrongRequest."""
    for mode in power.modes:
        if wanted == str(mode.number) or _plain(wanted) == _plain(mode.name):
            return mode
    if not power.modes:
        problem = power.mode.problem or "there is no /etc/nvpmodel.conf"
        raise WrongRequest(f"power mode {wanted!r} cannot be set: this machine offers none ({problem})")
    offered = ", ".join(f"{mode.number} {mode.name}" for mode in power.modes)
    raise WrongRequest(f"power mode {wanted!r} is not offered by this board; expected one of: {offered}")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).upper()


def parse_query(text: str) -> int:
    """`NV Power Mode: 15W` and the number on the next line, wherever in the output of `nvpmodel -q`."""
    found = re.search(r"NV Power Mode: .*\n\s*(\d+)\s*(?:\n|$)", text)
    if found is None:
        raise ProgramFailed(f"nvpmodel -q: expected 'NV Power Mode: ...' and a number, found {text.strip()[-60:]!r}")
    return int(found[1])


def query_mode() -> int:
    """The current mode's number. Raises NotHere, ProgramFailed."""
    return parse_query(run(["nvpmodel", "-q"]).text)


def set_mode(mode: PowerMode) -> None:
    """For good: nvpmodel keeps it over a restart. Raises NotHere, NoPermission, RebootNeeded, ProgramFailed."""
    find_program("nvpmodel")
    _need_root()
    done = run(["nvpmodel", "-m", str(mode.number)], answer="no\n")  # it may ask whether to restart the board now
    if "reboot required" in done.text.lower():
        raise RebootNeeded(
            f"power mode {mode.name} needs a restart of the board: sudo nvpmodel -m {mode.number}, and answer yes"
        )
    if query_mode() != mode.number:
        raise ProgramFailed(f"nvpmodel -m {mode.number} did not set {mode.name}: {done.last_line}")


def lock_clocks() -> None:
    """At the highest that the power mode allows, until the next start. Raises NotHere, NoPermission, ProgramFailed."""
    find_program("jetson_clocks")
    _need_root()
    _jetson_clocks()


@contextmanager
def power_mode(
    wanted: str | None = None, *, lock_clocks: bool = False, root: Path = Path("/")
) -> Iterator[PowerMode | None]:
    """Gives the mode that was set. At the end, at an exception, at Ctrl-C and at SIGTERM, mode and clocks are set back.

    `root` is where nvpmodel.conf lies. Raises WrongRequest, NotHere, NoPermission, RebootNeeded, ProgramFailed: then
    nothing stays changed; where setting back fails, ProgramFailed says what to do by hand.
    """
    mode = None if wanted is None else find_mode(read_power(root), wanted)
    for program in ("nvpmodel", "jetson_clocks"):
        find_program(program)
    _need_root()
    number = query_mode()
    with terminable(), TemporaryDirectory(prefix="edgesr-power-") as folder:
        clocks = Path(folder) / "clocks"
        _jetson_clocks("--store", str(clocks))
        try:
            if mode is not None and mode.number != number:
                set_mode(mode)
            if lock_clocks:
                _jetson_clocks()
            yield mode
        finally:
            with undisturbed():
                _set_back(number, clocks, root)


def _set_back(number: int, clocks: Path, root: Path) -> None:
    """The mode first: it brings limits of its own, and what jetson_clocks stored belongs to it."""
    problems = []
    try:
        if query_mode() != number:
            modes = read_power(root).modes
            set_mode(next((mode for mode in modes if mode.number == number), PowerMode(number, f"mode {number}")))
    except JetsonError as error:
        problems.append(f"the power mode was not set back ({error}); by hand: sudo nvpmodel -m {number}")
    try:
        _jetson_clocks("--restore", str(clocks))
    except JetsonError as error:
        problems.append(f"the clocks were not set back ({error}); a restart does it")
    if problems:
        raise ProgramFailed("; ".join(problems))


def _jetson_clocks(*options: str) -> None:
    done = run(["jetson_clocks", *options])
    if done.code != 0:
        raise ProgramFailed(f"{' '.join(('jetson_clocks', *options))} failed: {done.last_line}")


def _need_root() -> None:
    if os.geteuid() != 0:
        raise NoPermission("power mode and clocks are root's to set: run the same with sudo")
