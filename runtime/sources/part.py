"""Which part of a stream is read: shared by all sources."""

from dataclasses import dataclass

from edgesr.runtime.errors import InputError

__all__ = ["WHOLE", "Part"]


@dataclass(frozen=True)
class Part:
    """From `start_s` (the first frame at or after it) up to, not including, `end_s`; at most `frames` frames.

    Seconds count from the beginning of the stream; None means no limit. Raises InputError for an empty part.
    """

    start_s: float = 0.0
    end_s: float | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < float("inf"):
            raise InputError(f"start is {self.start_s:g} s; expected 0 or more")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise InputError(f"end is {self.end_s:g} s, start is {self.start_s:g} s; expected an end after the start")
        if self.frames is not None and self.frames < 1:
            raise InputError(f"frames is {self.frames}; expected 1 or more")

    def refuse_times(self, title: str) -> None:
        """Raise InputError where a start or an end was given: `title` has no time."""
        if self.start_s or self.end_s is not None:
            raise InputError(
                f"{title} has no time in it; start and end are for videos and patterns, use frames instead"
            )

    def limit(self, count: int) -> int:
        """`count`, or `frames` where that is fewer."""
        return count if self.frames is None else min(count, self.frames)


WHOLE = Part()
