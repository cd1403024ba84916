"""Images on disk -> one HDF5 file to train from: over all cores, resumable, whole or not there at all."""

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from edgesr.runtime.errors import InputError, MissingFile, OutputFailed, RunError
from edgesr.runtime.files import check_output, replaced
from edgesr.runtime.images import IMAGE_SUFFIXES, image_files
from edgesr.train.data.hdf5_tables import SparseMemory, reserved
from edgesr.train.data.parts import Job, Part, make_part, read_part
from edgesr.train.data.patches import Cutting, Degrade
from edgesr.train.data.stores import partner

__all__ = ["FORMAT", "Prepared", "prepare"]

FORMAT = 1
"""Of the attribute `format`; counts up where a reader would have to know."""

BLOCK_BYTES = 16 * 2**20
"""Held at once while the file is put together."""


@dataclass(frozen=True)
class Prepared:
    """made: False where the output was there already, from the same images and settings.

    taken_up: images that an earlier, interrupted call had done. notes: what had to be changed, and in how many images.
    unreadable: why an image was left out. small: images of which no pair could be cut.
    """

    path: Path
    images: int
    pairs: int
    made: bool = True
    taken_up: int = 0
    notes: tuple[tuple[str, int], ...] = ()
    unreadable: tuple[str, ...] = ()
    small: tuple[str, ...] = ()


