"""PSNR, SSIM and IFC of a model on folders of images, by the field's ruler or as RDSRN's authors measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.backends import Backend
from edgesr.runtime.errors import BackendFailed, EdgeSRError, FrameTooLarge, InputError, MissingDependency
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import GREY, image_files, read_image
from edgesr.runtime.quality import RDSRN_RULER, RULER, Ruler, crop_to_multiple, psnr, ssim
from edgesr.runtime.resize import downscale
from edgesr.runtime.spec import ModelSpec
from edgesr.train.ifc import ifc

if TYPE_CHECKING:  # a board scores its engines without PyTorch
    from torch import Tensor

    from edgesr.train.networks import Network

__all__ = ["PROTOCOLS", "Protocol", "Score", "evaluate", "mean_score", "scale_of", "sharpen", "title_of"]

Floats = NDArray[np.float64]
ANY_SIZE = {
    "tensorrt": "build the engine for many sizes, with --min, --opt and --max",
    "onnxruntime": "export it without --size",
}
"""By backend, what opens a model to the many sizes of a set."""


@dataclass(frozen=True)
class Protocol:
    """How low resolution is made from uint8 BGR, and how Y is taken.

    degrade: makes the low resolution instead of `shrink`; what it draws depends on (seed, place of the image) alone.
    grey_as_y: an image that is stored grey is measured on its grey (0–255), not on Y of three equal channels (16–235);
    what the model is given stays the same.
    """

    shrink: Callable[[Pixels, int], Pixels]
    ruler: Ruler
    grey_as_y: bool = False
    degrade: Callable[[Pixels, int, np.random.Generator], Pixels] | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"the seed is {self.seed}; expected 0 or more")

    def reduced(self, high: Pixels, scale: int, place: int) -> Pixels:
        """Of the image that is `place`-th in its folder."""
        if self.degrade is None:
            return self.shrink(high, scale)
        return self.degrade(high, scale, np.random.default_rng((self.seed, place)))


def pillow_downscale(pixels: Pixels, scale: int) -> Pixels:
    """Pillow's bicubic, which RDSRN's authors made their low resolution with."""
    try:
        image = import_module("PIL.Image")
    except ImportError as error:
        raise MissingDependency("--protocol rdsrn makes low resolution with Pillow: pip install pillow") from error
    height, width = pixels.shape[:2]
    small = image.fromarray(pixels).resize((width // scale, height // scale), image.Resampling.BICUBIC)
    return np.asarray(small)


PROTOCOLS: dict[str, Protocol] = {
    "matlab": Protocol(lambda pixels, scale: np.asarray(downscale(pixels, scale), np.uint8), RULER),
    "rdsrn": Protocol(pillow_downscale, RDSRN_RULER),
}


@dataclass(frozen=True)
class Score:
    """One image. PSNR is on Y of the unrounded output for a checkpoint (psnr_db), of the bytes for a deployed model
    (psnr_8bit_db); the other is None. SSIM is on Y of the rounded output in both cases; IFC, None where it was not asked for,
    on Y rounded to whole values in output and truth."""

    image: str
    psnr_db: float | None
    psnr_8bit_db: float | None
    ssim: float
    ifc: float | None = None


def sharpen(network: "Network", low: Pixels, ruler: Ruler = RULER, *, ensemble: bool = False) -> Floats:
    """uint8 (H, W, 3) BGR -> Y of the network's clipped, unrounded output, float64 (H*scale, W*scale), 0–255."""
    import torch

    from edgesr.train.data.colour import network_input

    with torch.no_grad():
        given = network_input(low, network.colour)[None].to(next(network.parameters()).device)
        out = (_ensemble(network, given) if ensemble else network(given))[0].clamp(0, 1)
    values = out.cpu().double().numpy() * 255
    return np.asarray(values[0]) if network.colour == "luma" else ruler.luma(values[::-1].transpose(1, 2, 0))


def _ensemble(network: "Network", given: "Tensor") -> "Tensor":
    """Mean of the outputs for the input in its eight positions, each turned back.

    R. Timofte, R. Rothe, L. Van Gool, "Seven ways to improve example-based single image super resolution", CVPR 2016.
    """
    outputs: list[Tensor] = []
    for axes in ((), (2,), (3,), (2, 3)):
        flipped = given.flip(axes)
        outputs.append(network(flipped).flip(axes))
        outputs.append(network(flipped.transpose(2, 3)).transpose(2, 3).flip(axes))
    return sum(outputs[1:], outputs[0]) / 8


