"""The check of the ruler itself: bicubic, whose figures every paper prints. Needs no PyTorch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgesr.runtime.backends.bicubic import BicubicBackend
from edgesr.runtime.images import opencv, write_image
from edgesr.train.evaluate import PROTOCOLS, Protocol, Score, evaluate, mean_score

MATLAB = PROTOCOLS["matlab"]
GREY_AS_Y = replace(MATLAB, grey_as_y=True)
GREY_DB = 20 * np.log10(255 / 219)
"""A grey image's error counts for so much more where its grey is not squeezed into 16–235."""


def bicubic(folder: Path, scale: int, protocol: Protocol = MATLAB, *, with_ifc: bool = False) -> list[Score]:
    return list(evaluate(BicubicBackend(scale), folder, protocol, with_ifc=with_ifc))


@pytest.mark.parametrize(
    ("scale", "db", "similarity", "bits"),
    [(2, 35.252, 0.9158, 6.272), (3, 32.890, 0.8542, 4.045), (4, 31.474, 0.8063, 2.773)],
)
def test_a_photograph_has_the_figures_of_a_ruler_that_was_checked(
    tmp_path: Path, scale: int, db: float, similarity: float, bits: float
) -> None:
    """Ours, 2026-11-21, when the sets below had the literature's."""
    data = pytest.importorskip("skimage.data")
    pytest.importorskip("pyrtools")
    write_image(tmp_path / "cat.png", np.ascontiguousarray(data.chelsea()[..., ::-1]))  # 451x300
    (score,) = bicubic(tmp_path, scale, with_ifc=True)
    assert score.psnr_8bit_db == pytest.approx(db, abs=2e-3)
    assert score.ssim == pytest.approx(similarity, abs=1e-4) and score.ifc == pytest.approx(bits, abs=2e-3)


def test_grey_as_y_moves_only_what_is_stored_grey(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (48, 60), dtype=np.uint8)
    opencv().imwrite(str(tmp_path / "grey.png"), grey)
    write_image(tmp_path / "grey_in_colour.png", np.repeat(grey[..., None], 3, axis=2))
    (grey_y, colour_y), (grey_g, colour_g) = bicubic(tmp_path, 2), bicubic(tmp_path, 2, GREY_AS_Y)
    assert grey_y.psnr_8bit_db == colour_y.psnr_8bit_db == colour_g.psnr_8bit_db
    assert grey_y.psnr_8bit_db - grey_g.psnr_8bit_db == pytest.approx(GREY_DB, abs=1e-9)
    assert grey_g.ssim != grey_y.ssim and colour_g == colour_y


SET5 = {2: (33.66, 0.9299), 3: (30.39, 0.8682), 4: (28.42, 0.8104)}
SET14 = {2: (30.32, 30.24), 3: (27.63, 27.55), 4: (26.09, 26.00)}
BSD100 = {2: 29.56, 3: 27.21, 4: 25.96}


@pytest.mark.parametrize("scale", SET5)
def test_bicubic_on_set5_is_the_literatures(shared: Path, scale: int) -> None:
    db, similarity = SET5[scale]
    mean = mean_score(bicubic(shared / "data" / "Set5", scale))
    assert mean.psnr_8bit_db == pytest.approx(db, abs=0.03) and mean.ssim == pytest.approx(similarity, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("scale", SET14)
def test_bicubic_on_set14_is_the_literatures_with_grey_as_y(shared: Path, scale: int) -> None:
    by_y, by_grey = SET14[scale]
    for protocol, db in ((MATLAB, by_y), (GREY_AS_Y, by_grey)):
        mean = mean_score(bicubic(shared / "data" / "Set14", scale, protocol))
        assert mean.psnr_8bit_db == pytest.approx(db, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("scale", BSD100)
def test_bicubic_on_bsd100_is_the_literatures(shared: Path, scale: int) -> None:
    mean = mean_score(bicubic(shared / "data" / "BSD100", scale))
    assert mean.psnr_8bit_db == pytest.approx(BSD100[scale], abs=0.03)