def prepare(
    images: Sequence[Path],
    output: Path,
    cutting: Cutting,
    *,
    low: Path | None = None,
    degrade: Degrade | None = None,
    jobs: int = 1,
    force: bool = False,
    skip_small: bool = False,
    skip_unreadable: bool = False,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Write the pairs of all images into one file, in their order, the same bytes whatever `jobs`.

    images: files, and folders of them. low: a folder with their low resolutions; else they are made by `degrade`, or the ruler.
    degrade: must be picklable for more than one job; its repr is what tells one from another.
    tell: is given the images done and all of them.
    What is done is kept in the folder OUTPUT.parts until the file is whole: a call that was killed goes on there.
    Raises InputError, OutputExists, OutputFailed.
    """
    if cutting.versions > 1 and degrade is None:
        raise InputError(f"{cutting.versions} versions of a low resolution would be equal; ask for a degradation, too")
    files = _files(images)
    made_by = {"cutting": cutting.as_dict(), "low": low and low.name, "degrade": repr(degrade) if degrade else None}
    names = [f"{file.parent.name}/{file.name}" for file in files]
    done = _unchanged(output, made_by, names, files)
    folder = output.with_name(f"{output.name}.parts")
    if done is not None and not force:
        shutil.rmtree(folder, ignore_errors=True)  # of a call that was killed at its very end
        return done
    check_output(output, force=force)

    with ExitStack() as stack:
        stack.enter_context(_claimed(folder, {**made_by, "images": [str(file) for file in files]}, force=force))
        todo = [
            Job(i, file, low and partner(file, low, cutting.scale), folder, cutting, degrade, skip_unreadable)
            for i, file in enumerate(files)
        ]
        parts = [read_part(job) for job in todo]
        taken_up = sum(part is not None for part in parts)
        made = _made([job for job, part in zip(todo, parts, strict=True) if part is None], jobs)
        stack.callback(made.close)
        for i, part in enumerate(parts):
            if part is None:
                parts[i] = part = next(made)
            if not len(part) and not part.unreadable and not skip_small:
                raise InputError(f"{files[i]} is too small for {_asked(cutting)} (--skip-small leaves such images out)")
            tell(i + 1, len(parts))
        whole = [part for part in parts if part is not None]
        if not any(map(len, whole)):
            raise InputError(f"none of {len(files)} images gave {_asked(cutting)}; nothing was written")
        _assemble(output, todo, whole, names, made_by)
    shutil.rmtree(folder)
    return Prepared(
        output,
        len(files),
        sum(map(len, whole)),
        taken_up=taken_up,
        notes=tuple(sorted(Counter(note for part in whole for note in part.notes).items())),
        unreadable=tuple(part.unreadable for part in whole if part.unreadable),
        small=tuple(name for name, part in zip(names, whole, strict=True) if not len(part) and not part.unreadable),
    )


def _files(images: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in images:
        if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES:
            raise InputError(f"{path} is no image; expected {', '.join(IMAGE_SUFFIXES)}, or a folder of them")
        if not path.exists():
            raise MissingFile(f"{path} does not exist; expected an image, or a folder of them")
        files.extend([path] if path.is_file() else image_files(path))
    return files


def _asked(cutting: Cutting) -> str:
    if cutting.patch:
        return f"a patch of {cutting.patch[0]}x{cutting.patch[1]}{'' if cutting.same_size else ' at low resolution'}"
    if cutting.crop_size:
        return f"crops of {cutting.crop_size[0]}x{cutting.crop_size[1]}"
    return f"x{cutting.scale}"


def _unchanged(output: Path, made_by: dict[str, Any], names: list[str], files: list[Path]) -> Prepared | None:
    """What there is, where it was made of the same images by the same settings, and no image is newer."""
    try:
        with h5py.File(output, "r") as file:
            same = json.loads(file.attrs["settings"]) == made_by
            same = same and [name.decode() for name in file["images"][:]] == names
            pairs = int(file["pairs"][:].sum())
        newest = max(file.stat().st_mtime_ns for file in files)
        return Prepared(output, len(names), pairs, made=False) if same and newest < output.stat().st_mtime_ns else None
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
    ):  # anything else than a file of ours
        return None


@contextmanager
def _claimed(folder: Path, identity: dict[str, Any], *, force: bool) -> Iterator[None]:
    """The folder of the parts, for this process alone; raises InputError where it belongs to other settings or is in use."""
    note, identity = folder / "settings.json", json.loads(json.dumps(identity))
    with ExitStack() as stack:
        try:
            folder.mkdir(exist_ok=True)
            lock = stack.enter_context((folder / "lock").open("w"))
        except OSError as error:
            raise OutputFailed(f"{folder} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{folder} is in use: another process prepares the same file; let it end") from error
        before = _read(note)
        if before is not None and before != identity and not force:
            raise InputError(
                f"{folder} holds a preparation that was interrupted, with other {_difference(before, identity)}; "
                "call with those to go on, or add --force to begin anew"
            )
        if before != identity:
            for part in folder.glob("[0-9]*.*"):
                part.unlink()
            with replaced(note) as beside:
                beside.write_text(json.dumps(identity))
        yield


def _read(note: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(note.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """`settings (scale 2, not 4)`."""
    if before.get("images") != now["images"]:
        return "images"
    old, new = (
        {**given.get("cutting", {}), "low": given.get("low"), "degrade": given.get("degrade")}
        for given in (before, now)
    )
    return f"settings ({', '.join(f'{key} {old.get(key)}, not {new[key]}' for key in new if old.get(key) != new[key])})"


def _made(todo: Sequence[Job], jobs: int) -> Generator[Part, None, None]:
    """The parts in their order. A worker that is killed ends the whole; one whose parent is killed ends itself."""
    jobs = min(jobs, len(todo))
    if jobs <= 1:
        yield from map(make_part, todo)
        return
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_follow_parent)
    try:
        yield from pool.map(make_part, todo)
    except BrokenProcessPool as error:
        raise RunError(
            "a process that prepares images was killed, perhaps for its memory; call again with fewer --jobs: it goes on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells of Ctrl-C, once
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


def _assemble(output: Path, todo: list[Job], parts: list[Part], names: list[str], made_by: dict[str, Any]) -> None:
    """Patches, all of one size, are stacked into two data sets; images get a data set each."""
    tables, cutting = SparseMemory(), todo[0].cutting
    with h5py.File(tables, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["scale"] = cutting.scale
        # Texts of fixed length: those of variable length lie in a heap, and a damaged one can keep the library busy for hours.
        file.attrs["colour"] = np.bytes_("luma" if cutting.luma else "rgb")
        file.attrs["settings"] = np.bytes_(json.dumps(made_by))
        file["images"] = np.array([name.encode() for name in names])
        file["pairs"] = np.array([len(part) for part in parts])
        places = [_reserved(file, group, parts, cutting, side) for side, group in enumerate(("lr", "hr"))]
    with replaced(output) as beside, beside.open("wb") as whole:
        tables.save(whole)
        for suffix, pieces in zip(("low", "high"), places, strict=True):
            for job, piece in zip(todo, pieces, strict=True):
                if not piece:
                    continue
                with job.path(suffix).open("rb") as part_file:
                    for offset, length in piece:
                        whole.seek(offset)
                        _copy(part_file, whole, length)


def _reserved(
    file: h5py.File, group: str, parts: list[Part], cutting: Cutting, side: int
) -> list[list[tuple[int, int]]]:
    """Of each part, the places (offset, bytes) in the file that its content goes to."""
    dtype, count = cutting.dtype, 0
    places: list[list[tuple[int, int]]] = []
    if cutting.patch:
        shape = next(shapes[side] for part in parts for _, *shapes in part.runs)
        each = int(np.prod(shape)) * dtype.itemsize
        start = reserved(file, group, (sum(map(len, parts)), *shape), dtype)
        for part in parts:
            places.append([(start + count * each, len(part) * each)] if len(part) else [])
            count += len(part)
        return places
    for part in parts:
        shapes_of_pairs = [shapes[side] for many, *shapes in part.runs for _ in range(many)]
        places.append(
            [
                (reserved(file, f"{group}/{count + i}", shape, dtype), int(np.prod(shape)) * dtype.itemsize)
                for i, shape in enumerate(shapes_of_pairs)
            ]
        )
        count += len(part)
    return places


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    while length > 0:
        block = source.read(min(length, BLOCK_BYTES))
        if not block:
            raise OutputFailed(f"{source.name} is cut off: another program changed it; call again with --force")
        target.write(block)
        length -= len(block)
