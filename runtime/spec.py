"""What a model says of itself. Born with the network, carried by checkpoint, ONNX file and engine card."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from edgesr.runtime.errors import InputError

Colour = Literal["rgb", "luma"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One network at one scale.

    name: the network's name in the table of `edgesr.train.networks`.
    colour: "rgb" (the network sees three channels) or "luma" (it sees Y; Cb and Cr go by bicubic).
    size_multiple: input width and height must be multiples of it.
    fixed_size: the one width and height that the network takes; 0: any.
    min_size: smallest input width and height that the network computes, in pixels.
    parameters: learnt numbers of the deployed form.
    multiply_adds_per_pixel: of the deployed network, for one *input* pixel.
    receptive_field: how far, in input pixels, an output pixel looks in each direction; None where
        the network uses statistics of the whole frame, so that no overlap makes tiles exact.
    trained: False for seeded random weights: good for timing, never for looking at.
    scales: that the weights serve; more than one for a network that is one model for several. `scale` is among them.
    """

    name: str
    scale: int
    colour: Colour
    parameters: int
    multiply_adds_per_pixel: float
    receptive_field: int | None
    size_multiple: int = 1
    min_size: int = 1
    fixed_size: int = 0
    trained: bool = True
    scales: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales) or (self.scale,))  # JSON has lists
        if self.scale not in self.scales:
            raise InputError(f"scale is {self.scale}; the weights serve {', '.join(f'x{s}' for s in self.scales)}")
        if self.scale < 1:
            raise InputError(f"scale is {self.scale}; expected 1 or more")
        if self.colour not in get_args(Colour):
            raise InputError(f"colour is {self.colour!r}; expected one of {', '.join(get_args(Colour))}")

    @property
    def channels(self) -> int:
        """Channels that the bare network sees: 3 or 1."""
        return 3 if self.colour == "rgb" else 1

    @property
    def title(self) -> str:
        """For tables: `ecbsr x4`, with a mark where the weights are random."""
        return f"{self.name} x{self.scale}" + ("" if self.trained else " (untrained)")

    def multiply_adds(self, width: int, height: int) -> float:
        """Multiply-adds for one input frame of width x height."""
        return self.multiply_adds_per_pixel * width * height

    def check_size(self, width: int, height: int) -> None:
        """Raise InputError where the network cannot take a frame of width x height."""
        if self.fixed_size and (width, height) != (self.fixed_size, self.fixed_size):
            only = f"{self.fixed_size}x{self.fixed_size}"
            raise InputError(f"the frame is {width}x{height}; {self.title} takes {only} alone: scale or crop it")
        if width < self.min_size or height < self.min_size:
            raise InputError(
                f"the frame is {width}x{height}; {self.title} needs at least {self.min_size}x{self.min_size}"
            )
        if width % self.size_multiple or height % self.size_multiple:
            raise InputError(
                f"the frame is {width}x{height}; {self.title} needs multiples of {self.size_multiple}: crop or pad it"
            )

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """Raise InputError where the text is not what `to_json` writes (an unknown key is an error)."""
        try:
            values = json.loads(text)
            if surplus := sorted(set(values) - {field.name for field in fields(cls)}):
                raise InputError(f"the model's spec has unknown entries ({', '.join(surplus)}): update edgesr")
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise InputError(f"the model's spec cannot be read ({error}); was the file written by edgesr?") from error
