"""A time written into a picture, so that latency is measured by what is seen and not only by stamps.

The code stands in the upper left corner, in black and white cells. With `cell` the side of one in pixels, the larger of 4 and a
80th of the picture's width (rounded down), it has a black margin one cell wide, so that 18 x 6 cells are covered, and within it
16 x 4 cells, read row by row like a page, white meaning 1. These 64 bits are, the highest first:

    48 bits   the time in microseconds, modulo 2**48 (nine years)
    16 bits   CRC-16 of the six bytes before: polynomial 0x1021, initial value 0xFFFF, no reflection, no final XOR

In a picture that was enlarged by `scale`, `cell` is that of the original times `scale`. To read it: take the mean of all
channels in the middle half of each cell, put the threshold half-way between the darkest and the brightest, and compare the
checksum. Neither all cells white nor all black has a valid one.
"""

from binascii import crc_hqx

import numpy as np

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels

__all__ = ["check_room", "draw", "read"]

COLUMNS, ROWS = 16, 4
LEAST_CELL, CELLS_A_WIDTH = 4, 80
BLACK, WHITE = (
    16,
    240,
)  # inside the range, so that what a network or a codec adds at edges is not cut off on one side alone
LEAST_CONTRAST = 64
TIME_BITS = 48


def draw(pixels: Pixels, value_ns: int) -> None:
    """Write a time, to the microsecond, into (H, W, 3) in place. Raises InputError where the picture is too small for it."""
    height, width, _ = pixels.shape
    check_room(width, height)
    cell = _cell(width)
    payload = (value_ns // 1000 % 2**TIME_BITS).to_bytes(TIME_BITS // 8, "big")
    code = payload + crc_hqx(payload, 0xFFFF).to_bytes(2, "big")
    bits = np.unpackbits(np.frombuffer(code, np.uint8)).reshape(ROWS, COLUMNS)
    cells = np.pad(BLACK + (WHITE - BLACK) * bits, 1, constant_values=BLACK)
    pixels[: cell * (ROWS + 2), : cell * (COLUMNS + 2)] = cells.repeat(cell, 0).repeat(cell, 1)[..., None]


def read(pixels: Pixels, scale: float = 1.0) -> int | None:
    """The time in nanoseconds, in steps of 1000; None where no code can be read.

    scale: how much larger the picture is than when the code was drawn.
    """
    cell = _cell(round(pixels.shape[1] / scale)) * scale
    if cell < 1 or pixels.shape[0] < cell * (ROWS + 2) or pixels.shape[1] < cell * (COLUMNS + 2):
        return None
    means = np.array([[_mean(pixels, row, column, cell) for column in range(COLUMNS)] for row in range(ROWS)])
    if means.max() - means.min() < LEAST_CONTRAST:
        return None
    code = np.packbits(means > (means.max() + means.min()) / 2).tobytes()
    payload, checksum = code[:-2], int.from_bytes(code[-2:], "big")
    if crc_hqx(payload, 0xFFFF) != checksum:
        return None
    return int.from_bytes(payload, "big") * 1000


def check_room(width: int, height: int) -> None:
    """Raise InputError where a picture is too small for the code."""
    cell = _cell(width)
    least = cell * (COLUMNS + 2), cell * (ROWS + 2)
    if width < least[0] or height < least[1]:
        raise InputError(f"a time code needs {least[0]}x{least[1]} pixels; the picture is {width}x{height}")


def _cell(width: int) -> int:
    return max(LEAST_CELL, width // CELLS_A_WIDTH)


def _mean(pixels: Pixels, row: int, column: int, cell: float) -> float:
    """Of the middle half of one cell, at least one pixel."""
    (top, bottom), (left, right) = (
        (int((place + 1.25) * cell), max(int((place + 1.25) * cell) + 1, int((place + 1.75) * cell)))
        for place in (row, column)
    )
    return float(pixels[top:bottom, left:right].mean())
