"""Do two models give the same picture? Asked on real image content, before anything is installed. Needs no torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.errors import ParityFailed
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.quality import psnr
from edgesr.runtime.sources import open_source
from edgesr.runtime.spec import ModelSpec

__all__ = [
    "BF16",
    "FP16",
    "FP32",
    "Limits",
    "Parity",
    "check_backend",
    "check_frame",
    "check_sizes",
    "frames_for_checks",
]


@dataclass(frozen=True)
class Parity:
    """Largest difference in code values, and PSNR in dB (infinite where all bytes are equal), at width x height."""

    width: int
    height: int
    difference: int
    psnr_db: float

    @property
    def title(self) -> str:
        db = "every byte equal" if self.difference == 0 else f"{self.psnr_db:.1f} dB"
        return f"{db}, largest difference {self.difference}"

    def plain(self) -> dict[str, Any]:
        """For JSON, which knows no infinity: PSNR is null where every byte is equal."""
        return asdict(self) | ({} if self.difference else {"psnr_db": None})


@dataclass(frozen=True)
class Limits:
    """What a converted model may differ by: code values at most, PSNR in dB at least."""

    difference: int
    psnr_db: float


FP32 = Limits(1, 60.0)  # a float sum that falls on the other side of .5
FP16 = Limits(2, 55.0)  # 0–255 in steps of 0.125, after a network that rounds every activation to 11 bits
BF16 = Limits(
    8, 44.0
)  # 8 bits: 48.7 dB and 6 code values at worst, over ECBSR, CARN and RDSRN at x4, rounded on the CPU
INT8 = Limits(
    24, 45.0
)  # two orders of the same sums differ by up to 9 and 50 dB, FP16 around INT8 by 19 and 47 dB (ECBSR, RDSRN)


def check_frame(frame: Pixels, want: Pixels, got: Pixels, limits: Limits, *, model: str, original: str) -> Parity:
    """Compare what `original` and `model` (names, for the message) made of a frame: all uint8 (H, W, 3).

    Raises ParityFailed, with the spread of the error, where they differ by more than `limits`.
    """
    height, width, _ = frame.shape
    difference = np.abs(want.astype(int) - got)
    parity = Parity(width, height, int(difference.max()), psnr(want, got))
    if parity.difference <= limits.difference and parity.psnr_db >= limits.psnr_db:
        return parity
    spread = ", ".join(f"{count} by {value}" for value, count in enumerate(np.bincount(difference.ravel())[:6]))
    black = " (the frame is black: something overflowed)" if want.any() and not got.any() else ""
    raise ParityFailed(
        f"{model} at {width}x{height} differs from {original} by up to {parity.difference} code values, "
        f"{parity.psnr_db:.1f} dB{black}; expected {limits.difference} and {limits.psnr_db:.0f} dB: "
        f"nothing was written ({spread})"
    )


def check_backend(
    original: Backend, model: Backend, frames: Sequence[Pixels], limits: Limits, *, name: str
) -> list[Parity]:
    """Compare frame by frame; `name` says in the message what `model` is. Raises ParityFailed at the first that fails."""
    return [
        check_frame(frame, original.infer(frame), model.infer(frame), limits, model=name, original=original.title)
        for frame in frames
    ]


def check_sizes(spec: ModelSpec, size: tuple[int, int] | None) -> Sequence[tuple[int, int]]:
    """Two sizes (width, height), one of them odd where the network allows it; where one is fixed, that one."""
    if size or spec.fixed_size:
        return [size or (spec.fixed_size, spec.fixed_size)]
    step, least = spec.size_multiple, spec.min_size
    return [
        (max(least, 96) // step * step, max(least, 64) // step * step),
        (max(least, 61 * step), max(least, 47 * step)),
    ]


def frames_for_checks(sizes: Sequence[tuple[int, int]], folder: Path | None = None, *, seed: int = 0) -> list[Pixels]:
    """One frame of each (width, height): cut from the images of a folder, or made by `pattern:natural` from a seed."""
    return [_from_folder(folder, *size) if folder else _from_pattern(*size, seed) for size in sizes]


def _from_pattern(width: int, height: int, seed: int) -> Pixels:
    with open_source(f"pattern:natural?size={width}x{height}&frames=1&seed={seed}") as source:
        frame = source.read()
    assert frame is not None
    writable: Pixels = frame.pixels.copy()  # the source's own cannot be written to, which PyTorch minds
    return writable


def _from_folder(folder: Path, width: int, height: int) -> Pixels:
    for file in image_files(folder):
        pixels, _ = read_image(file)
        if pixels.shape[0] >= height and pixels.shape[1] >= width:
            return np.ascontiguousarray(pixels[:height, :width])
    raise ParityFailed(f"no image in {folder} is {width}x{height} or larger; expected one to check the export with")
