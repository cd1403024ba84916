"""A degradation: a chain of steps from a high-resolution image to the low resolution that a camera would have given.

Every step is a frozen dataclass. What its settings may be stands in their metadata, and is checked by `Step.__post_init__`; a
span is a number, or two between which one is drawn, uniformly, for each image.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError

__all__ = [
    "Frames",
    "Image",
    "Span",
    "Step",
    "as_bytes",
    "as_floats",
    "between",
    "draw",
    "draw_whole",
    "ends",
    "number",
    "one_of",
]

Image = NDArray[Any]
"""(H, W, 3) BGR in 0–255: uint8, or float32, which may lie outside until it is rounded."""

Frames = list[Image]
"""A clip that ends with the image to be degraded: one frame, unless a step that codes video asks for more."""

Span = float | tuple[float, float]


def between(low: float, high: float, *, whole: bool = False) -> dict[str, Any]:
    """Metadata of a field for a span: a number from low to high, or a range between two of them."""
    return {"between": (low, high, whole)}


def number(low: float, high: float) -> dict[str, Any]:
    """Metadata of a field for a number from low to high that is not drawn."""
    return {"number": (low, high)}


def one_of(*values: Any) -> dict[str, Any]:
    """Metadata of a field for one of these."""
    return {"one_of": values}


def draw(given: Span, rng: np.random.Generator) -> float:
    return float(rng.uniform(*given)) if isinstance(given, tuple) else given


def draw_whole(given: Span, rng: np.random.Generator) -> int:
    """The ends of the range are drawn, too."""
    return int(rng.integers(int(given[0]), int(given[1]) + 1)) if isinstance(given, tuple) else int(given)


def ends(given: Span) -> tuple[float, float]:
    return given if isinstance(given, tuple) else (given, given)


def as_floats(image: Image) -> NDArray[np.float32]:
    return image.astype(np.float32, copy=False)


def as_bytes(image: Image) -> NDArray[np.uint8]:
    """Rounded half up and clipped, as the ruler's bicubic does."""
    if image.dtype == np.uint8:
        return image
    values = np.clip(image, 0, 255)
    values += 0.5
    return values.astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One degradation. `kind` is its name in a recipe, `main` the setting that `kind:value` sets on a command line.

    probability: that the step is done at all, drawn for each image.
    """

    probability: float = field(default=1.0, metadata=number(0, 1))

    kind: ClassVar[str]
    main: ClassVar[str] = ""
    optical: ClassVar[bool] = False
    """Happens in the lens: belongs before the reduction where a chain does not say otherwise."""
    reduces: ClassVar[bool] = False
    """Brings the image to the low resolution."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is None and one.default is None:
                continue
            if "between" in one.metadata:
                object.__setattr__(self, one.name, self._span(one.name, value, *one.metadata["between"]))
            elif "one_of" in one.metadata:
                allowed = one.metadata["one_of"]
                self._check(value in allowed, one.name, value, " or ".join(map(str, allowed)))
                object.__setattr__(self, one.name, allowed[allowed.index(value)])  # 420 for 420.0
            elif "number" in one.metadata:
                low, high = one.metadata["number"]
                fits = _is_number(value) and low <= value <= high
                self._check(fits, one.name, value, f"a number {_within(low, high)}")
            elif isinstance(one.default, bool):
                self._check(isinstance(value, bool), one.name, value, "true or false")

    @abstractmethod
    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        """The degraded frames; those given stay as they are.

        pitch: their pixels per pixel of the low resolution: the scale before the reduction, 1 after it. What is drawn
        is drawn from rng alone.
        """

    def reach(self, pitch: int) -> int:
        """How many pixels of `pitch` away an input can be that a result depends on. Codecs say 0: their blocks reach as
        far as they like, and the frames before count only as a prediction."""
        return 0

    def clip(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        """Asked before the first step is applied: the frames that this one wants to see, the given one last."""
        return frames

    def _span(self, name: str, value: Any, low: float, high: float, whole: bool) -> Span:
        given = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        fits = all(_is_number(end) and low <= end <= high and not (whole and end != int(end)) for end in given)
        expected = f"{'a whole number' if whole else 'a number'} {_within(low, high)}, or two of them: [low, high]"
        self._check(fits and len(given) == (2 if isinstance(value, (list, tuple)) else 1), name, value, expected)
        self._check(given[0] <= given[-1], name, value, "the lower end first")
        return (float(given[0]), float(given[1])) if len(given) == 2 else float(given[0])

    def _check(self, fits: bool, name: str, value: Any, expected: str) -> None:
        if not fits:
            raise InputError(f"degradation {self.kind}: {name} is {value!r}; expected {expected}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _within(low: float, high: float) -> str:
    return f"from {low:g} to {high:g}"
