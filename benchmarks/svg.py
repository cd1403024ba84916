"""Plots as inline SVG: no library, no script, colours by the page's style sheet so that they follow light and dark."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["Plot", "Scale", "linear", "logarithmic", "short"]

LEFT, RIGHT, TOP, BOTTOM = 58, 16, 26, 42
STEPS = (1, 2, 5)
MOST_TICKS = 6
LABEL_HEIGHT, LETTER_WIDTH = 13, 6.4


def short(value: float) -> str:
    """0.5, 12, 1500: no exponent, no trailing zeros."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if value < 1e9 else f"{value:g}"


@dataclass(frozen=True)
class Scale:
    """From values to pixels: low lies at `start`, high at `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers within the scale, at least two where they exist."""
        found = self._decades() if self.log else []
        return found if 2 <= len(found) <= 2 * MOST_TICKS else self._steps()

    def _decades(self) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        return [
            v
            for power in range(first, last + 1)
            for step in STEPS
            if self.low <= (v := step * 10.0**power) <= self.high
        ]

    def _steps(self) -> list[float]:
        rough = (self.high - self.low) / MOST_TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * s for s in (*STEPS, 10) if power * s >= rough)
        first = math.ceil(self.low / step)
        return [round(step * n, 12) for n in range(first, math.floor(self.high / step) + 1)]


def linear(values: Iterable[float], start: float, end: float, *, pad: float = 0.06) -> Scale:
    """Wide enough for all values, with a little room at both ends."""
    found = list(values)
    low, high = min(found), max(found)
    room = (high - low) * pad or abs(high) * pad or 1.0
    return Scale(low - room if low else 0.0, high + room, start, end)


def logarithmic(values: Iterable[float], start: float, end: float) -> Scale:
    found = list(values)
    low, high = min(found), max(found)
    room = max((high / low) ** 0.08, 1.15)
    return Scale(low / room, high * room, start, end, log=True)


@dataclass
class Plot:
    """A picture of `width` x `height` units that grows with its page. Make scales between `left`, `right`, `top` and
    `bottom`, then draw; `str` gives the element."""

    title: str
    width: int = 640
    height: int = 300
    _parts: list[str] = field(default_factory=list)
    _labels: list[tuple[float, float, float]] = field(default_factory=list)

    left, top = LEFT, TOP

    @property
    def right(self) -> int:
        return self.width - RIGHT

    @property
    def bottom(self) -> int:
        return self.height - BOTTOM

    def axes(self, x: Scale, y: Scale, x_label: str, y_label: str) -> None:
        for tick in x.ticks():
            self.line(x(tick), self.top, x(tick), self.bottom, "grid")
            self.text(x(tick), self.bottom + 15, short(tick), "tick middle")
        for tick in y.ticks():
            self.line(self.left, y(tick), self.right, y(tick), "grid")
            self.text(self.left - 6, y(tick) + 4, short(tick), "tick end")
        self.line(self.left, self.bottom, self.right, self.bottom, "axis")
        self.text((self.left + self.right) / 2, self.height - 8, x_label, "name middle")
        self.text(self.left, self.top - 10, y_label, "name")

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self._parts.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, x: float, y: float, words: str, kind: str) -> None:
        self._parts.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>')

    def dot(self, x: float, y: float, kind: str, hint: str, radius: float = 5) -> None:
        self._parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{escape(hint)}</title></circle>'
        )

    def dots(self, points: Iterable[tuple[float, float]], kind: str) -> None:
        """Many small ones in one element: lines of no length, with round ends."""
        self._path("".join(f"M{x:.1f} {y:.1f}h0" for x, y in points), kind)

    def course(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        self._path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), kind)

    def bar(self, x1: float, x2: float, y: float, kind: str, hint: str) -> None:
        """From the bottom up to y."""
        self._parts.append(
            f'<rect class="{kind}" x="{x1:.1f}" y="{y:.1f}" width="{max(x2 - x1 - 1, 0.5):.1f}" '
            f'height="{self.bottom - y:.1f}"><title>{escape(hint)}</title></rect>'
        )

    def strip(self, x: float, y1: float, y2: float, kind: str, hint: str) -> None:
        """From the left to x."""
        self._parts.append(
            f'<rect class="{kind}" x="{self.left}" y="{y1:.1f}" width="{max(x - self.left, 0.5):.1f}" '
            f'height="{y2 - y1:.1f}"><title>{escape(hint)}</title></rect>'
        )

    def label(self, x: float, y: float, words: str) -> None:
        """Above and beside a point, where no other label is: to the right, or left of points near the edge; then lower."""
        width = LETTER_WIDTH * len(words)
        at = x + 6 if x + 6 + width < self.right else max(self.left, x - 6 - width)
        y -= 7  # clear of the bar through the point
        while any(abs(y - v) < LABEL_HEIGHT and at < u + w and u < at + width for u, v, w in self._labels):
            y += LABEL_HEIGHT
        self._labels.append((at, y, width))
        self.text(at, y, words, "label")

    def _path(self, data: str, kind: str) -> None:
        self._parts.append(f'<path class="{kind}" d="{data}"/>')

    def __str__(self) -> str:
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.title)}">'
            f"<title>{escape(self.title)}</title>{''.join(self._parts)}</svg>"
        )
