"""Pictures of a run show what the network makes of an image."""

import numpy as np
import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch

from edgesr.runtime.quality import RULER, psnr
from edgesr.runtime.resize import downscale, upscale
from edgesr.train.evaluate import sharpen
from edgesr.train.networks import Network, seeded_network
from edgesr.train.samples import _middle, picture, sheet, upscaled

RNG = np.random.default_rng(1)


def photograph(height: int, width: int) -> np.ndarray:
    """Smooth, coloured, without clipping."""
    rows, columns = np.mgrid[:height, :width] / 20
    return np.stack([128 + 60 * np.sin(rows + columns * k) for k in (1, 2, 3)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("name", ["espcn", "imdn"])
def test_upscaled_picture_has_the_luma_that_is_scored(name: str) -> None:
    network = seeded_network(name, 4)
    low = photograph(12, 16)
    shown = upscaled(network, low)
    assert shown.shape == (48, 64, 3) and shown.dtype == np.uint8
    luma = sharpen(network, low)
    inside = (shown > 0).all(2) & (shown < 255).all(2)
    assert np.abs(RULER.luma(shown) - luma)[inside].max(initial=0) < 0.51 * sum((RULER.red, RULER.green, RULER.blue))


def test_luma_networks_picture_keeps_the_colours_of_bicubic() -> None:
    class AsBicubic(Network):
        colour = "luma"
        scales = (2,)
        name = "bicubic"

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            plane = x[0, 0].double().numpy()
            return torch.from_numpy(upscale(plane, self.scale))[None, None]

    network = AsBicubic(2)
    network.register_parameter("nothing", torch.nn.Parameter(torch.zeros(())))
    low = photograph(12, 16)
    assert np.abs(upscaled(network, low).astype(int) - upscale(low, 2)).max() <= 1


def test_middle_is_the_same_place_in_both_and_of_a_size_that_the_network_takes() -> None:
    high = photograph(420, 640)
    low = downscale(high, 4)
    network = seeded_network("espcn", 4)
    network.size_multiple = 5
    cut_low, cut_high = _middle((low, high), network)
    assert cut_low.shape == (45, 45, 3) and cut_high.shape == (180, 180, 3)
    assert psnr(downscale(cut_high, 4), cut_low, border=4) > 50
    small_low, small_high = _middle((low[:9, :7], high[:36, :28]), network)
    assert small_low.shape == (5, 5, 3) and small_high.shape == (20, 20, 3)


def test_picture_of_what_the_loader_gives() -> None:
    rgb = torch.tensor([[[255, 0]], [[0, 0]], [[0, 9]]], dtype=torch.uint8)
    assert picture(rgb).tolist() == [[[0, 0, 255], [9, 0, 0]]]
    luma = torch.tensor([[[16.4, float("nan"), 300.0]]])
    assert picture(luma).tolist() == [[[16] * 3, [0] * 3, [255] * 3]]


def test_sheet_has_rows_of_pictures_of_any_size() -> None:
    drawn = sheet([[np.zeros((2, 3, 3), np.uint8)] * 2, [np.ones((4, 5, 3), np.uint8)]])
    assert drawn.shape == (2 + 4 + 4, 3 + 4 + 3, 3)
    assert (drawn[:2, 3:7] == 255).all() and (drawn[2:6] == 255).all() and (drawn[6:, :5] == 1).all()
