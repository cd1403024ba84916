"""A part of a frame: what `--roi` and a viewer's rectangle name."""

from dataclasses import dataclass

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels

__all__ = ["Region"]


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels; x and y are of its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1:
            raise InputError(
                f"the region {self} holds no pixel of a frame; expected x,y,width,height, such as 80,40,160,90"
            )

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"

    @classmethod
    def parse(cls, text: str) -> "Region":
        """`80,40,160,90` -> Region; raises InputError."""
        parts = text.split(",")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
            raise InputError(
                f"{text!r} is no region; expected x,y,width,height in pixels of the input, such as 80,40,160,90"
            )
        return cls(*map(int, parts))

    def check(self, width: int, height: int) -> None:
        """Raise InputError where it does not lie within a frame of width x height."""
        if self.x + self.width > width or self.y + self.height > height:
            raise InputError(
                f"the region {self} does not lie within the frame of {width}x{height}; choose one inside it"
            )

    def within(self, width: int, height: int) -> "Region":
        """The nearest region inside a frame of width x height: as large where that fits, moved where it sticks out."""
        w, h = min(self.width, width), min(self.height, height)
        return Region(min(self.x, width - w), min(self.y, height - h), w, h)

    def of(self, pixels: Pixels) -> Pixels:
        """That part of (H, W, 3), as a view."""
        return pixels[self.y : self.y + self.height, self.x : self.x + self.width]
