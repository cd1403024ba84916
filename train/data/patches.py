"""What is made of an image for a prepared set: the whole of it, five crops, or patches on a grid as the early papers cut them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.quality import RULER, crop_to_multiple
from edgesr.runtime.resize import downscale, imresize, upscale

__all__ = ["PRESETS", "Cutting", "Degrade", "Preset", "Stacks", "pairs_of"]

Degrade = Callable[[Pixels, int, np.random.Generator], Pixels]
"""High resolution, scale, generator -> low resolution; such as `edgesr.train.data.degradations.Chain`."""

Size = tuple[int, int]
"""Width, height."""

Stacks = tuple[NDArray[Any], NDArray[Any]]
"""Low (n, h, w[, 3]) and high (n, H, W[, 3]): uint8 RGB, or float32 Y of BT.601, 16–235 and not rounded."""


@dataclass(frozen=True)
class Cutting:
    """How pairs are made of an image.

    five_crop: the four corners and the centre, in the order of torchvision's FiveCrop; else, and without a patch, the whole image.
    crop_size: of the five crops at high resolution; None: half the image's.
    patch, stride: a grid of patches, in pixels of the network's input, which with same_size are those of the output.
    scales: each image is taken reduced by each of these, too.
    rotations: by 90, 180 and 270 degrees, too. flips: mirrored left to right, too.
    luma: Y alone. same_size: the low resolution is enlarged to the high one's size by the ruler's bicubic.
    versions: low resolutions of each high one, which a degradation makes differ. seed: of the degradation.
    """

    scale: int
    five_crop: bool = False
    crop_size: Size | None = None
    patch: Size | None = None
    stride: int | None = None
    scales: tuple[float, ...] = (1.0,)
    rotations: bool = False
    flips: bool = False
    luma: bool = False
    same_size: bool = False
    versions: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("scale", "versions"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.patch and self.five_crop:
            raise InputError("five crops and patches exclude each other; choose one")
        if bool(self.patch) != bool(self.stride) or (self.stride or 1) < 1 or min(self.patch or (1,)) < 1:
            raise InputError(f"patch {_text(self.patch)} with stride {self.stride}; expected both, of 1 pixel or more")
        if self.crop_size and not self.five_crop:
            raise InputError(f"a crop size ({_text(self.crop_size)}) belongs to five crops; ask for them, too")
        if self.crop_size and any(side < 1 or side % self.scale for side in self.crop_size):
            raise InputError(f"crops of {_text(self.crop_size)} at x{self.scale}; expected multiples of {self.scale}")
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise InputError(f"images reduced by {self.scales}; expected factors above 0, up to 1")

    def as_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def channels(self) -> int:
        return 1 if self.luma else 3

    @property
    def dtype(self) -> "np.dtype[Any]":
        return np.dtype(np.float32 if self.luma else np.uint8)


def _text(size: Size | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "none"


@dataclass(frozen=True)
class Preset:
    """What a paper trained on. patch: side, or by scale where the paper has one for each."""

    patch: int | Mapping[int, int]
    stride: int
    same_size: bool
    scales: tuple[float, ...] = (1.0,)
    rotations: bool = False
    flips: bool = False

    def cutting(self, scale: int) -> dict[str, Any]:
        """The arguments of `Cutting`; raises InputError for a scale that the paper has not."""
        patch = self.patch if isinstance(self.patch, int) else self.patch.get(scale)
        if patch is None:
            raise InputError(f"the paper gives no patch for x{scale}; give one with --patch")
        augmented = {"scales": self.scales, "rotations": self.rotations, "flips": self.flips}
        grid = {"patch": (patch, patch), "stride": self.stride}
        return {"scale": scale, "luma": True, "same_size": self.same_size, **grid, **augmented}


PRESETS = {
    # TPAMI 2016; T91 at x3 gives as many patches as with the authors' program, 21,884.
    "srcnn": Preset(33, 14, same_size=True),
    # ECCV 2016; the stride of public ports.
    "fsrcnn": Preset({2: 10, 3: 7, 4: 6}, 4, same_size=False, scales=(1.0, 0.9, 0.8, 0.7, 0.6), rotations=True),
    # CVPR 2016: no overlap.
    "vdsr": Preset(41, 41, same_size=True, rotations=True, flips=True),
    # CVPR 2016: the stride leaves out what the borders of three convolutions (5, 3, 3) would see twice.
    "espcn": Preset(17, 14, same_size=False),
    # CVPR 2016.
    "drcn": Preset(41, 21, same_size=True),
    # CVPR 2017; the authors' program.
    "drrn": Preset(31, 21, same_size=True, rotations=True, flips=True),
}


def pairs_of(
    pixels: Pixels, cutting: Cutting, *, index: int = 0, low: Pixels | None = None, degrade: Degrade | None = None
) -> Iterator[Stacks]:
    """The pairs of one image, a few at a time; none where it is too small.

    index: of the image; a degradation is drawn by (seed, index, version).
    low: the low resolution, where it is given; it must fit (raises InputError).
    """
    if low is not None and degrade is not None:
        raise InputError("a low resolution that is given is not degraded; leave one of both out")
    if low is not None and cutting.scales != (1.0,):
        raise InputError(
            f"a low resolution that is given cannot be taken at {cutting.scales} of its size; leave that out"
        )
    for version in range(cutting.versions):
        rng = np.random.default_rng((cutting.seed, index, version))
        for high, small in _variants(pixels, low, cutting):
            if small is None:
                small = degrade(high, cutting.scale, rng) if degrade else downscale(high, cutting.scale)
            yield from _cut(*_as_stored(small, high, cutting), cutting)


def _variants(pixels: Pixels, low: Pixels | None, cutting: Cutting) -> Iterator[tuple[Pixels, Pixels | None]]:
    turns = range(4) if cutting.rotations else range(1)
    for scale in cutting.scales:
        reduced = pixels if scale == 1 else _reduced(pixels, scale)
        if min(reduced.shape[:2]) < cutting.scale:
            continue
        for flip in (False, True) if cutting.flips else (False,):
            for turn in turns:
                high, small = (
                    None if image is None else np.rot90(image[:, ::-1] if flip else image, turn)
                    for image in (reduced, low)
                )
                assert high is not None  # mypy takes both for one
                yield (crop_to_multiple(high, cutting.scale) if small is None else high), small


def _reduced(pixels: Pixels, scale: float) -> Pixels:
    """As MATLAB's imresize(pixels, scale): sides rounded up."""
    height, width = (int(np.ceil(round(side * scale, 6))) for side in pixels.shape[:2])
    return imresize(pixels, width, height, scale)