def evaluate(
    model: "Network | Backend", folder: Path, protocol: Protocol, *, with_ifc: bool = False, ensemble: bool = False
) -> Iterator[Score]:
    """Score every image of a folder, in order of name. The border cut is as wide as the scale.

    ensemble: eight flipped and turned runs averaged, x8 in papers; for networks only, since bytes are rounded already.
    Raises InputError for a folder without images, and whatever goes wrong with an image with the image's name before it.
    """
    if ensemble and isinstance(model, Backend):
        raise InputError(
            f"{model.title} gives rounded bytes, and a self-ensemble is the mean of unrounded outputs: evaluate the "
            "checkpoint, or leave --ensemble out"
        )
    for place, file in enumerate(image_files(folder)):
        pixels, notes = read_image(file)
        try:
            luma, truth = _planes(model, pixels, protocol, place, ensemble)
            if protocol.grey_as_y and GREY in notes:
                luma, truth = protocol.ruler.grey(luma), protocol.ruler.grey(truth)
            score = _score(model, file.stem, luma, truth, with_ifc)
        except MissingDependency:
            raise
        except EdgeSRError as error:
            raise type(error)(f"{file}: {error}") from error
        yield score


def _planes(
    model: "Network | Backend", pixels: Pixels, protocol: Protocol, place: int, ensemble: bool
) -> tuple[Floats, Floats]:
    """Y of what the model makes of the image's low resolution, and of the image."""
    high = np.asarray(crop_to_multiple(pixels, scale_of(model)), np.uint8)
    low = protocol.reduced(high, scale_of(model), place)
    if isinstance(model, Backend):
        luma = protocol.ruler.luma(_infer(model, low))
    else:
        luma = _forward(model, low, protocol.ruler, ensemble)
    return luma, protocol.ruler.luma(high)


def _score(model: "Network | Backend", image: str, luma: Floats, truth: Floats, with_ifc: bool) -> Score:
    border, deployed = scale_of(model), isinstance(model, Backend)
    quality = psnr(luma, truth, border)
    return Score(
        image,
        psnr_db=None if deployed else quality,
        psnr_8bit_db=quality if deployed else None,
        ssim=ssim(luma if deployed else np.rint(luma), truth, border),
        ifc=ifc(np.rint(luma), np.rint(truth), border) if with_ifc else None,
    )


def scale_of(model: "Network | Backend") -> int:
    return model.spec.scale if isinstance(model, Backend) else model.scale


def title_of(model: "Network | Backend") -> str:
    """For tables."""
    return model.title if isinstance(model, Backend) else _sizes(model).title


def _infer(backend: Backend, low: Pixels) -> Pixels:
    backend.check(low)
    try:
        return backend.infer(low)
    except FrameTooLarge:
        raise
    except InputError as error:  # of a size that the network takes, so the file was made for others
        remedy = ANY_SIZE.get(str(backend.settings["backend"]))
        if remedy is None:
            raise
        raise InputError(
            f"{backend.title} was not made for {low.shape[1]}x{low.shape[0]}, and a set has many sizes: {remedy}"
        ) from error


def _forward(network: "Network", low: Pixels, ruler: Ruler, ensemble: bool) -> Floats:
    height, width = low.shape[:2]
    _sizes(network).check_size(width, height)
    try:
        return sharpen(network, low, ruler, ensemble=ensemble)
    except RuntimeError as error:  # torch's, for want of memory as for a size that a layer cannot take
        reason = str(error).strip().splitlines()[0]
        raise BackendFailed(f"{title_of(network)} failed on {width}x{height}: {reason}") from error


def _sizes(network: "Network") -> ModelSpec:
    """What sizes the network takes, and nothing more: to count the deepest takes ten seconds."""
    return ModelSpec(
        name=network.name,
        scale=network.scale,
        colour=network.colour,
        parameters=0,
        multiply_adds_per_pixel=0,
        receptive_field=None,
        size_multiple=network.size_multiple,
        min_size=network.min_size,
        fixed_size=network.fixed_size,
    )


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean over images of every column that is filled."""

    def mean(column: Callable[[Score], Any]) -> Any:
        values = [column(score) for score in scores]
        return None if None in values else float(np.mean(values))

    psnr_db, psnr_8bit_db = mean(lambda s: s.psnr_db), mean(lambda s: s.psnr_8bit_db)
    return Score("mean", psnr_db, psnr_8bit_db, mean(lambda s: s.ssim), mean(lambda s: s.ifc))
