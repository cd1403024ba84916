"""Which of several models runs, so that a stream keeps its deadline: down when it is missed for long, up when there is room."""

from collections import deque
from collections.abc import Sequence
from statistics import median

from edgesr.runtime.errors import InputError

__all__ = ["DeadlineController"]

FEWEST = 5
"""Frames that a judgement needs, however long they take."""

SETTLING = 3
"""Frames after a change that are not judged: they were on their way, or the first of their model."""

MISSED_SHARE = 0.5
"""Of the frames, missed: less is a matter of spikes, and a smaller model would not help against those."""

SLOWEST = 0.9
"""The share of frames below the duration that must fit above: nine in ten."""

ROOM = 0.9
"""Of the deadline, that the better model may be expected to take."""

PROVEN_S = 30.0
"""A climb that lasts shorter than that has failed."""

MOST_PATIENCE = 64

JUDGED_EVERY_S = 0.25

STANDSTILL_S = 10.0
"""Without a frame: what was judged before says nothing of now."""


class DeadlineController:
    """Models of one scale, best first. Told what each frame took, it says which runs next; it holds no clock and no thread.

    Down: for `missed_s` at least half of the frames missed the deadline.
    Up: for `calm_s` the better model would have fitted, reckoned from when it last ran: how many times as long as the present
    one it took when one followed the other, times what the present one takes now. Where this never says so, it is tried after
    `retry_s` without long misses all the same, for a load may have gone that the small model does not feel.
    A climb that soon fails doubles the time that led to it, up to 64-fold; one that lasts halves it.

    level: the number of the model that runs, 0 the best. reason: of the last change, in words; empty before the first.
    hopeless: the last model misses the deadline, too.
    """

    def __init__(
        self,
        levels: Sequence[str],
        deadline_ms: float,
        *,
        missed_s: float = 2.0,
        calm_s: float = 5.0,
        retry_s: float = 60.0,
    ) -> None:
        if not levels:
            raise InputError("a deadline needs a model to run; none was given")
        if not 0 < deadline_ms < float("inf"):
            raise InputError(f"the deadline is {deadline_ms:g} ms; expected more than 0")
        if min(missed_s, calm_s, retry_s) <= 0:
            raise InputError(f"times are {missed_s:g}, {calm_s:g} and {retry_s:g} s; expected more than 0")
        self.levels, self.deadline_ms = tuple(levels), deadline_ms
        self._missed_s, self._calm_s, self._retry_s = missed_s, calm_s, retry_s
        self.level, self.reason, self.hopeless = 0, "", False
        self._shares: dict[int, float] = {}  # level -> what it takes, over what the level below it takes
        self._left: tuple[int, float] | None = None  # the level before the last change, and what it took
        self._patience = {"calm": 1.0, "quiet": 1.0}
        self._climb: tuple[str, float] | None = None  # the patience that led to the last one, and when; None: judged
        self._frames: deque[tuple[float, float]] = deque()
        self._calm_since_s = self._quiet_since_s = self._judge_at_s = 0.0
        self._last_s = float("-inf")
        self._settling = 0

    def observe(self, duration_ms: float, now_s: float) -> int:
        """The level for the next frame. `duration_ms`: age at the sink, or processing time, of one that was done at `now_s`."""
        assert duration_ms >= 0
        if not 0 <= now_s - self._last_s <= max(STANDSTILL_S, 2 * duration_ms / 1000):
            self._begin(now_s)
        self._last_s = now_s
        if self._settling:
            self._settling -= 1
            self._begin(now_s)
            return self.level
        self._frames.append((now_s, duration_ms))
        while len(self._frames) > FEWEST and self._frames[1][0] <= now_s - self._missed_s:
            self._frames.popleft()
        if now_s >= self._judge_at_s and len(self._frames) >= FEWEST:
            self._judge_at_s = now_s + JUDGED_EVERY_S
            self._judge(now_s)
        return self.level

    def _judge(self, now_s: float) -> None:
        durations = sorted(duration for _, duration in self._frames)
        middle, slow = median(durations), durations[int(SLOWEST * (len(durations) - 1))]
        self._learn(middle)
        missed = sum(duration > self.deadline_ms for duration in durations) / len(durations)
        late = missed >= MISSED_SHARE
        self.hopeless = late and self.level == len(self.levels) - 1
        if late:
            self._quiet_since_s = self._calm_since_s = now_s
            if not self.hopeless:
                self._step_down(missed, middle, now_s)
        elif self.level:
            self._consider_climbing(middle, slow, now_s)
        if self._climb is not None and now_s - self._climb[1] >= PROVEN_S:
            self._judge_climb(0.5)

    def _learn(self, middle: float) -> None:
        """How the level before the last change compares with this one; both ran under the same load."""
        if self._left is not None:
            other, took = self._left
            upper, lower = (took, middle) if other < self.level else (middle, took)
            self._shares[min(other, self.level)] = upper / max(lower, 1e-6)
            self._left = None

    def _step_down(self, missed: float, middle: float, now_s: float) -> None:
        self._judge_climb(2.0)
        reason = (
            f"{self.levels[self.level]} missed the deadline of {self.deadline_ms:g} ms with {missed:.0%} of the frames "
            f"of {self._missed_s:g} s (median {middle:.1f} ms)"
        )
        self._change(self.level + 1, reason, middle, now_s)

    def _consider_climbing(self, middle: float, slow: float, now_s: float) -> None:
        share, better = self._shares[self.level - 1], self.levels[self.level - 1]
        expected = slow * share
        if expected > ROOM * self.deadline_ms:
            self._calm_since_s = now_s
        calm_s, quiet_s = now_s - self._calm_since_s, now_s - self._quiet_since_s
        if calm_s >= self._calm_s * self._patience["calm"]:
            kind = "calm"
            reason = (
                f"{self.levels[self.level]} took {middle:.1f} ms, so {better} should take about {expected:.1f} of "
                f"{self.deadline_ms:g} ms (for {calm_s:.0f} s)"
            )
        elif quiet_s >= self._retry_s * self._patience["quiet"]:
            kind = "quiet"
            reason = f"the deadline of {self.deadline_ms:g} ms was kept for {quiet_s:.0f} s: {better} is tried again"
        else:
            return
        self._change(self.level - 1, reason, middle, now_s)
        self._climb = kind, now_s

    def _judge_climb(self, factor: float) -> None:
        """The last climb lasted, or did not: its kind is waited for less, or longer."""
        if self._climb is not None:
            kind, self._climb = self._climb[0], None
            self._patience[kind] = min(max(1.0, self._patience[kind] * factor), MOST_PATIENCE)

    def _change(self, level: int, reason: str, middle: float, now_s: float) -> None:
        self.reason = f"{reason}: {self.levels[level]} in place of {self.levels[self.level]}"
        self._left = (self.level, middle)
        self.level = level
        self._begin(now_s)
        self._settling = SETTLING

    def _begin(self, now_s: float) -> None:
        """Judge anew from here."""
        self._frames.clear()
        self._calm_since_s = self._quiet_since_s = now_s
        self._judge_at_s = now_s + self._missed_s
