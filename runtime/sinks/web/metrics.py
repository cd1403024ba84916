"""A stream's figures for Prometheus."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edgesr.runtime.streaming.figures import Snapshot
from edgesr.runtime.timing import Distribution

__all__ = ["CONTENT_TYPE", "Audience", "exposition"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
STATES = ("starting", "running", "paused", "source lost", "reconnecting", "over")


@dataclass(frozen=True)
class Audience:
    """viewers: that watch now. sent, dropped: frames to all viewers there ever were."""

    viewers: int
    sent: int
    dropped: int


def exposition(snapshot: Snapshot, audience: Audience) -> bytes:
    """The text that a Prometheus server reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(snapshot, audience))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, snapshot: Snapshot, audience: Audience) -> None:
        self._snapshot, self._audience = snapshot, audience

    def collect(self) -> Iterator[Metric]:
        now, audience = self._snapshot, self._audience
        yield CounterMetricFamily("edgesr_frames_captured", "Frames that the source gave.", now.captured)
        yield CounterMetricFamily("edgesr_frames_shown", "Frames that the first sink took.", now.shown)
        yield _labelled(CounterMetricFamily, "edgesr_frames_dropped", "Frames not shown.", "reason", now.drops)
        yield CounterMetricFamily("edgesr_deadline_misses", "Frames shown later than the deadline.", now.misses)
        yield _stages(now)
        longest = {stage: d.max_ms / 1e3 for stage, d in now.run.items() if d.count}
        yield _labelled(GaugeMetricFamily, "edgesr_stage_max_seconds", "Longest of the run.", "stage", longest)
        states = {state: float(state == now.state) for state in dict.fromkeys((*STATES, now.state))}
        yield _labelled(GaugeMetricFamily, "edgesr_state", "1 for what the stream is doing.", "state", states)
        yield _labelled(GaugeMetricFamily, "edgesr_model", "1 for the model that runs.", "model", {now.model: 1.0})
        yield GaugeMetricFamily("edgesr_input_width_pixels", "Of what the network is given.", now.width)
        yield GaugeMetricFamily("edgesr_input_height_pixels", "Of what the network is given.", now.height)
        yield GaugeMetricFamily("edgesr_running_seconds", "Since the stream began.", now.seconds)
        yield GaugeMetricFamily("edgesr_warnings", "What is wrong with the picture now.", len(now.warnings))
        yield GaugeMetricFamily("edgesr_viewers", "Browsers that watch.", audience.viewers)
        yield CounterMetricFamily("edgesr_viewer_frames_sent", "Frames sent to all viewers.", audience.sent)
        yield CounterMetricFamily("edgesr_viewer_frames_dropped", "Frames viewers were too slow for.", audience.dropped)


def _labelled(
    family: Callable[..., CounterMetricFamily | GaugeMetricFamily],
    name: str,
    text: str,
    label: str,
    values: dict[str, int] | dict[str, float],
) -> Metric:
    metric = family(name, text, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric


def _stages(now: Snapshot) -> Metric:
    """A summary: quantiles of the last seconds, as Prometheus' own clients give them, and the count of the run."""
    metric = Metric(
        "edgesr_stage_seconds", "Time in a stage, quantiles over the last seconds; age: from capture.", "summary"
    )
    for stage, run in now.run.items():
        recent = now.recent.get(stage, Distribution(0, *[math.nan] * 4))
        for quantile, value_ms in (("0.5", recent.median_ms), ("0.95", recent.p95_ms), ("0.99", recent.p99_ms)):
            metric.add_sample("edgesr_stage_seconds", {"stage": stage, "quantile": quantile}, value_ms / 1e3)
        metric.add_sample("edgesr_stage_seconds_count", {"stage": stage}, run.count)
    return metric
