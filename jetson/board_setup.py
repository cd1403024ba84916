"""Setting a board up for edgesr: packages, swap, a virtual environment that sees JetPack's TensorRT, and PyCUDA.

Every step is a few commands, knows whether it is done, and how it is undone; so all of it may be run again at any time,
also after it was interrupted. Written for JetPack 6 and 7; rehearsed with stand-ins, not yet run on a board.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgesr.jetson.errors import NoPermission, NotHere, ProgramFailed, WrongRequest
from edgesr.jetson.facts import names_in, read_text
from edgesr.jetson.info import read_machine
from edgesr.jetson.packages import read_packages
from edgesr.jetson.software import sees_system_packages

__all__ = ["Command", "SetupSettings", "Step", "perform", "steps_for", "undo"]

SERIES = ("6", "7")
PACKAGES = ("python3-venv", "python3-dev", "python3-libnvinfer", "build-essential")
SWAP_FILE = "/edgesr.swap"
LARGE_GB = 16  # modules from this memory on build engines and PyCUDA without swap
MARK = "made-by-edgesr-jetson"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Command:
    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As a shell takes it."""
        return " ".join(
            (*(f"{name}={shlex.quote(value)}" for name, value in self.environment.items()), shlex.join(self.words))
        )

    def run(self) -> None:
        """Its output goes where ours goes: PyCUDA's compiler works for minutes. Raises ProgramFailed."""
        try:
            done = subprocess.run(
                self.words, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, check=False
            )
        except OSError as error:
            raise ProgramFailed(f"{self.words[0]} cannot be started: {error.strerror}") from error
        if done.returncode != 0:
            raise ProgramFailed(f"exit code {done.returncode} of: {self}")


@dataclass(frozen=True)
class Step:
    """`ours`: there is something that these commands made; only then it is undone. What was there before stays."""

    name: str
    why: str
    do: tuple[Command, ...]
    undo: tuple[Command, ...]
    done: Callable[[], bool]
    ours: Callable[[], bool]


@dataclass(frozen=True)
class SetupSettings:
    """`package`: what pip installs, a wheel, a checkout or a name. `wheels`: a folder to take everything from, without
    internet. `swap_gib`: None for 4 on modules that need it, 0 for none."""

    package: str
    environment: str = "/opt/edgesr"
    wheels: str | None = None
    swap_gib: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(/[\w.+-]+)+", self.environment) or ".." in self.environment:
            raise WrongRequest(f"--environment {self.environment}: expected a whole path, such as /opt/edgesr")
        if self.swap_gib is not None and not 0 <= self.swap_gib <= 64:
            raise WrongRequest(f"--swap {self.swap_gib}: expected GiB from 0 to 64")


def steps_for(settings: SetupSettings, root: Path = Path("/")) -> tuple[Step, ...]:
    """Raises NotHere where this is no Jetson with JetPack 6 or 7."""
    board = read_machine(root if root != Path("/") else None).board
    if board.release is None or not board.release.jetpack.startswith(SERIES):
        told = f"JetPack {board.jetpack.value}" if board.jetpack.value else "a machine without JetPack"
        raise NotHere(f"the steps are written for JetPack 6 and 7; this is {told} (see edgesr-jetson doctor)")
    swap = settings.swap_gib
    if swap is None:
        swap = 0 if board.module and min(board.module.memory_gb) >= LARGE_GB else 4
    return (
        _packages(root),
        *(_swap(root, swap) if swap else ()),
        _environment(root, settings),
        _wheels(root, settings),
        _pycuda(root, settings),
    )


def perform(steps: Sequence[Step], tell: Callable[[str], None]) -> None:
    """Raises NoPermission, ProgramFailed: then the steps before stay done, and running it again goes on there."""
    _need_root()
    for step in steps:
        if step.done():
            tell(f"{step.name}: done already")
            continue
        for command in step.do:
            tell(f"{step.name}: {command}")
            command.run()
        if not step.done():
            raise ProgramFailed(f"{step.name}: its commands ran, and it is not there; see what they said above")


def undo(steps: Sequence[Step], tell: Callable[[str], None]) -> None:
    """The last step first. Raises NoPermission, ProgramFailed."""
    _need_root()
    for step in reversed(steps):
        if not step.ours():
            tell(f"{step.name}: {'not ours, stays' if step.done() else 'is not there'}")
            continue
        for command in step.undo:
            tell(f"{step.name}: {command}")
            command.run()


def _packages(root: Path) -> Step:
    """Never undone: other programs may need them by now."""
    return Step(
        name="packages",
        why="the compiler and headers that PyCUDA is built with, TensorRT's module for the system's Python",
        do=(Command(("apt-get", "install", "--yes", *PACKAGES), {"DEBIAN_FRONTEND": "noninteractive"}),),
        undo=(),
        done=lambda: set(PACKAGES) <= read_packages(root).versions.keys(),
        ours=lambda: False,
    )


