"""Every setting of a run; the whole of it is stored with the result."""

from dataclasses import dataclass, field

from edgesr.runtime.errors import InputError

__all__ = ["LEAST_ROUNDS", "USUAL_LAYERS", "LatencySettings", "RoundSettings", "WarmUp"]

LEAST_ROUNDS = 5
"""Fewer give neither percentiles nor an interval worth printing."""

USUAL_ROUNDS = 30

USUAL_LAYERS = 10
"""Of a profile, the slowest that are shown."""


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """A model is warm once the median of its last `window` network times is within `tolerance` of that of the
    `window` before, but not before `least_s`. It is cut off at `limit_s`, which the result then says.

    slow_window: for a model whose frames take `slow_ms` and more, and average out within themselves.
    """

    window: int = 5
    slow_window: int = 2
    slow_ms: float = 500.0
    tolerance: float = 0.05
    least_s: float = 0.3
    limit_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class RoundSettings:
    """How rounds are made, of whatever takes turns in them.

    threads: of the networks on the CPU; None: as ONNX Runtime chooses, all cores.
    rounds: at most that many; None: USUAL_ROUNDS, or with a budget what fits.
    budget_s: for warm-up and rounds, from the first frame on; at least LEAST_ROUNDS rounds are made all the same.
    duration_s: rounds for that long after the warm-up, for the steady state; instead of `rounds` and `budget_s`.
    seed: of the order in each round, and of the intervals.
    settle_ms: a model whose frame is shorter runs one frame more at the start of each turn, which is kept apart: its
        caches are cold and the threads of the model before are still spinning (1 to 2 ms with ONNX Runtime).
    """

    threads: int | None = None
    rounds: int | None = None
    budget_s: float | None = None
    duration_s: float | None = None
    seed: int = 0
    settle_ms: float = 100.0
    warm_up: WarmUp = field(default_factory=WarmUp)

    def __post_init__(self) -> None:
        if self.rounds is not None and self.rounds < LEAST_ROUNDS:
            raise InputError(f"rounds is {self.rounds}; expected at least {LEAST_ROUNDS}: fewer give no interval")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads is {self.threads}; expected 1 or more")
        if self.budget_s is not None and not self.budget_s > 0:
            raise InputError(f"budget is {self.budget_s:g} s; expected more than 0")
        if self.duration_s is not None:
            if not self.duration_s > 0:
                raise InputError(f"duration is {self.duration_s:g} s; expected more than 0")
            if self.rounds is not None or self.budget_s is not None:
                raise InputError("duration is given with rounds or budget; expected one of them: it decides alone")

    @property
    def usual_rounds(self) -> int:
        """Where nothing else says how many."""
        return USUAL_ROUNDS

    @property
    def most_rounds(self) -> int | None:
        """None: the budget or the duration alone decides."""
        is_timed = self.budget_s is not None or self.duration_s is not None
        return self.usual_rounds if self.rounds is None and not is_timed else self.rounds


@dataclass(frozen=True, kw_only=True)
class LatencySettings(RoundSettings):
    """Models as `open_backend` takes them, or bare graphs; the first is what the others are compared with.

    data: folders of full-size images for the quality columns.
    needs_quality: refuse before timing where no model has quality, because a plot was asked for.
    flicker: measure it, on a still scene of this size.
    references: .pt2 programs in FP32 for frames of this size; each model is compared with the one of its network and weights.
    profile: time the layers after the rounds, and show that many of the slowest; None: do not.
    """

    models: tuple[str, ...]
    width: int
    height: int
    data: tuple[str, ...] = ()
    needs_quality: bool = False
    flicker: bool = False
    references: tuple[str, ...] = ()
    profile: int | None = None

    def __post_init__(self) -> None:
        if not self.models:
            raise InputError("no model was given; expected .onnx files or bicubic")
        super().__post_init__()
        if self.needs_quality and not self.data:
            raise InputError("a plot needs quality: add --data FOLDER with full-size images, such as Set5")
        if self.profile is not None and self.profile < 1:
            raise InputError(f"profile is {self.profile}; expected 1 or more of the slowest layers to show")
