"""Everything that `edgesr-jetson info` tells, as one value."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesr.jetson.board import Board, read_board
from edgesr.jetson.errors import MissingRoot
from edgesr.jetson.host import Host, read_host
from edgesr.jetson.packages import read_packages
from edgesr.jetson.power import Power, read_power
from edgesr.jetson.software import Software, read_software

__all__ = ["SCHEMA", "MachineInfo", "as_json", "check_root", "read_machine"]

SCHEMA = 1
"""Rises when a key of the JSON goes or changes its meaning."""


@dataclass(frozen=True)
class MachineInfo:
    """`recorded_root` is the folder of a recorded board, None for the machine that this runs on."""

    recorded_root: str | None
    board: Board
    host: Host
    power: Power
    software: Software


def read_machine(root: Path | None = None) -> MachineInfo:
    """This machine, or with `root` the board whose files lie there.

    Of a recorded board nothing is run, and nothing of this machine or this Python enters the result.
    Raises MissingRoot where `root` holds no file tree.
    """
    if root is not None:
        check_root(root)
    where = Path("/") if root is None else root.resolve()
    packages = read_packages(where)
    return MachineInfo(
        recorded_root=None if root is None else str(root),
        board=read_board(where, packages),
        host=read_host(where),
        power=read_power(where),
        software=read_software(where, packages, recorded=root is not None),
    )


def check_root(root: Path) -> None:
    """Raise before anything is read: a wrong folder would else be reported as a machine that has nothing."""
    expected = "expected the folder that a board's /etc, /proc, /sys, /usr and /var were copied into"
    if not os.path.isdir(root):
        raise MissingRoot(f"--root {root}: no such folder; {expected}")
    if not any(os.path.isdir(root / name) for name in ("etc", "proc", "sys", "usr", "var")):
        raise MissingRoot(f"--root {root}: none of these is in it; {expected}")


def as_json(info: MachineInfo) -> dict[str, Any]:
    """Plain values for `json.dumps`: the dataclasses' own fields, the schema's number and `is_jetson`."""
    return {"schema": SCHEMA, "is_jetson": info.board.is_jetson, **asdict(info)}
