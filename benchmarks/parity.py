"""Does a model still give what its network gives in PyTorch? Asked of the very backends that are timed, before they are.

As edgesr-export asks it before it installs a file: of bytes, at one size, with frames cut from photographs or made by `pattern:`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesr.benchmarks.contenders import BackendContender, Contender, weights_of
from edgesr.benchmarks.rivals import open_reference
from edgesr.benchmarks.settings import LatencySettings
from edgesr.runtime.backends import Backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.program_card import ProgramCard, read_program_card
from edgesr.runtime.quality import psnr
from edgesr.runtime.sources import open_source

__all__ = ["METHOD", "Parity", "measure_parities"]

METHOD = (
    "parity: the result's bytes against those of the same network in PyTorch, FP32 on the CPU: PSNR of the frame that differs most, "
    "largest difference in code values, and share of the pixels with a colour that differs by more than 1"
)


@dataclass(frozen=True)
class Parity:
    """psnr_db: over all bytes of the frame that differs most; infinite where every byte of all frames is equal. difference: the
    largest, in code values. beyond_one: share of the pixels of all frames that have a colour that differs by more than 1."""

    frames: int
    psnr_db: float
    difference: int
    beyond_one: float


def measure_parities(
    settings: LatencySettings,
    labels: Sequence[str],
    contenders: Sequence[Contender],
    notes: list[str],
    tell: Callable[[str], None],
) -> list[Parity | None]:
    """One for each contender that is the network of one of `settings.references`. A note says which reference is nobody's.

    Raises what `open_reference` raises, and InputError for a reference of another size or precision.
    """
    cards = {path: _card(Path(path), settings) for path in settings.references}
    found: list[Parity | None] = [None] * len(contenders)
    for path, card in cards.items():
        matching = {
            place: contender.backend
            for place, contender in enumerate(contenders)
            if isinstance(contender, BackendContender) and _is_of(contender, card)
        }
        if not matching:
            notes.append(
                f"no model here is {card.spec.title} with the weights of {Path(path).name}: not compared with it"
            )
            continue
        tell(f"parity of {', '.join(labels[place] for place in matching)} with PyTorch")
        with open_reference(Path(path), settings.threads) as reference:
            for place, parity in zip(matching, _compared(reference, [*matching.values()], settings), strict=True):
                found[place] = parity
    return found


def _card(path: Path, settings: LatencySettings) -> ProgramCard:
    card = read_program_card(path)
    wanted = f"{settings.width}x{settings.height}"
    if card.size != (settings.width, settings.height):
        raise InputError(
            f"{path} takes {card.size[0]}x{card.size[1]} alone, the run is at {wanted}: export it with --size {wanted}"
        )
    if card.precision != "fp32":
        raise InputError(f"{path} is {card.precision.upper()}; a reference is in FP32: export it without --precision")
    return card


def _is_of(contender: Contender, card: ProgramCard) -> bool:
    """Same network, options and scale; same weights too where the model tells."""
    return contender.spec == card.spec and weights_of(contender.model) in (None, card.weights_sha256)


def _compared(reference: Backend, backends: Sequence[Backend], settings: LatencySettings) -> Iterator[Parity]:
    differences: list[list[tuple[float, int, float]]] = [[] for _ in backends]
    for frame in _frames(settings):
        want = reference.infer(frame)
        for backend, known in zip(backends, differences, strict=True):
            got = backend.infer(frame)
            difference = np.abs(want.astype(np.int16) - got)
            known.append((psnr(want, got), int(difference.max()), float((difference.max(axis=2) > 1).mean())))
    for known in differences:
        decibels, levels, shares = zip(*known, strict=True)
        yield Parity(len(known), min(decibels), max(levels), float(np.mean(shares)))


def _frames(settings: LatencySettings) -> Iterator[Pixels]:
    """The upper left of each photograph that is large enough; one made by `pattern:` where there are none."""
    width, height = settings.width, settings.height
    is_any = False
    for folder in settings.data:
        for file in image_files(Path(folder)):
            pixels, _ = read_image(file)
            if pixels.shape[0] >= height and pixels.shape[1] >= width:
                is_any = True
                yield np.ascontiguousarray(pixels[:height, :width])
    if not is_any:
        with open_source(f"pattern:natural?size={width}x{height}&frames=1&seed={settings.seed}") as source:
            yield from (frame.pixels for frame in source)
