"""What is cut out of an image: five crops, or the patches of the early papers, turned, mirrored and reduced."""

from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="images are read by OpenCV")

from tests.train.data.made import picture

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.resize import downscale, imresize
from edgesr.train.data.patches import PRESETS, Cutting, pairs_of


def of_one(pixels: Pixels, cutting: Cutting, **given: object) -> tuple[np.ndarray, np.ndarray]:
    low, high = zip(*pairs_of(pixels, cutting, **given), strict=True)
    return np.concatenate(low), np.concatenate(high)


def test_five_crops_are_corners_and_centre() -> None:
    pixels = picture(42, 50)
    low, high = of_one(pixels, Cutting(2, five_crop=True))
    whole = downscale(pixels, 2)[..., ::-1]  # 21x25; half of it is 10x12
    places = [(0, 0), (0, 13), (11, 0), (11, 13), (6, 6)]
    assert low.shape == (5, 10, 12, 3) and high.shape == (5, 20, 24, 3)
    for i, (top, left) in enumerate(places):
        assert np.array_equal(low[i], whole[top : top + 10, left : left + 12]), i
        assert np.array_equal(high[i], pixels[2 * top : 2 * top + 20, 2 * left : 2 * left + 24, ::-1]), i
    assert of_one(pixels, Cutting(2, five_crop=True, crop_size=(8, 6)))[1].shape == (5, 6, 8, 3)
    assert of_one(pixels, Cutting(2, five_crop=True, same_size=True))[0].shape == (5, 20, 24, 3)


# Along a side of n pixels (n - patch) // stride + 1 patches; an image of 100x80, cropped to a multiple of the scale.
@pytest.mark.parametrize(
    ("name", "scale", "count", "low", "high"),
    [
        ("srcnn", 3, 5 * 4, 33, 33),  # (99 - 33) // 14 + 1 = 5, (78 - 33) // 14 + 1 = 4
        ("vdsr", 2, 2 * 1 * 8, 41, 41),
        ("espcn", 3, 2 * 1, 17, 51),  # at low resolution: 33x26
        ("espcn", 4, 1 * 1, 17, 68),  # 25x20
        ("drcn", 4, 3 * 2, 41, 41),
        ("drrn", 2, 4 * 3 * 8, 31, 31),
        # Reduced to 1, .9, .8, .7, .6: 50x40, 45x36, 40x32, 35x28, 30x24 at low resolution, each turned four times.
        ("fsrcnn", 2, 4 * (11 * 8 + 9 * 7 + 8 * 6 + 7 * 5 + 6 * 4), 10, 20),
        # 33x26, 30x24, 26x21, 23x18, 20x16.
        ("fsrcnn", 3, 4 * (7 * 5 + 6 * 5 + 5 * 4 + 5 * 3 + 4 * 3), 7, 21),
        # 25x20, 22x18, 20x16, 17x14, 15x12.
        ("fsrcnn", 4, 4 * (5 * 4 + 5 * 4 + 4 * 3 + 3 * 3 + 3 * 2), 6, 24),
    ],
)
def test_presets_cut_what_their_papers_did(name: str, scale: int, count: int, low: int, high: int) -> None:
    small, large = of_one(picture(80, 100), Cutting(**PRESETS[name].cutting(scale)))
    assert small.shape == (count, low, low) and large.shape == (count, high, high)
    assert small.dtype == large.dtype == np.float32


def test_srcnn_has_the_21884_patches_of_its_authors_program(shared: Path, output: Path) -> None:
    """Counted from the sizes alone: their program makes 21,884 of the 91 images at x3."""
    sizes = [cv2.imread(str(file)).shape[:2] for file in sorted((shared / "data/train/T91").iterdir())]
    along = [[(side // 3 * 3 - 33) // 14 + 1 for side in size] for size in sizes]
    assert sum(rows * columns for rows, columns in along) == 21884


def test_turned_mirrored_and_reduced_images_come_in_order() -> None:
    pixels = picture(24, 36)
    pairs = list(pairs_of(pixels, Cutting(2, scales=(1.0, 0.5), rotations=True, flips=True)))
    assert len(pairs) == 16
    assert np.array_equal(pairs[1][1][0], np.rot90(pixels)[..., ::-1])
    assert np.array_equal(pairs[4][1][0], pixels[:, ::-1, ::-1])
    reduced = imresize(pixels, 18, 12, 0.5)
    assert np.array_equal(pairs[8][1][0], reduced[..., ::-1])
    for low, high in pairs:
        assert np.array_equal(low[0, ..., ::-1], downscale(np.ascontiguousarray(high[0, ..., ::-1]), 2))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"scale": 0}, "scale is 0"),
        ({"versions": 0}, "versions is 0"),
        ({"patch": (8, 8)}, "patch 8x8 with stride None"),
        ({"stride": 8}, "patch none with stride 8"),
        ({"patch": (8, 8), "stride": 0}, "stride 0"),
        ({"patch": (8, 8), "stride": 4, "five_crop": True}, "exclude each other"),
        ({"crop_size": (8, 8)}, "belongs to five crops"),
        ({"crop_size": (9, 8), "five_crop": True}, "multiples of 2"),
        ({"scales": (1.0, 1.5)}, "up to 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], line: str) -> None:
    with pytest.raises(InputError, match=line):
        Cutting(**{"scale": 2, **settings})


def test_a_preset_without_a_patch_for_the_scale_says_so() -> None:
    with pytest.raises(InputError, match="no patch for x8"):
        PRESETS["fsrcnn"].cutting(8)
