"""One stream: what is read, how, and where it goes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgesr.runtime.errors import InputError
from edgesr.runtime.pipeline import Arrange
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import Source
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import Figures
from edgesr.runtime.streaming.slot import Policy

__all__ = ["Stream"]


@dataclass(eq=False)
class Stream:
    """What is read, how, and where it goes. Whoever opened source and sinks closes them.

    policy: "newest" for a live source, so that age stays bounded; "all" for a file.
    every: only each N-th frame is taken. max_age_ms: a frame that is older when its turn comes is dropped.
    frames: the stream ends after so many super-resolved frames; None: with its source.
    arrange: see `edgesr.runtime.pipeline`. time_code: sinks read back the code that a pattern drew.
    """

    source: Source
    sinks: Sequence[Sink]
    policy: Policy
    every: int = 1
    max_age_ms: float | None = None
    frames: int | None = None
    arrange: Arrange | None = None
    time_code: bool = False
    figures: Figures = field(default_factory=Figures)
    controls: Controls = field(default_factory=Controls)

    def __post_init__(self) -> None:
        for name, value in (("every", self.every), ("frames", self.frames), ("max-age-ms", self.max_age_ms)):
            if value is not None and value < (0 if name == "max-age-ms" else 1):
                raise InputError(f"{name} is {value}; expected {'0' if name == 'max-age-ms' else '1'} or more")
