"""What a model draws: readings of a board's rails, each counted for the model in whose turn it was taken."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from edgesr.jetson.recorder import Recorder
from edgesr.jetson.sample import Sample
from edgesr.jetson.sensors import Sensors

__all__ = ["LEAST_READINGS", "METHOD", "Energy", "Turn", "energy_of", "power_recorder"]

INTERVAL_S = 0.2

LEAST_READINGS = 5

METHOD = (
    "power: mean of the readings of the whole board's rails, idle included, that fell into the model's own turns; "
    "J a frame: that times the median time of a whole frame, or of the network where there is no other. A rail's reading is "
    "an average over the moments before it: models with turns of a few milliseconds share it, so measure those alone"
)

Turn = tuple[int, int]
"""Start and end by time.perf_counter_ns(), settling frames included."""


@dataclass(frozen=True)
class Energy:
    """readings: how many the mean `watts` is of."""

    readings: int
    watts: float
    joules_per_frame: float


def power_recorder() -> Recorder | None:
    """Not yet started; None where the machine has no rails that can be read."""
    sensors = Sensors()
    return Recorder(sensors.sample, interval_s=INTERVAL_S) if sensors.sample().total_mw is not None else None


def energy_of(samples: Sequence[Sample], turns: Sequence[Turn], frame_ms: float) -> Energy | None:
    """Of the samples, in any order, that were taken within `turns`, in the order of time; the others belong to nobody or to
    another model (`Recorder.between` gives neighbours as well, which are those). None where fewer than LEAST_READINGS tell
    the power."""
    starts = [start for start, _ in turns]
    watts = []
    for sample in samples:
        place = bisect_right(starts, sample.at_ns) - 1
        if place >= 0 and sample.at_ns <= turns[place][1] and (power := sample.total_mw) is not None:
            watts.append(power / 1000)
    if len(watts) < LEAST_READINGS:
        return None
    return Energy(len(watts), fmean(watts), fmean(watts) * frame_ms / 1000)
