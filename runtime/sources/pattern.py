"""Frames with a known truth: a slow pan over a photograph, or over a made picture with natural statistics.

`pattern:photo` pans over photographs that scikit-image's wheel carries, unscaled: a frame is the MATLAB-style
downscale of a true crop. `pattern:natural` needs numpy only and has no limit of size. `pattern:` takes the first
where scikit-image is installed, and says which in its notes. Options: `pattern:photo?size=128x96&frames=48&fps=24`.

`live=1` makes it a camera: frames come by the clock, without end unless `frames` says so, and those that nobody took are
gone. `timecode=1` draws the time of each frame into it (`edgesr.runtime.timecode`), `static=1` stands still, `noise=2` adds
a sensor's noise of that deviation, in code values.
"""

from collections import Counter
from fractions import Fraction
from importlib.util import find_spec
from math import ceil
from time import perf_counter_ns
from urllib.parse import parse_qsl

import numpy as np

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.memory import check_fits
from edgesr.runtime.resize import downscale
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.sources.natural import natural_picture
from edgesr.runtime.sources.noise import Noise
from edgesr.runtime.sources.pace import Pace
from edgesr.runtime.sources.part import WHOLE, Part
from edgesr.runtime.sources.photos import PHOTOS, fitting_photos, read_photo
from edgesr.runtime.timecode import check_room, draw

__all__ = ["PatternSource", "open_pattern"]

CONTENTS = ("photo", "natural", *PHOTOS)
NATURAL_MARGIN = 128
NATURAL_BYTES_PER_PIXEL = 90  # peak while it is made; measured for 2000x1500, numpy 2.4
DEFAULTS = {"size": "128x96", "frames": "48", "fps": "24", "scale": "4", "seed": "0"}
EXTRAS = {"live": "0", "timecode": "0", "static": "0", "noise": "0"}
EXAMPLE = "&".join(f"{name}={value}" for name, value in DEFAULTS.items())
STEP_X, STEP_Y = 2, 1  # high-resolution pixels a frame: whole ones, so that no frame is interpolated
KEPT_BYTES, FEWEST_KEPT = 32 << 20, 16
LIVE_CYCLE = 128  # frames that a live pattern pans over, to and fro: few, for each is computed once, while the network wants to run
NOT_TAKEN = "not taken in time"


