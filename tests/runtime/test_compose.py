"""Comparison by halves and fitting into a box."""

import numpy as np
import pytest

from edgesr.runtime import compose
from edgesr.runtime.compose import compare, fit
from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.resize import upscale


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize(("width", "height"), [(20, 12), (21, 7), (1, 1)])
def test_the_left_half_is_bicubic_and_the_right_half_is_the_result(scale: int, width: int, height: int) -> None:
    low, high = picture(width, height), picture(width * scale, height * scale)
    before = high.copy()
    compared = compare(low, high, scale)
    middle = width * scale // 2
    np.testing.assert_array_equal(compared[:, middle + 1 :], high[:, middle + 1 :])
    left = compared[:, : max(0, middle - 1)].astype(int)
    assert np.abs(left - upscale(low, scale)[:, : left.shape[1]]).max(initial=0) <= 1
    np.testing.assert_array_equal(high, before)
    assert compared.shape == high.shape and compared.dtype == np.uint8


def test_a_white_line_stands_between_the_halves() -> None:
    compared = compare(np.zeros((8, 10, 3), np.uint8), np.zeros((16, 20, 3), np.uint8), 2)
    assert np.flatnonzero(compared[5, :, 0] == 255).tolist() == [9, 10]


def test_a_wide_comparison_is_labelled_on_both_sides() -> None:
    compared = compare(np.zeros((50, 150, 3), np.uint8), np.zeros((100, 300, 3), np.uint8), 2)
    assert compared[:25, :145].max() > 200 and compared[:25, 155:].max() > 200
    assert compared[50:, :145].max() == 0


def test_without_opencv_a_comparison_has_no_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingDependency("no OpenCV")

    monkeypatch.setattr(compose, "opencv", missing)
    compared = compare(np.zeros((50, 150, 3), np.uint8), np.zeros((100, 300, 3), np.uint8), 2)
    assert compared[:, :145].max() == 0


def test_pictures_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InputError, match="expected 40x24"):
        compare(picture(20, 12), picture(40, 20), 2)


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [((40, 20), (20, 20), (20, 10)), ((40, 20), (400, 100), (200, 100)), ((40, 20), (1, 1), (1, 1))],
)
def test_fit_keeps_the_shape_and_fills_the_box(
    size: tuple[int, int], box: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fit(picture(*size), *box).shape == (expected[1], expected[0], 3)


def test_fit_averages_areas_when_it_shrinks() -> None:
    checks = np.zeros((8, 8, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 200
    assert np.all(fit(checks, 4, 4) == 100)


def test_fit_leaves_a_picture_that_fits_exactly() -> None:
    pixels = picture(8, 6)
    assert fit(pixels, 8, 10) is pixels


def test_fit_refuses_an_empty_box() -> None:
    with pytest.raises(InputError, match="0x5"):
        fit(picture(8, 6), 0, 5)
