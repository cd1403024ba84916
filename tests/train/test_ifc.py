"""IFC: against the published figures of bicubic, against the formula written out, and where it must not move."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pyrtools", reason="IFC's steerable pyramid")

from edgesr.runtime import memory
from edgesr.runtime.errors import FrameTooLarge, InputError, MissingDependency
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.quality import RULER, crop_to_multiple
from edgesr.runtime.resize import downscale, upscale
from edgesr.train.ifc import _bands, _information, ifc

Plane = NDArray[np.float64]


@pytest.fixture
def truth() -> Plane:
    data = pytest.importorskip("skimage.data")
    return np.rint(RULER.luma(data.coffee()[100:220, 200:332, ::-1]))


def bicubic(plane: Plane, scale: int = 2) -> Plane:
    return np.rint(upscale(downscale(plane, scale), scale))


def ruler(image: NDArray[np.uint8], scale: int) -> tuple[Plane, Plane]:
    """Ours: colour, low resolution in bytes, Y of both rounded."""
    return np.rint(RULER.luma(upscale(downscale(image, scale), scale))), np.rint(RULER.luma(image))


def luma_only(image: NDArray[np.uint8], scale: int) -> tuple[Plane, Plane]:
    """Y in bytes, its low resolution left unrounded."""
    luma = np.rint(RULER.luma(image))
    return bicubic(luma, scale), luma


def colour(image: NDArray[np.uint8], scale: int) -> tuple[Plane, Plane]:
    """Colour, its low resolution left unrounded, the output in bytes, Y left unrounded."""
    out = np.rint(upscale(downscale(image.astype(float), scale), scale)).clip(0, 255)
    return RULER.luma(out), RULER.luma(image)


QUOTED = [  # for bicubic on Set5 at x2, x3, x4
    pytest.param(ruler, (5.72, 3.45, 2.28), id="ours"),
    pytest.param(luma_only, (6.083, 3.580, 2.329), id="DRRN, CVPR 2017", marks=pytest.mark.slow),
    pytest.param(colour, (6.166, 3.596, 2.337), id="MS-LapSRN, TPAMI 2018", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("way", "quoted"), QUOTED)
def test_bicubic_on_set5_is_the_literatures(
    shared: Path, way: Callable[..., tuple[Plane, Plane]], quoted: tuple[float, ...]
) -> None:
    images = [read_image(file)[0] for file in image_files(shared / "data" / "Set5")]
    for scale, value in zip((2, 3, 4), quoted, strict=True):
        bits = [ifc(*way(crop_to_multiple(image, scale), scale), border=scale) for image in images]
        assert np.mean(bits) == pytest.approx(value, abs=0.006), (scale, bits)


def test_a_band_is_the_formula_written_out(truth: Plane) -> None:
    for (x, window), (y, _) in zip(_bands(truth), _bands(bicubic(truth)), strict=True):
        blocks = np.lib.stride_tricks.sliding_window_view(x, (3, 3))
        covariance = np.cov(blocks.reshape(-1, 9).T, bias=True)
        half = window // 2
        bits = 0.0
        for top in range(0, x.shape[0], 3):
            for left in range(0, x.shape[1], 3):
                edge = -(-half // 3) * 3
                if not (edge <= top < x.shape[0] - edge and edge <= left < x.shape[1] - edge):
                    continue
                around = (slice(top + 1 - half, top + 2 + half), slice(left + 1 - half, left + 2 + half))
                (xx, xy), (_, yy) = np.cov(x[around].ravel(), y[around].ravel(), bias=True)
                gain = max(xy / xx, 0)
                noise = yy - gain * xy + 1e-10
                block = x[top : top + 3, left : left + 3].ravel()
                energy = block @ np.linalg.inv(covariance) @ block / 9
                bits += np.log2(np.linalg.det(np.eye(9) + gain**2 * energy / noise * covariance))
        assert bits > 10 and _information(x, y, window) == pytest.approx(bits, rel=1e-6)


def test_less_of_the_picture_is_fewer_bits(truth: Plane) -> None:
    kept = [ifc(bicubic(truth, scale), truth) for scale in (2, 3, 4)]
    rng = np.random.default_rng(0)
    assert kept[0] > 1.2 * kept[1] > 1.2 * kept[2]
    assert ifc(truth, truth) > 10 * kept[0]
    assert ifc(rng.uniform(0, 255, truth.shape), truth) < 0.2 * kept[2]
    assert ifc(255 - truth, truth) == 0
    assert ifc(np.full_like(truth, 128), truth) == pytest.approx(0, abs=1e-12)


def test_contrast_and_brightness_are_no_loss(truth: Plane) -> None:
    other = bicubic(truth)
    assert ifc(0.5 * other + 30, truth) == pytest.approx(ifc(other, truth), rel=1e-6)


def test_a_flat_picture_holds_no_bits(truth: Plane) -> None:
    flat = np.full_like(truth, 128)
    assert ifc(truth, flat) == 0 and ifc(flat, flat) == 0


def test_the_border_is_cut_from_both(truth: Plane) -> None:
    other = bicubic(truth)
    framed = other.copy()
    framed[:4] = framed[:, -4:] = 0
    assert ifc(framed, truth, border=4) == ifc(other[4:-4, 4:-4], truth[4:-4, 4:-4])


def test_what_cannot_be_measured_is_told(truth: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="equal shapes"):
        ifc(truth, truth[1:])
    with pytest.raises(InputError, match="72x72 pixels; the image inside its border is 124x71"):
        ifc(truth[:79], truth[:79], border=4)
    assert ifc(truth[:72, :72], truth[:72, :72]) > 0
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(FrameTooLarge, match="the IFC of 132x120"):
        ifc(truth, truth)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "pyrtools", None)
    with pytest.raises(MissingDependency, match=r"pip install .*\[ifc\]"):
        ifc(truth, truth)