def _swap(root: Path, gib: int) -> tuple[Step, ...]:
    """The file takes its name when it is whole."""
    file, part = (root / name.lstrip("/") for name in (SWAP_FILE, f"{SWAP_FILE}.part"))
    table = str(root / "etc/fstab")

    def in_use() -> bool:
        return _has_line(root, "/proc/swaps", str(file))

    def entered() -> bool:
        return _has_line(root, "/etc/fstab", SWAP_FILE)

    return (
        Step(
            name="swap file",
            why=f"{gib} GiB: builds outgrow small memories, and zram, JetPack's own swap, takes from that memory",
            do=(
                Command(("fallocate", "--length", f"{gib}GiB", str(part))),
                Command(("chmod", "600", str(part))),
                Command(("mkswap", str(part))),
                Command(("mv", str(part), str(file))),
            ),
            undo=(Command(("rm", "-f", str(part), str(file))),),
            done=file.exists,
            ours=lambda: file.exists() or part.exists(),
        ),
        Step(
            name="swap in use",
            why="from now on",
            do=(Command(("swapon", str(file))),),
            undo=(Command(("swapoff", str(file))),),
            done=in_use,
            ours=in_use,
        ),
        Step(
            name="swap at every start",
            why="a line of /etc/fstab",
            do=(Command(("sed", "-i", f"$ a {SWAP_FILE} none swap sw 0 0", table)),),
            undo=(Command(("sed", "-i", rf"\|^{SWAP_FILE} |d", table)),),
            done=entered,
            ours=entered,
        ),
    )


def _environment(root: Path, settings: SetupSettings) -> Step:
    """A folder of somebody else's is used where it fits, and else stops at mkdir."""
    folder = root / settings.environment.lstrip("/")
    mark = folder / MARK
    begin = () if mark.exists() else (Command(("mkdir", str(folder))), Command(("touch", str(mark))))
    make = ("-m", "venv", "--system-site-packages", str(folder))
    return Step(
        name="environment",
        why="Python packages of our own, beside the TensorRT and OpenCV of the system",
        do=(*begin, Command((str(root / "usr/bin/python3"), *make))),
        undo=(Command(("rm", "-r", str(folder))),),
        done=lambda: sees_system_packages(folder) is True,
        ours=mark.exists,
    )


def _wheels(root: Path, settings: SetupSettings) -> Step:
    """NumPy 2 has another binary interface than JetPack's OpenCV and TensorRT were built against."""
    folder = root / settings.environment.lstrip("/")
    return Step(
        name="edgesr and its wheels",
        why="ONNX Runtime, PyAV, ONNX; NumPy as JetPack knows it",
        do=(Command((*_pip(folder), "install", *_from(settings), settings.package, "onnx>=1.16", "numpy<2")),),
        undo=(Command((*_pip(folder), "uninstall", "--yes", "edgesr")),),
        done=lambda: _is_installed(folder, "edgesr"),
        ours=lambda: (folder / MARK).exists() and _is_installed(folder, "edgesr"),
    )


def _pycuda(root: Path, settings: SetupSettings) -> Step:
    folder = root / settings.environment.lstrip("/")
    path = f"{root / 'usr/local/cuda/bin'}:{SYSTEM_PATH}"
    return Step(
        name="PyCUDA",
        why="engines are built and run through it; it is compiled here, which takes minutes",
        do=(Command((*_pip(folder), "install", *_from(settings), "pycuda>=2024.1", "numpy<2"), {"PATH": path}),),
        undo=(Command((*_pip(folder), "uninstall", "--yes", "pycuda")),),
        done=lambda: _is_installed(folder, "pycuda"),
        ours=lambda: (folder / MARK).exists() and _is_installed(folder, "pycuda"),
    )


def _pip(folder: Path) -> tuple[str, ...]:
    return (str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input")


def _from(settings: SetupSettings) -> tuple[str, ...]:
    return ("--no-index", "--find-links", settings.wheels) if settings.wheels else ()


def _is_installed(folder: Path, package: str) -> bool:
    sites = (f"/lib/{python}/site-packages" for python in names_in(folder, "/lib"))
    return any(
        re.fullmatch(rf"{package}-[\w.+]+\.dist-info", name) for site in sites for name in names_in(folder, site)
    )


def _has_line(root: Path, path: str, first_word: str) -> bool:
    try:
        lines = (read_text(root, path) or "").splitlines()
    except OSError:
        return False
    return any(line.split()[:1] == [first_word] for line in lines)


def _need_root() -> None:
    if os.geteuid() != 0:
        raise NoPermission("packages, swap and /opt are root's: run the same with sudo (without --apply it only shows)")
