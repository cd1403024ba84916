"""What a latency run gives: settings, machine, every sample, and what can be said of them."""

from dataclasses import dataclass

from edgesr.benchmarks.condition import ClockTrack, Condition
from edgesr.benchmarks.contenders import NETWORK, WHOLE_FRAME
from edgesr.benchmarks.machine import Machine
from edgesr.benchmarks.quality import Quality
from edgesr.benchmarks.settings import LatencySettings
from edgesr.benchmarks.statistics import Ratio, Summary, ratio_of_medians, summary
from edgesr.runtime.spec import ModelSpec

__all__ = ["LatencyResult", "ModelResult", "Samples"]

Samples = dict[str, list[int]]
"""Stage -> nanoseconds, in the order of measuring."""


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """One model's samples. Sample r of a stage was taken in round r.

    model: as given. label: short, for tables. form: "portable", "cpu", "bare", or "" where there is no ONNX file.
    settle_frames: untimed frames at the start of each turn; their samples are in `settling_ns`.
    quality: one for each data folder; empty for an untrained model, a bare graph, and where images were refused.
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

    def summary(self, stage: str) -> Summary | None:
        """None where the model has no such stage: a bare graph has no whole frame."""
        return summary(self.samples_ns[stage]) if stage in self.samples_ns else None


@dataclass(frozen=True, kw_only=True)
class LatencyResult:
    """started: local time with zone, ISO 8601. orders: for each round, which model (by place) ran first, second, …
    whole_frame: in words, what is inside that time. notes: what a reader must know, one line each.

    before, after: the machine before any work of ours, and right after the last round. clocks: their course through the
    rounds. other_cores: how many cores' worth of work other programs did in the rounds. invalid: why the figures must not
    be used; None where they may.
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

    @property
    def rounds(self) -> int:
        return len(self.orders)

    def ratio(self, place: int, stage: str) -> Ratio | None:
        """The model at `place` over the first; None for the first itself and where one of them lacks the stage."""
        ours, base = self.models[place].samples_ns.get(stage), self.models[0].samples_ns.get(stage)
        if place == 0 or ours is None or base is None:
            return None
        return ratio_of_medians(ours, base, seed=self.settings.seed)

    def summaries(self, place: int) -> dict[str, Summary]:
        """Of the network and, where there is one, the whole frame."""
        found = {stage: self.models[place].summary(stage) for stage in (NETWORK, WHOLE_FRAME)}
        return {stage: value for stage, value in found.items() if value is not None}
