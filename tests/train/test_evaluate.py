"""Scores: by hand on a photograph, and the published ones on Set5 and Set14 where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="evaluation of checkpoints needs PyTorch")

from edgesr.runtime.backends.bicubic import BicubicBackend
from edgesr.runtime.images import write_image
from edgesr.runtime.quality import RULER, psnr
from edgesr.runtime.resize import downscale, upscale
from edgesr.train.evaluate import PROTOCOLS, Score, evaluate, mean_score
from edgesr.train.networks import seeded_network
from edgesr.train.published import network_from_published


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = pytest.importorskip("skimage.data")
    write_image(tmp_path / "coffee.png", np.ascontiguousarray(data.coffee()[:90, :122, ::-1]))
    return tmp_path


def test_a_backend_is_scored_on_its_bytes(folder: Path) -> None:
    from edgesr.runtime.images import read_image

    (score,) = evaluate(BicubicBackend(4), folder, PROTOCOLS["matlab"])
    high = read_image(folder / "coffee.png")[0][:88, :120]
    expected = psnr(RULER.luma(upscale(downscale(high, 4), 4)), RULER.luma(high), border=4)
    assert score.image == "coffee" and score.psnr_db is None
    assert score.psnr_8bit_db == pytest.approx(expected) and 0 < score.ssim < 1


def test_a_network_is_scored_before_rounding(folder: Path) -> None:
    class Nearest(torch.nn.Module):
        scale, colour = 2, "rgb"

        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(1.001))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gain * x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    from edgesr.runtime.images import read_image

    (score,) = evaluate(Nearest(), folder, PROTOCOLS["matlab"])
    high = read_image(folder / "coffee.png")[0]
    low = np.asarray(downscale(high, 2)).repeat(2, 0).repeat(2, 1)
    expected = psnr(RULER.luma((low * 1.001).clip(0, 255)), RULER.luma(high), border=2)
    assert score.psnr_8bit_db is None and score.psnr_db == pytest.approx(expected, abs=1e-4)


def test_mean_is_over_images_and_keeps_empty_columns_empty() -> None:
    mean = mean_score([Score("a", 30.0, None, 0.8), Score("b", 31.0, None, 0.9)])
    assert (mean.psnr_db, mean.psnr_8bit_db) == (30.5, None) and mean.ssim == pytest.approx(0.85)


def test_an_untrained_luma_network_can_be_scored(folder: Path) -> None:
    (score,) = evaluate(seeded_network("ecbsr", 4), folder, PROTOCOLS["matlab"])
    assert score.psnr_db is not None and np.isfinite(score.psnr_db)


PUBLISHED = [  # measured with the authors' own code, ../shared/README.md; the last two rows are the paper's figures
    ("x4.pth", 4, "matlab", 32.28, 0.02),
    ("x2.pth", 2, "matlab", 38.04, 0.02),
    ("x4.pth", 4, "rdsrn", 32.34, 0.01),
    ("x2.pth", 2, "rdsrn", 38.08, 0.01),
]


@pytest.mark.parametrize(("file", "scale", "protocol", "db", "tolerance"), PUBLISHED)
def test_published_rdsrn_has_its_published_quality_on_set5(
    shared: Path, file: str, scale: int, protocol: str, db: float, tolerance: float
) -> None:
    network = network_from_published(shared / "weights" / "rdsrn" / file, "rdsrn", scale)
    mean = mean_score(list(evaluate(network, shared / "data" / "Set5", PROTOCOLS[protocol])))
    assert mean.psnr_db is not None and abs(round(mean.psnr_db, 2) - db) <= tolerance + 1e-9, mean


@pytest.mark.slow
def test_published_rdsrn_has_its_published_quality_on_set14(shared: Path) -> None:
    network = network_from_published(shared / "weights" / "rdsrn" / "x4.pth", "rdsrn", 4)
    mean = mean_score(list(evaluate(network, shared / "data" / "Set14", PROTOCOLS["rdsrn"])))
    assert mean.psnr_db == pytest.approx(28.72, abs=0.01)
