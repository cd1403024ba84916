"""Installing the unit, and removing it again. Both may be done twice; both want root."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgesr.jetson.errors import NoPermission, NotHere, ProgramFailed, WrongRequest
from edgesr.jetson.facts import names_in, path_below, read_text
from edgesr.jetson.programs import find_program, run
from edgesr.jetson.unit import MARK, ServiceSettings, check_name, unit_text

__all__ = [
    "GROUPS",
    "closed_to_others",
    "existing_groups",
    "gpu_nodes",
    "install",
    "installed_text",
    "program",
    "uninstall",
    "whole_paths",
]

UNITS = "/etc/systemd/system"
GROUPS = ("video", "render")
"""That cameras and GPUs belong to."""


def program() -> str:
    """The edgesr-run beside the Python that runs this, else that on PATH. Raises NotHere."""
    beside = Path(sys.executable).with_name("edgesr-run")
    found = str(beside) if beside.is_file() else shutil.which("edgesr-run")
    if found is None:
        raise NotHere("edgesr-run is neither beside this Python nor on PATH; install edgesr (see edgesr-jetson setup)")
    return found


def whole_paths(arguments: Sequence[str], here: Path) -> tuple[str, ...]:
    """What names a file or folder that exists gets its whole path: the service starts elsewhere. `2` stays a number."""
    return tuple(
        str(here / argument) if re.search(r"[./]", argument) and (here / argument).exists() else argument
        for argument in arguments
    )


def closed_to_others(path: Path) -> Path | None:
    """The file or folder on the way that not every user may read or pass; None where `path` is open to all."""
    for part in (path, *path.parents):
        try:
            mode = part.stat().st_mode
        except OSError:
            return part
        if not mode & (0o4 if part == path else 0o1):
            return part
    return None


def existing_groups(root: Path = Path("/")) -> tuple[str, ...]:
    try:
        lines = (read_text(root, "/etc/group") or "").splitlines()
    except OSError:
        lines = []
    names = {line.partition(":")[0] for line in lines}
    return tuple(group for group in GROUPS if group in names)


def gpu_nodes(root: Path = Path("/")) -> tuple[str, ...]:
    """NVIDIA's nodes of this machine, which differ from board to board."""
    return tuple(_nodes(root, "/dev", "nv"))


def _nodes(root: Path, folder: str, prefix: str) -> Iterator[str]:
    for name in names_in(root, folder):
        if name.startswith(prefix):
            node = path_below(root, f"{folder}/{name}")
            if node.is_char_device():
                yield f"{folder}/{name}"
            elif node.is_dir():
                yield from _nodes(root, f"{folder}/{name}", "")


def install(settings: ServiceSettings, root: Path = Path("/")) -> list[str]:
    """What was done, in words. Raises WrongRequest where a unit of that name is not ours, NotHere, NoPermission."""
    systemctl = _systemctl()
    _need_root()
    text, file = unit_text(settings), path_below(root, f"{UNITS}/{settings.unit}")
    before = _read_ours(file)
    done = []
    if before != text:
        _write(file, text, 0o600 if settings.holds_secrets else 0o644)
        done.append(f"{file} {'written' if before is None else 'changed'}")
        _do(systemctl, "daemon-reload")
    _do(systemctl, "enable", settings.unit)
    _do(
        systemctl, "--no-block", "start" if before == text else "restart", settings.unit
    )  # ready at its first frame only
    return [*done, f"{settings.unit} is enabled and starts; see: journalctl -u {settings.name} -f"]


def uninstall(name: str, root: Path = Path("/")) -> list[str]:
    """What was done. What the service wrote below /var/lib stays."""
    check_name(name)
    systemctl = _systemctl()
    _need_root()
    file = path_below(root, f"{UNITS}/{name}.service")
    if _read_ours(file) is None:
        return [f"{file} is not there: nothing to remove"]
    _do(systemctl, "disable", "--now", f"{name}.service")
    file.unlink()
    _do(systemctl, "daemon-reload")
    return [f"{file} removed; what the service wrote stays in /var/lib/{name}"]


def installed_text(name: str, root: Path = Path("/")) -> str:
    """Raises NotHere where no such service of ours is installed."""
    check_name(name)
    file = path_below(root, f"{UNITS}/{name}.service")
    text = _read_ours(file)
    if text is None:
        raise NotHere(f"{file} is not there; install it: sudo edgesr-jetson service install --name {name} SOURCE SINK")
    return text


def _read_ours(file: Path) -> str | None:
    try:
        text = file.read_text("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NoPermission(f"{file}: {error.strerror}; run the same with sudo") from error
    if not text.startswith(MARK):
        raise WrongRequest(f"{file} was not written by edgesr-jetson and is left alone; choose another --name")
    return text


def _write(file: Path, text: str, mode: int) -> None:
    """Whole or not at all, and never readable by others for a moment."""
    try:
        handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    except OSError as error:
        raise ProgramFailed(f"{file} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(beside, mode)
        os.replace(beside, file)
    except OSError as error:
        raise ProgramFailed(f"{file} cannot be written: {error.strerror}") from error
    finally:
        Path(beside).unlink(missing_ok=True)


def _systemctl() -> str:
    try:
        return find_program("systemctl")
    except NotHere as error:
        raise NotHere("systemctl is not on PATH: this machine is not run by systemd") from error


def _do(systemctl: str, *options: str) -> None:
    done = run([systemctl, *options])
    if done.code != 0:
        raise ProgramFailed(f"systemctl {' '.join(options)} failed: {done.last_line}")


def _need_root() -> None:
    if os.geteuid() != 0:
        raise NoPermission("services are root's to install: run the same with sudo (or look first: --print)")
