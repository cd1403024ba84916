"""Frames with a known truth: a slow pan over a photograph, or over a made picture with natural statistics.

`pattern:photo` pans over photographs that scikit-image's wheel carries, unscaled: a frame is the MATLAB-style
downscale of a true crop. `pattern:natural` needs numpy only and has no limit of size. `pattern:` takes the first
where scikit-image is installed, and says which in its notes. Options: `pattern:photo?size=128x96&frames=48&fps=24`.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from time import perf_counter_ns
from urllib.parse import parse_qsl

import numpy as np

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.memory import check_fits
from edgesr.runtime.resize import downscale
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.sources.natural import natural_picture
from edgesr.runtime.sources.part import WHOLE, Part

__all__ = ["PHOTOS", "PatternSource", "open_pattern"]


@dataclass(frozen=True)
class Photo:
    """A picture in scikit-image's wheel, checked for 0.25 and 0.26; it is never downloaded."""

    file: str
    width: int
    height: int
    everyday: bool = True


PHOTOS = {
    "coffee": Photo("coffee.png", 600, 400),
    "motorcycle": Photo("motorcycle_left.png", 741, 500),
    "astronaut": Photo("astronaut.png", 512, 512),
    "rocket": Photo("rocket.jpg", 640, 427),
    "chelsea": Photo("chelsea.png", 451, 300),
    "hubble": Photo("hubble_deep_field.jpg", 1000, 872, everyday=False),
    "retina": Photo("retina.jpg", 1411, 1411, everyday=False),
}
CONTENTS = ("photo", "natural", *PHOTOS)
NATURAL_MARGIN = 128
NATURAL_BYTES_PER_PIXEL = 90  # peak while it is made; measured for 2000x1500, numpy 2.4
DEFAULTS = {"size": "128x96", "frames": "48", "fps": "24", "scale": "4", "seed": "0"}
EXAMPLE = "&".join(f"{name}={value}" for name, value in DEFAULTS.items())
STEP_X, STEP_Y = 2, 1  # high-resolution pixels a frame: whole ones, so that no frame is interpolated


