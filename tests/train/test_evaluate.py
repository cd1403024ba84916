"""Scores of networks and deployed models: by hand on a photograph, and the published ones where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="evaluation of checkpoints needs PyTorch")

from edgesr.runtime.backends.bicubic import BicubicBackend
from edgesr.runtime.errors import BackendFailed, FrameTooLarge, InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import read_image, write_image
from edgesr.runtime.quality import RULER, psnr
from edgesr.runtime.resize import downscale, upscale
from edgesr.train.evaluate import PROTOCOLS, Score, evaluate, mean_score, sharpen
from edgesr.train.networks import seeded_network
from edgesr.train.published import network_from_published


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = pytest.importorskip("skimage.data")
    write_image(tmp_path / "coffee.png", np.ascontiguousarray(data.coffee()[:90, :122, ::-1]))
    return tmp_path


class Nearest(torch.nn.Module):
    """Repeats pixels, and brightens by a ramp from left to right, so that it sees how a frame lies."""

    name, scale, colour = "nearest", 2, "rgb"
    min_size, size_multiple, fixed_size = 1, 1, 0

    def __init__(self, gain: float = 1.0, ramp: float = 0.0) -> None:
        super().__init__()
        self.gain, self.ramp = torch.nn.Parameter(torch.tensor(gain)), ramp

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.gain * x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return out + self.ramp * torch.linspace(-1, 1, out.shape[3])


def test_a_backend_is_scored_on_its_bytes(folder: Path) -> None:
    (score,) = evaluate(BicubicBackend(4), folder, PROTOCOLS["matlab"])
    high = read_image(folder / "coffee.png")[0][:88, :120]
    expected = psnr(RULER.luma(upscale(downscale(high, 4), 4)), RULER.luma(high), border=4)
    assert score.image == "coffee" and score.psnr_db is None
    assert score.psnr_8bit_db == pytest.approx(expected) and 0 < score.ssim < 1


def test_a_network_is_scored_before_rounding(folder: Path) -> None:
    (score,) = evaluate(Nearest(gain=1.001), folder, PROTOCOLS["matlab"])
    high = read_image(folder / "coffee.png")[0]
    low = np.asarray(downscale(high, 2)).repeat(2, 0).repeat(2, 1)
    expected = psnr(RULER.luma((low * 1.001).clip(0, 255)), RULER.luma(high), border=2)
    assert score.psnr_8bit_db is None and score.psnr_db == pytest.approx(expected, abs=1e-4)


def test_a_self_ensemble_is_the_mean_of_eight_positions_before_clipping(folder: Path) -> None:
    low = np.ascontiguousarray(downscale(read_image(folder / "coffee.png")[0], 2))
    plain = sharpen(Nearest(), low)
    assert np.abs(sharpen(Nearest(ramp=2.0), low) - plain).max() > 50
    assert np.abs(sharpen(Nearest(ramp=2.0), low, ensemble=True) - plain).max() < 1e-3
    (straight,), (turned,) = (
        list(evaluate(Nearest(ramp=0.1), folder, PROTOCOLS["matlab"], ensemble=ensemble)) for ensemble in (False, True)
    )
    assert turned.psnr_db > straight.psnr_db + 1


def test_bytes_have_no_self_ensemble(folder: Path) -> None:
    with pytest.raises(InputError, match="bicubic x4 gives rounded bytes"):
        list(evaluate(BicubicBackend(4), folder, PROTOCOLS["matlab"], ensemble=True))


def test_ifc_is_of_whole_values_and_only_where_asked_for(folder: Path) -> None:
    pytest.importorskip("pyrtools")
    from edgesr.train.ifc import ifc

    high = read_image(folder / "coffee.png")[0]
    out = np.asarray(downscale(high, 2)).repeat(2, 0).repeat(2, 1) * 1.001
    expected = ifc(np.rint(RULER.luma(out.clip(0, 255))), np.rint(RULER.luma(high)), border=2)
    (plain,), (score,) = (
        list(evaluate(Nearest(gain=1.001), folder, PROTOCOLS["matlab"], with_ifc=wanted)) for wanted in (False, True)
    )
    assert plain.ifc is None and score.ifc == pytest.approx(expected, rel=1e-3) and score.ifc > 1


class Fixed(BicubicBackend):
    """Takes frames of one size, as an engine built with --size."""

    def __init__(self, kind: str, error: type[InputError] = InputError) -> None:
        super().__init__(2)
        self.settings, self._error = {"backend": kind}, error

    def infer(self, pixels: Pixels) -> Pixels:
        raise self._error("the frame is of another size: build with --size")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Fixed("tensorrt"), InputError, r"was not made for 61x45, .* build the engine .* --min, --opt and --max"),
        (Fixed("onnxruntime"), InputError, "was not made for 61x45, .* export it without --size"),
        (Fixed("tensorrt", FrameTooLarge), FrameTooLarge, "the frame is of another size"),
    ],
)
def test_an_image_that_a_deployed_model_cannot_take_is_named(
    folder: Path, model: Fixed, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"coffee.png: .*{message}"):
        list(evaluate(model, folder, PROTOCOLS["matlab"]))


def test_an_image_that_a_network_cannot_take_is_named(folder: Path) -> None:
    def told(network: Nearest) -> str:
        with pytest.raises((InputError, BackendFailed)) as caught:
            list(evaluate(network, folder, PROTOCOLS["matlab"]))
        return str(caught.value)

    small, uneven, fixed, broken = Nearest(), Nearest(), Nearest(), Nearest()
    small.min_size, uneven.size_multiple, fixed.fixed_size = 46, 4, 16
    broken.forward = lambda x: x.new_empty(1 << 60)
    assert "coffee.png: the frame is 61x45; nearest x2 needs at least 46x46" in told(small)
    assert "needs multiples of 4" in told(uneven) and "takes 16x16 alone" in told(fixed)
    assert "coffee.png: nearest x2 failed on 61x45: " in told(broken)


@pytest.mark.parametrize(("side", "message"), [(3, "x4 needs 4x4"), (8, "cut border of 4"), (16, "11x11")])
def test_an_image_that_is_too_small_to_measure_is_named(folder: Path, side: int, message: str) -> None:
    write_image(folder / "tiny.png", np.zeros((side, side, 3), np.uint8))
    with pytest.raises(InputError, match=f"tiny.png: .*{message}"):
        list(evaluate(BicubicBackend(4), folder, PROTOCOLS["matlab"]))


def test_mean_is_over_images_and_keeps_empty_columns_empty() -> None:
    mean = mean_score([Score("a", 30.0, None, 0.8), Score("b", 31.0, None, 0.9)])
    assert (mean.psnr_db, mean.psnr_8bit_db, mean.ifc) == (30.5, None, None) and mean.ssim == pytest.approx(0.85)
    assert mean_score([Score("a", 30.0, None, 0.8, 2.0), Score("b", 31.0, None, 0.9, 3.0)]).ifc == 2.5


def test_an_untrained_luma_network_can_be_scored(folder: Path) -> None:
    (score,) = evaluate(seeded_network("ecbsr", 4), folder, PROTOCOLS["matlab"])
    assert score.psnr_db is not None and np.isfinite(score.psnr_db)


PUBLISHED = [  # measured with the authors' own code, ../shared/README.md; the last two rows are the paper's figures
    ("x4.pth", 4, "matlab", 32.28, 0.02),
    pytest.param("x2.pth", 2, "matlab", 38.04, 0.02, marks=pytest.mark.slow),
    ("x4.pth", 4, "rdsrn", 32.34, 0.01),
    pytest.param("x2.pth", 2, "rdsrn", 38.08, 0.01, marks=pytest.mark.slow),
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
