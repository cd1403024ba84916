"""PSNR and SSIM by the field's ruler; SSIM is held against scikit-image's."""

from pathlib import Path

import numpy as np
import pytest

from edgesr.runtime.errors import InputError
from edgesr.runtime.images import read_image
from edgesr.runtime.quality import RDSRN_RULER, RULER, crop_to_multiple, psnr, ssim
from edgesr.runtime.resize import downscale, upscale


def test_luma_of_black_white_and_primaries_is_matlabs() -> None:
    bgr = np.array([[[0, 0, 0], [255, 255, 255], [0, 0, 255], [0, 255, 0], [255, 0, 0]]], np.uint8)
    assert RULER.luma(bgr)[0] == pytest.approx([16.0, 235.0, 81.481, 144.553, 40.966])
    assert RDSRN_RULER.luma(bgr)[0, 1] == pytest.approx(16 + (64.738 + 129.057 + 25.064) * 255 / 256)


def test_psnr_of_a_known_error() -> None:
    a = np.zeros((10, 10))
    assert psnr(a, a + 1) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(a, a) == float("inf")
    b = a.copy()
    b[0, 0] = 100  # in the border
    assert psnr(a, b, border=1) == float("inf")


def test_ssim_equals_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    data = pytest.importorskip("skimage.data")
    truth = RULER.luma(data.coffee()[:120, :160, ::-1])
    noisy = truth + np.random.default_rng(0).normal(0, 12, truth.shape)
    _, full = metrics.structural_similarity(
        truth, noisy, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert ssim(truth, noisy) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-6)


def test_unequal_and_tiny_images_are_refused() -> None:
    a = np.zeros((20, 20))
    with pytest.raises(InputError, match="equal shapes"):
        psnr(a, a[:10])
    with pytest.raises(InputError, match="too small"):
        psnr(a, a, border=10)
    with pytest.raises(InputError, match="11x11"):
        ssim(a, a, border=5)


def test_crop_keeps_the_top_left_part() -> None:
    pixels = np.arange(7 * 10).reshape(7, 10)
    assert crop_to_multiple(pixels, 3).shape == (6, 9)
    assert crop_to_multiple(pixels, 3)[0, 0] == 0
    with pytest.raises(InputError):
        crop_to_multiple(pixels[:2], 3)


@pytest.mark.parametrize(("scale", "db", "similarity"), [(2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104)])
def test_bicubic_on_set5_is_the_literatures(shared: Path, scale: int, db: float, similarity: float) -> None:
    """The check of the ruler itself: figures that every paper since SRCNN prints."""
    found = []
    for file in sorted((shared / "data" / "Set5").glob("*.png")):
        high = crop_to_multiple(read_image(file)[0], scale)
        luma = RULER.luma(upscale(downscale(high, scale), scale))
        truth = RULER.luma(high)
        found.append((psnr(luma, truth, scale), ssim(luma, truth, scale)))
    assert np.mean(found, axis=0) == pytest.approx([db, similarity], abs=0.03)
    assert np.mean(found, axis=0)[1] == pytest.approx(similarity, abs=0.001)