class PatternSource(Source):
    """`frames` frames of width x height; `truth(index)` is what frame `index` was made from.

    content: "photo" (every photograph that is large enough, in turn), the name of one in PHOTOS, or "natural".
    width, height: of a frame; the default is the largest 4:3 that four everyday photographs hold at scale 4.
    scale: truth is width*scale x height*scale.
    seed: of "natural".
    live: frames by the clock of `pace`; frames = 0: without end. It pans to and fro.
    timecode, noise: drawn into the frames, not their truth, in one buffer for all; without them, frames are read-only.
    The same arguments give the same bytes. A frame is computed when first asked for; about 32 MiB of them are kept.
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
        live: bool = False,
        timecode: bool = False,
        static: bool = False,
        noise: float = 0.0,
        pace: Pace | None = None,
    ) -> None:
        if content not in CONTENTS:
            raise InputError(f"pattern:{content} is unknown; expected one of {', '.join(CONTENTS)}")
        for name, value in (("width", width), ("height", height), ("frames", frames), ("scale", scale)):
            if value < (0 if live and name == "frames" else 1):
                raise InputError(f"{name} of a pattern is {value}; expected 1 or more")
        if frame_rate <= 0:
            raise InputError(f"fps of a pattern is {frame_rate}; expected more than 0")
        if not 0 <= noise <= 100:
            raise InputError(f"noise of a pattern is {noise:g}; expected 0 to 100 code values")
        if timecode:
            check_room(width, height)
        if live:
            part.refuse_times("a live pattern")
        self.width, self.height, self.scale = width, height, scale
        self._pictures = _pictures(content, width, height, scale, seed)
        self._names = list(self._pictures)
        self._rate, self._total = frame_rate, frames
        self._pace = (pace or Pace(frame_rate)) if live else None
        self._most_kept = max(FEWEST_KEPT, KEPT_BYTES // (3 * width * height))
        self._cycle = min(frames or LIVE_CYCLE, LIVE_CYCLE, self._most_kept) if live else frames
        self._first = ceil(part.start_s * frame_rate)
        stop = frames if part.end_s is None else min(frames, ceil(part.end_s * frame_rate))
        if self._first >= stop and not live:
            raise InputError(f"start is {part.start_s:g} s; the pattern is {float(frames / frame_rate):g} s long")
        self._count = part.frames if live else part.limit(stop - self._first)
        self._given = self._next = 0
        self._interrupted = False
        self._static, self._timecode = static, timecode
        self._noise = Noise(width, height, noise, seed) if noise else None
        self._kept: dict[tuple[str, int, int], Pixels] = {}
        self._drawn: Pixels = np.empty((height, width, 3), np.uint8)
        self.drops: Counter[str] = Counter()
        self.info = StreamInfo(
            title=f"pattern:{content}",
            width=width,
            height=height,
            frame_rate=frame_rate,
            frame_count=None if live else self._count,
            start_s=part.start_s,
            end_s=part.end_s,
            live=live,
            notes=[f"{'still of' if static else 'slow pan over'} {', '.join(self._names)}, x{scale} truth known"],
        )

    def read(self) -> Frame | None:
        if self._interrupted or self._given == self._count:
            return None
        if self._pace is not None:
            return self._read_live(self._pace)
        index = self._given
        picture = self._picture(index)
        captured_ns = perf_counter_ns()
        self._given += 1
        return Frame(
            self._finished(picture, index, captured_ns), index, captured_ns, float((self._first + index) / self._rate)
        )

    def interrupt(self) -> None:
        self._interrupted = True
        if self._pace is not None:
            self._pace.stop()

    def truth(self, index: int) -> Pixels:
        """uint8 (height*scale, width*scale, 3) BGR: what frame `index` was downscaled from."""
        count = self._count if self._pace is None else self._total
        if index < 0 or (count and index >= count):
            raise InputError(f"frame {index} of {self.info.title} does not exist; expected 0 to {(count or 0) - 1}")
        truth: Pixels = self._crop(*self._place(index)).copy()
        return truth

    def _read_live(self, pace: Pace) -> Frame | None:
        self._picture(self._next)  # before it is due: a camera's frame is there then
        due = pace.next()
        if due is None or (self._total and due.number >= self._total):
            return None
        if due.skipped:
            self.drops[NOT_TAKEN] += due.skipped
        self._given, self._next = self._given + 1, due.number + 1
        pixels = self._finished(self._picture(due.number), due.number, due.due_ns)
        return Frame(pixels, due.number, due.due_ns, decoded_ns=pace.clock())

    def _picture(self, index: int) -> Pixels:
        """Read-only; kept, and the oldest let go."""
        place = self._place(index)
        if place not in self._kept:
            if len(self._kept) >= self._most_kept:
                del self._kept[next(iter(self._kept))]
            crop = self._crop(*place)
            picture = crop.copy() if self.scale == 1 else downscale(crop, self.scale).astype(np.uint8)
            picture.flags.writeable = False
            self._kept[place] = picture
        return self._kept[place]

    def _finished(self, picture: Pixels, index: int, captured_ns: int) -> Pixels:
        """With noise and time code, where they are asked for, in the one buffer for them."""
        if self._noise is None and not self._timecode:
            return picture
        if self._noise is None:
            np.copyto(self._drawn, picture)
        else:
            self._noise.add(picture, index, self._drawn)
        if self._timecode:
            draw(self._drawn, captured_ns)
        return self._drawn

    def _place(self, index: int) -> tuple[str, int, int]:
        """Which picture, and where in it, frame `index` is cut: each picture has an equal share of the frames."""
        number = self._first + index if self._pace is None else _to_and_fro(index, self._cycle - 1)
        share = ceil(self._cycle / len(self._names))
        name, step = self._names[number // share], number % share
        if self._static:
            name, step = self._names[0], 0
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
    return {name: read_photo(name) for name in fitting_photos(content, width * scale, height * scale, scale)}


def open_pattern(target: str, part: Part) -> Source:
    """`[CONTENT][?size=WxH&frames=N&fps=R&scale=S&seed=I&live=1&timecode=1&static=1&noise=D]` -> a PatternSource.

    An unknown option is an InputError.
    """
    content, _, query = target.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = DEFAULTS | EXTRAS
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"pattern: has no option {', '.join(unknown)}; expected some of {', '.join(known)}")
    found = known | options
    try:
        live, timecode, static = (_switch(found[name]) for name in ("live", "timecode", "static"))
        if live:
            found["frames"] = options.get("frames", "0")
        width, height = map(int, found["size"].split("x"))
        frames, scale, seed = (int(found[name]) for name in ("frames", "scale", "seed"))
        rate, noise = Fraction(found["fps"]), float(found["noise"])
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"pattern:{target} cannot be read ({error}); expected e.g. pattern:?{EXAMPLE}") from error
    chosen = content or ("photo" if find_spec("skimage") else "natural")
    source = PatternSource(
        chosen,
        width,
        height,
        frames,
        rate,
        scale,
        seed=seed,
        part=part,
        live=live,
        timecode=timecode,
        static=static,
        noise=noise,
    )
    if not content:
        why = "is" if chosen == "photo" else "is not"
        source.info.notes.append(f"pattern: means pattern:{chosen} here, because scikit-image {why} installed")
    return source


def _switch(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError(f"{value!r} is neither 0 nor 1")
    return value == "1"