class PatternSource(Source):
    """`frames` frames of width x height; `truth(index)` is what frame `index` was made from.

    content: "photo" (every photograph that is large enough, in turn), the name of one in PHOTOS, or "natural".
    width, height: of a frame; the default is the largest 4:3 that four everyday photographs hold at scale 4.
    scale: truth is width*scale x height*scale.
    seed: of "natural".
    The same arguments give the same bytes. A frame is computed when first asked for and kept.
    Raises InputError for a size that no photograph holds, MissingDependency without scikit-image.
    """

    def __init__(
        self,
        content: str = "photo",
        width: int = 128,
        height: int = 96,
        frames: int = 48,
        frame_rate: Fraction = Fraction(24),
        scale: int = 4,
        *,
        seed: int = 0,
        part: Part = WHOLE,
    ) -> None:
        if content not in CONTENTS:
            raise InputError(f"pattern:{content} is unknown; expected one of {', '.join(CONTENTS)}")
        for name, value in (("width", width), ("height", height), ("frames", frames), ("scale", scale)):
            if value < 1:
                raise InputError(f"{name} of a pattern is {value}; expected 1 or more")
        if frame_rate <= 0:
            raise InputError(f"fps of a pattern is {frame_rate}; expected more than 0")
        self.width, self.height, self.scale = width, height, scale
        self._pictures = _pictures(content, width, height, scale, seed)
        self._names = list(self._pictures)
        self._rate, self._total = frame_rate, frames
        self._first = ceil(part.start_s * frame_rate)
        stop = frames if part.end_s is None else min(frames, ceil(part.end_s * frame_rate))
        if self._first >= stop:
            raise InputError(f"start is {part.start_s:g} s; the pattern is {float(frames / frame_rate):g} s long")
        self._count = part.limit(stop - self._first)
        self._index = 0
        self._kept: dict[tuple[str, int, int], Pixels] = {}
        self.info = StreamInfo(
            title=f"pattern:{content}",
            width=width,
            height=height,
            frame_rate=frame_rate,
            frame_count=self._count,
            start_s=part.start_s,
            end_s=part.end_s,
            notes=[f"slow pan over {', '.join(self._names)}, x{scale} truth known"],
        )

    def read(self) -> Frame | None:
        if self._index == self._count:
            return None
        place = name, x, y = self._place(self._index)
        if place not in self._kept:
            self._kept[place] = downscale(self._crop(name, x, y), self.scale).astype(np.uint8)
        time_s = float((self._first + self._index) / self._rate)
        frame = Frame(self._kept[place].copy(), self._index, perf_counter_ns(), time_s)
        self._index += 1
        return frame

    def truth(self, index: int) -> Pixels:
        """uint8 (height*scale, width*scale, 3) BGR: what frame `index` was downscaled from."""
        if not 0 <= index < self._count:
            raise InputError(f"frame {index} of {self.info.title} does not exist; expected 0 to {self._count - 1}")
        truth: Pixels = self._crop(*self._place(index)).copy()
        return truth

    def _place(self, index: int) -> tuple[str, int, int]:
        """Which picture, and where in it, frame `index` is cut: each picture has an equal share of the frames."""
        number = self._first + index
        share = ceil(self._total / len(self._names))
        name, step = self._names[number // share], number % share
        picture = self._pictures[name]
        slack_x, slack_y = picture.shape[1] - self.width * self.scale, picture.shape[0] - self.height * self.scale
        return name, _to_and_fro(step * STEP_X, slack_x), _to_and_fro(step * STEP_Y, slack_y)

    def _crop(self, name: str, x: int, y: int) -> Pixels:
        cut: Pixels = self._pictures[name][y : y + self.height * self.scale, x : x + self.width * self.scale]
        return cut


def _to_and_fro(distance: int, slack: int) -> int:
    """0 … slack … 0 … as distance grows."""
    return slack - abs(distance % (2 * slack) - slack) if slack else 0


def _pictures(content: str, width: int, height: int, scale: int, seed: int) -> dict[str, Pixels]:
    """What is panned over, by name."""
    if content == "natural":
        size = width * scale + NATURAL_MARGIN, height * scale + NATURAL_MARGIN
        check_fits(NATURAL_BYTES_PER_PIXEL * size[0] * size[1], f"a pattern of {size[0]}x{size[1]}")
        return {content: natural_picture(*size, seed)}
    return {name: _read_photo(name) for name in _photos(content, width * scale, height * scale, scale)}


def _photos(content: str, width: int, height: int, scale: int) -> list[str]:
    """Names of the photographs that hold width x height: the everyday ones where there are any."""
    _photo_folder()
    asked = PHOTOS if content == "photo" else {content: PHOTOS[content]}
    large = {name: photo for name, photo in asked.items() if photo.width >= width and photo.height >= height}
    if not large:
        name, best = max(asked.items(), key=lambda item: item[1].width * item[1].height)
        raise InputError(
            f"a pattern of {width // scale}x{height // scale} at x{scale} needs a photograph of {width}x{height}; the "
            f"largest is {name}, {best.width}x{best.height}, so at most {best.width // scale}x{best.height // scale}: "
            "choose a smaller size, or pattern:natural"
        )
    return [name for name, photo in large.items() if photo.everyday] or list(large)


def _photo_folder() -> Path:
    found = find_spec("skimage")
    if found is None or found.origin is None:
        raise MissingDependency(
            "pattern:photo needs scikit-image: pip install 'edgesr[bench]', or use pattern:natural, which needs nothing"
        )
    return Path(found.origin).parent / "data"


@lru_cache(maxsize=len(PHOTOS))
def _read_photo(name: str) -> Pixels:
    """uint8 (H, W, 3) BGR, read with scikit-image alone, so that OpenCV is not needed."""
    file = _photo_folder() / PHOTOS[name].file
    if not file.is_file():
        raise MissingDependency(f"this scikit-image carries no {file.name}: pip install 'edgesr[bench]' --upgrade")
    rgb: Pixels = import_module("skimage.io").imread(file)
    return np.ascontiguousarray(rgb[..., 2::-1])


def open_pattern(target: str, part: Part) -> Source:
    """`[CONTENT][?size=WxH&frames=N&fps=R&scale=S&seed=I]` -> a PatternSource; an unknown option is an InputError."""
    content, _, query = target.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(options) - set(DEFAULTS)):
        raise InputError(f"pattern: has no option {', '.join(unknown)}; expected some of {', '.join(DEFAULTS)}")
    found = DEFAULTS | options
    try:
        width, height = map(int, found["size"].split("x"))
        frames, scale, seed = (int(found[name]) for name in ("frames", "scale", "seed"))
        rate = Fraction(found["fps"])
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"pattern:{target} cannot be read ({error}); expected e.g. pattern:?{EXAMPLE}") from error
    chosen = content or ("photo" if find_spec("skimage") else "natural")
    source = PatternSource(chosen, width, height, frames, rate, scale, seed=seed, part=part)
    if not content:
        why = "is" if chosen == "photo" else "is not"
        source.info.notes.append(f"pattern: means pattern:{chosen} here, because scikit-image {why} installed")
    return source
