"""A made picture with the statistics of a natural one: 1/f texture, sharp edges, rows of text-like strokes."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.frame import Pixels

__all__ = ["natural_picture"]

Floats = NDArray[np.float32]


@lru_cache(maxsize=2)
def natural_picture(width: int, height: int, seed: int = 0) -> Pixels:
    """uint8 (height, width, 3) BGR, read-only; the same arguments give the same picture."""
    rng = np.random.default_rng(seed)
    picture = 110 + 90 * _texture(rng, width, height)[..., None] * rng.uniform(0.6, 1.0, 3).astype(np.float32)
    for _ in range(24):
        _add_shape(rng, picture)
    for _ in range(6):
        _add_text(rng, picture)
    picture += rng.normal(0, 1.5, picture.shape).astype(np.float32)  # a camera's noise
    done = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    done.flags.writeable = False
    return done


def _texture(rng: np.random.Generator, width: int, height: int) -> Floats:
    """(height, width), about -1 … 1, amplitude falling as 1/f: D. J. Field, JOSA A 1987."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    phase = np.exp(2j * np.pi * rng.random(frequency.shape))
    plane = np.fft.irfft2(phase / frequency, s=(height, width))
    texture: Floats = (plane / (3 * plane.std() + 1e-12)).astype(np.float32)
    return texture


def _add_shape(rng: np.random.Generator, picture: Floats) -> None:
    """Blend in an ellipse or a box with an edge one pixel wide, its own colour and some of what it covers."""
    height, width = picture.shape[:2]
    x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, np.pi)
    radius_x, radius_y = rng.uniform(0.03, 0.2, 2) * min(width, height) + 2
    dx, dy = np.arange(width, dtype=np.float32)[None] - x, np.arange(height, dtype=np.float32)[:, None] - y
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    if rng.random() < 0.5:
        inside = (1 - np.hypot(along / radius_x, across / radius_y)) * min(radius_x, radius_y)
    else:
        inside = np.minimum(radius_x - np.abs(along), radius_y - np.abs(across))
    cover = np.clip(inside + 0.5, 0, 1)[..., None] * np.float32(rng.uniform(0.6, 0.95))
    picture += cover * (rng.uniform(0, 255, 3).astype(np.float32) - picture)


def _add_text(rng: np.random.Generator, picture: Floats) -> None:
    """One line of upright, level and slanted strokes, dark or bright, two to four pixels thick."""
    height, width = picture.shape[:2]
    size = int(rng.integers(10, 28))
    if height <= size + 2 or width <= size + 2:
        return
    thick = max(2, size // 8)
    top, left = int(rng.integers(0, height - size)), int(rng.integers(0, width // 2 + 1))
    ink = np.float32(rng.choice([12.0, 240.0]))
    for x in range(left, min(width - size, left + 12 * size), int(size * 0.7) + thick):
        letter = picture[top : top + size, x : x + size // 2]
        if rng.random() < 0.8:
            letter[:, :thick] = ink
        if rng.random() < 0.6:
            row = int(rng.choice([0, size // 2, size - thick]))
            letter[row : row + thick] = ink
        if rng.random() < 0.4:
            for step in range(size):
                column = step * (size // 2 - thick) // size
                letter[step, column : column + thick] = ink