def _as_stored(low: Pixels, high: Pixels, cutting: Cutting) -> Stacks:
    """Not stacked yet. Y is taken before it is enlarged, and the enlarged not rounded, as inside our networks."""
    small: NDArray[Any] = RULER.luma(low) if cutting.luma else low[..., ::-1]
    large: NDArray[Any] = RULER.luma(high) if cutting.luma else high[..., ::-1]
    if cutting.same_size:
        small = upscale(small, cutting.scale)
    return small.astype(cutting.dtype, copy=False), large.astype(cutting.dtype, copy=False)


def _cut(low: NDArray[Any], high: NDArray[Any], cutting: Cutting) -> Iterator[Stacks]:
    if cutting.patch:
        yield from _patches(low, high, cutting.patch, cutting.stride or 1)
    elif cutting.five_crop:
        yield from _five_crops(low, high, cutting)
    else:
        yield low[None], high[None]


def _patches(low: NDArray[Any], high: NDArray[Any], patch: Size, stride: int) -> Iterator[Stacks]:
    """A row of the grid at a time: all of them may be a hundred times the image."""
    (width, height), scale = patch, len(high) // len(low)
    lefts = range(0, low.shape[1] - width + 1, stride)
    if not lefts:
        return
    for top in range(0, low.shape[0] - height + 1, stride):
        yield (
            np.stack([_crop(low, top, left, height, width) for left in lefts]),
            np.stack([_crop(high, *(scale * part for part in (top, left, height, width))) for left in lefts]),
        )


def _five_crops(low: NDArray[Any], high: NDArray[Any], cutting: Cutting) -> Iterator[Stacks]:
    scale = cutting.scale
    rows, columns = high.shape[0] // scale, high.shape[1] // scale
    width, height = (side // scale for side in cutting.crop_size) if cutting.crop_size else (columns // 2, rows // 2)
    below, beyond = rows - height, columns - width
    if min(width, height) < 1 or min(below, beyond) < 0:
        return
    inside = scale if cutting.same_size else 1
    for top, left in ((0, 0), (0, beyond), (below, 0), (below, beyond), (round(below / 2), round(beyond / 2))):
        place = (top, left, height, width)
        yield (
            _crop(low, *(inside * part for part in place))[None],
            _crop(high, *(scale * part for part in place))[None],
        )


def _crop(image: NDArray[Any], top: int, left: int, height: int, width: int) -> NDArray[Any]:
    return image[top : top + height, left : left + width]
