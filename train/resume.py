"""The checkpoints that a run is resumed from: written whole, the one before kept, looked at before they are trusted."""

import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from edgesr.runtime.errors import CheckpointMismatch, InputError, MissingFile
from edgesr.runtime.files import replaced

__all__ = ["BEFORE", "FORMAT", "LAST", "Begun", "CheckpointFiles", "changes", "last_sound", "run_exists"]

LAST, BEFORE = "last.ckpt", "last-but-one.ckpt"
FORMAT = 1
"""Of what we add to Lightning's checkpoint under the key `edgesr`."""


@dataclass(frozen=True)
class Begun:
    """A checkpoint to go on from. steps: that it has behind it. note: see `edgesr.train.saving.note`."""

    path: Path
    steps: int
    note: dict[str, Any]


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's files, but each appears whole or not at all, and the last sound one before it stays."""

    def __init__(self) -> None:
        super().__init__()
        self.last_is_sound = False  # one that is there already is, where the run goes on from it

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as beside:
            with beside.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if path.name == LAST and self.last_is_sound and path.exists():
                path.replace(path.with_name(BEFORE))
        _sync(path.parent)
        self.last_is_sound = self.last_is_sound or path.name == LAST

    def load_checkpoint(
        self, path: Any, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        self.last_is_sound = Path(path).name == LAST
        return super().load_checkpoint(path, map_location or "cpu", weights_only)  # type: ignore[arg-type]


def _sync(folder: Path) -> None:
    """Make a renaming outlive a power cut; some network file systems cannot."""
    handle = os.open(folder, os.O_RDONLY)
    with suppress(OSError):
        os.fsync(handle)
    os.close(handle)


def run_exists(output: Path) -> bool:
    return any((output / name).exists() for name in (LAST, BEFORE))


def last_sound(output: Path) -> tuple[Begun, list[str]]:
    """The newest checkpoint of a run that can be read, and a line for each that could not.

    Raises MissingFile where the run wrote none, InputError where none can be read or this edgesr is too old.
    """
    if not run_exists(output):
        raise MissingFile(f"{output / LAST} does not exist; there is nothing to resume")
    passed: list[str] = []
    for path in (output / LAST, output / BEFORE):
        try:
            content = _read(path)
        except InputError as error:
            passed.append(str(error))
            continue
        if content["edgesr"]["format"] > FORMAT:
            raise InputError(f"{path} was written by a newer edgesr; go on with that one: pip install -U edgesr")
        return Begun(path, content["global_step"], content["edgesr"]), passed
    raise InputError(f"{' and '.join(passed)}; nothing is left to resume: begin anew with another --output")


def _read(path: Path) -> dict[str, Any]:
    """Raises InputError where the file is missing, cut off, damaged, or none of ours. PyTorch looks at no checksum itself."""
    try:
        with zipfile.ZipFile(path) as archive:
            sound = archive.testzip() is None
        content = torch.load(path, map_location="cpu", weights_only=True) if sound else None
    except FileNotFoundError as error:
        raise MissingFile(f"{path} is missing") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} holds more than weights and settings") from error
    except Exception as error:  # whatever zipfile and torch make of bytes that are not theirs
        raise InputError(f"{path} is damaged") from error
    if not isinstance(content, dict) or "edgesr" not in content:
        raise InputError(f"{path} is {'none of edgesr' if sound else 'damaged'}")
    return content


def changes(begun: Begun, now: dict[str, Any]) -> list[str]:
    """A line for each setting that has changed since the checkpoint; the run then goes on, but is another one.

    now: the recipe's note. Raises CheckpointMismatch where the network or the optimiser is not that of the checkpoint.
    """
    before = begun.note
    for part, words in (("network", _words), ("optimizer", str)):
        if before.get(part, now[part]) != now[part]:
            raise CheckpointMismatch(
                f"{begun.path} holds {words(before[part])}, the recipe asks for {words(now[part])}; resume with the recipe "
                "that began the run"
            )
    return [
        f"{part}.{key} was {before[part][key]} and is {value}"
        for part in ("trainer", "model", "data")
        for key, value in now[part].items()
        if before.get(part, {}).get(key, value) != value
    ]


def _words(network: dict[str, Any]) -> str:
    options = f" {network['options']}" if network["options"] else ""
    return f"{network['network']} x{network['scale']}{options}"
