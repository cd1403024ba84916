"""What a preparation has done so far: one part an image, in a folder beside the output, so that a killed one goes on.

A part is three files: the bytes of its low resolutions, those of its high ones, and, when both are whole, a note of what they are.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesr.runtime.errors import OutputFailed, UnreadableImage
from edgesr.runtime.files import replaced
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import read_image
from edgesr.train.data.patches import Cutting, Degrade, Stacks, pairs_of
from edgesr.train.data.stores import check_sizes

__all__ = ["Job", "Part", "make_part", "read_part"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """One image. low: its low resolution, where it is given. folder: of the parts."""

    index: int
    file: Path
    low: Path | None
    folder: Path
    cutting: Cutting
    degrade: Degrade | None = None
    skip_unreadable: bool = False

    def path(self, suffix: str) -> Path:
        return self.folder / f"{self.index:06}.{suffix}"

    def stamp(self) -> list[list[int]]:
        """Size and time of what the part is made from."""
        facts = [file.stat() for file in (self.file, self.low) if file is not None]
        return [[fact.st_size, fact.st_mtime_ns] for fact in facts]


@dataclass(frozen=True)
class Part:
    """runs: (how many, shape of low, shape of high), in order. notes: what had to be changed. unreadable: why it is left out."""

    stamp: list[list[int]]
    runs: list[tuple[int, Shape, Shape]]
    notes: list[str]
    unreadable: str = ""

    def __len__(self) -> int:
        return sum(count for count, _, _ in self.runs)


def make_part(job: Job) -> Part:
    """Raises UnreadableImage unless those are skipped, OutputFailed."""
    stamp = job.stamp()
    try:
        pixels, notes = read_image(job.file)
        low: Pixels | None = None
        if job.low is not None:
            low, more = read_image(job.low)
            notes = [*notes, *more]
    except UnreadableImage as error:
        if not job.skip_unreadable:
            raise UnreadableImage(f"{error} (--skip-unreadable leaves such images out)") from error
        return Part(stamp, [], [], str(error))
    if job.low is not None and low is not None:
        check_sizes((job.low, low), (job.file, pixels), job.cutting.scale)
    pairs = pairs_of(pixels, job.cutting, index=job.index, low=low, degrade=job.degrade)
    try:
        part = Part(stamp, _written(job, pairs), notes)
    except OSError as error:
        raise OutputFailed(
            f"{job.folder} cannot be written: {error.strerror}; what is done is kept: make room and call again"
        ) from error
    with replaced(job.path("json")) as beside:
        beside.write_text(json.dumps(asdict(part)))
    return part


def _written(job: Job, pairs: Iterable[Stacks]) -> list[tuple[int, Shape, Shape]]:
    runs: list[tuple[int, Shape, Shape]] = []
    with job.path("low").open("wb") as low_file, job.path("high").open("wb") as high_file:
        for low, high in pairs:
            low_file.write(low.tobytes())
            high_file.write(high.tobytes())
            shapes = low.shape[1:], high.shape[1:]
            before = runs.pop()[0] if runs and runs[-1][1:] == shapes else 0
            runs.append((before + len(low), *shapes))
    return runs


def read_part(job: Job) -> Part | None:
    """The part, where it is whole and its image has not changed since."""
    try:
        noted: dict[str, Any] = json.loads(job.path("json").read_text())
        runs = [(count, tuple(low), tuple(high)) for count, low, high in noted["runs"]]
        part = Part(noted["stamp"], runs, noted["notes"])
        sizes = [os.path.getsize(job.path(side)) for side in ("low", "high")]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return part if part.stamp == job.stamp() and sizes == _sizes(part, job.cutting) else None


def _sizes(part: Part, cutting: Cutting) -> list[int]:
    sides: list[int] = [0, 0]
    for count, *shapes in part.runs:
        for side, shape in enumerate(shapes):
            pixels = 1
            for length in shape:
                pixels *= length
            sides[side] += count * pixels * cutting.dtype.itemsize
    return sides
