"""Pictures for looking at: a comparison by halves, a picture scaled into a box."""

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import opencv
from edgesr.runtime.resize import contributions

__all__ = ["compare", "fit"]

LINE_WIDTH = 2
LABELS = ("bicubic", "super-resolved")
SMALLEST_LABELLED = 240  # pixels of width: below it, labels would cover the picture
CONTEXT = 3  # input columns right of the cut that bicubic looks at, and one to spare


def compare(low: Pixels, high: Pixels, scale: int) -> Pixels:
    """(H, W, 3) and (H*scale, W*scale, 3) BGR -> one picture of the size of `high`: left bicubic, right `high`.

    The bicubic is the ruler's (`edgesr.runtime.resize.upscale`), to one code value. A white line stands between the
    halves; they are labelled where OpenCV is installed and the picture is wide enough. `high` stays as it is.
    Raises InputError where the sizes do not belong together.
    """
    height, width = low.shape[:2]
    if high.shape != (height * scale, width * scale, 3):
        raise InputError(
            f"{width}x{height} at x{scale} and {high.shape[1]}x{high.shape[0]} do not belong together; "
            f"expected {width * scale}x{height * scale}"
        )
    middle = width * scale // 2
    out: Pixels = high.copy()
    left = low[:, : -(-middle // scale) + CONTEXT]
    out[:, :middle] = _upscaled(left, scale)[:, :middle]
    out[:, max(0, middle - LINE_WIDTH // 2) : middle + LINE_WIDTH // 2] = 255
    if out.shape[1] >= SMALLEST_LABELLED:
        _label(out, middle)
    return out


def fit(pixels: Pixels, width: int, height: int) -> Pixels:
    """(H, W, 3) -> the largest picture of the same shape that lies within width x height: area-averaged where it
    becomes smaller, bicubic where larger. Raises MissingDependency without OpenCV."""
    if width < 1 or height < 1:
        raise InputError(f"a box of {width}x{height} holds nothing; expected 1x1 or more")
    cv2 = opencv()
    ratio = min(width / pixels.shape[1], height / pixels.shape[0])
    if ratio == 1:
        return pixels
    size = max(1, round(pixels.shape[1] * ratio)), max(1, round(pixels.shape[0] * ratio))
    fitted: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC)
    return fitted


def _upscaled(pixels: Pixels, scale: int) -> Pixels:
    """As `resize.upscale`, in float32: 7 ms for half of 1280x720 on one x86-64 core, where that takes 70 for the whole."""
    tall = _stretched(pixels.astype(np.float32), scale)
    whole: Pixels = _stretched(tall.swapaxes(0, 1), scale).swapaxes(0, 1).astype(np.uint8)
    return whole


def _stretched(pixels: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """(H, ...) -> (H*scale, ...), whole numbers in 0-255 as the ruler has them: a small matrix times the picture."""
    size = pixels.shape[0]
    rows, weight = contributions(size, size * scale, float(scale))
    matrix = np.zeros((size * scale, size), np.float32)
    for row, w in zip(rows, weight, strict=True):
        np.add.at(matrix, (np.arange(size * scale), row), w.astype(np.float32))
    flat = np.clip(matrix @ pixels.reshape(size, -1), 0, 255)
    whole: NDArray[np.float32] = np.floor(flat + np.float32(0.5)).reshape(size * scale, *pixels.shape[1:])
    return whole


def _label(pixels: Pixels, middle: int) -> None:
    """Write the two labels into the upper corners, in place; without OpenCV, which draws them, do nothing."""
    try:
        cv2 = opencv()
    except MissingDependency:
        return
    font, size = cv2.FONT_HERSHEY_SIMPLEX, max(0.4, pixels.shape[1] / 2000)
    line = round(30 * size)
    (text_width, _), _ = cv2.getTextSize(LABELS[1], font, size, 1)
    for text, x in zip(
        LABELS, (line // 2, max(middle + line // 2, pixels.shape[1] - text_width - line // 2)), strict=True
    ):
        for colour, thickness in ((0, 3), (255, 1)):  # a dark rim, so that it reads on white
            cv2.putText(pixels, text, (x, line), font, size, (colour,) * 3, thickness, cv2.LINE_AA)
