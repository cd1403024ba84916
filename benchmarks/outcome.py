"""What a latency run gives: settings, machine, every sample, and what can be said of them."""

from bisect import bisect_right
from dataclasses import dataclass

from edgesr.benchmarks.condition import ClockTrack, Condition
from edgesr.benchmarks.contenders import NETWORK, WHOLE_FRAME
from edgesr.benchmarks.energy import Energy
from edgesr.benchmarks.flicker import Flicker
from edgesr.benchmarks.layer_profile import LayerProfile
from edgesr.benchmarks.machine import Machine
from edgesr.benchmarks.parity import Parity
from edgesr.benchmarks.quality import Quality
from edgesr.benchmarks.settings import LEAST_ROUNDS, LatencySettings
from edgesr.benchmarks.statistics import Ratio, Summary, change_of_medians, ratio_of_medians, summary
from edgesr.runtime.spec import ModelSpec

__all__ = ["Drift", "LatencyResult", "ModelResult", "Samples"]

WINDOW_S = 60.0

Samples = dict[str, list[int]]
"""Stage -> nanoseconds, in the order of measuring."""


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """One model's samples. Sample r of a stage was taken in round r.

    model: as given. label: short, for tables. form: "portable", "cpu", "bare", or "" where there is no ONNX file.
    settle_frames: untimed frames at the start of each turn; their samples are in `settling_ns`.
    quality: one for each data folder; empty for an untrained model, a bare graph, and where images were refused.
    energy: None where the machine has no rails, or too few readings fell into the model's turns.
    flicker: None where it was not asked for, for an untrained model and a bare graph.
    parity: None where no reference is of this network.
    layer_profile: None where it was not asked for, and where the runtime has none.
    """

    label: str
    model: str
    sha256: str | None
    spec: ModelSpec
    form: str
    settings: dict[str, str | int]
    is_warm: bool
    settle_frames: int
    warm_up_ns: Samples
    settling_ns: Samples
    samples_ns: Samples
    quality: tuple[Quality, ...]
    energy: Energy | None = None
    flicker: Flicker | None = None
    parity: Parity | None = None
    layer_profile: LayerProfile | None = None

    def summary(self, stage: str) -> Summary | None:
        """None where the model has no such stage: a bare graph has no whole frame."""
        return summary(self.samples_ns[stage]) if stage in self.samples_ns else None


@dataclass(frozen=True)
class Drift:
    """first, last: of the rounds that ended in the first and last `window_s` seconds. change: of the medians, last over
    first; its interval draws blocks of neighbouring rounds."""

    window_s: float
    first: Summary
    last: Summary
    change: Ratio


@dataclass(frozen=True, kw_only=True)
class LatencyResult:
    """started: local time with zone, ISO 8601. orders: for each round, which model (by place) ran first, second, …
    whole_frame: in words, what is inside that time. notes: what a reader must know, one line each.

    before, after: the machine before any work of ours, and right after the last round. clocks: their course through the
    rounds. other_cores: how many cores' worth of work other programs did in the rounds. invalid: why the figures must not
    be used; None where they may. round_ends_s: when each round ended, after the first began; empty in files from before it
    was kept. interrupted: Ctrl-C ended a run of a given duration early.
    """

    settings: LatencySettings
    machine: Machine
    started: str
    measured_s: float
    whole_frame: str
    models: tuple[ModelResult, ...]
    orders: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]
    before: Condition
    after: Condition
    clocks: tuple[ClockTrack, ...]
    other_cores: float | None
    invalid: str | None
    round_ends_s: tuple[float, ...] = ()
    interrupted: bool = False

    @property
    def rounds(self) -> int:
        return len(self.orders)

    def ratio(self, place: int, stage: str) -> Ratio | None:
        """The model at `place` over the first; None for the first itself and where one of them lacks the stage."""
        ours, base = self.models[place].samples_ns.get(stage), self.models[0].samples_ns.get(stage)
        if place == 0 or ours is None or base is None:
            return None
        return ratio_of_medians(ours, base, seed=self.settings.seed)

    def drift(self, place: int, stage: str) -> Drift | None:
        """How the last minute compares with the first, or of runs under four minutes the last quarter; None where the
        stage is missing, the rounds' times were not kept, or there are too few of them."""
        samples, ends_s = self.models[place].samples_ns.get(stage), self.round_ends_s
        if samples is None or len(ends_s) < 2 * LEAST_ROUNDS:
            return None
        window_s = min(WINDOW_S, ends_s[-1] / 4)
        first = max(bisect_right(ends_s, window_s), LEAST_ROUNDS)
        last = max(len(ends_s) - bisect_right(ends_s, ends_s[-1] - window_s), LEAST_ROUNDS)
        early, late = samples[:first], samples[-last:]
        change = change_of_medians(late, early, seed=self.settings.seed)
        return Drift(window_s, summary(early), summary(late), change)

    def summaries(self, place: int) -> dict[str, Summary]:
        """Of the network and, where there is one, the whole frame."""
        found = {stage: self.models[place].summary(stage) for stage in (NETWORK, WHOLE_FRAME)}
        return {stage: value for stage, value in found.items() if value is not None}
