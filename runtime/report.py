"""What a run tells when it is over: the latency table, and the same with every sample as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from platform import machine, python_version

from rich.table import Table

from edgesr.runtime.sources.base import StreamInfo
from edgesr.runtime.spec import ModelSpec
from edgesr.runtime.timing import Distribution

__all__ = ["EXPLAINED", "latency_table", "run_report"]

SCHEMA = 1
EXPLAINED = {
    "read": "decode or make it",
    "decode": "data to picture",
    "network": "in infer",
    "upload": "in infer, to the GPU",
    "download": "in infer, from it",
    "infer": "frame in and out",
    "arrange": "compare, fit",
    "write": "encode or show it",
    "whole frame": "all work, no waits",
    "age": "capture to shown",
    "age by time code": "read in the picture",
}


def latency_table(stages: Mapping[str, Distribution], title: str) -> Table:
    """Milliseconds by stage, each over all frames; the network and the whole frame apart."""
    table = Table("stage", "count", "median", "p95", "p99", "max", "what it is", title=title, caption="milliseconds")
    for column in table.columns[1:6]:
        column.justify = "right"
    for stage, d in stages.items():
        figures = (f"{value:.2f}" for value in (d.median_ms, d.p95_ms, d.p99_ms, d.max_ms))
        table.add_row(
            stage, str(d.count), *figures, EXPLAINED.get(stage, ""), style="bold" if stage == "whole frame" else ""
        )
    return table


def run_report(
    info: StreamInfo,
    sinks: Sequence[str],
    spec: ModelSpec,
    settings: Mapping[str, str | int],
    figures: Mapping[str, object],
) -> dict[str, object]:
    """JSON-ready: what was run on what, and the figures: of a run with an end `StageTimings.to_dict`, else of a stream."""
    return {
        "schema": SCHEMA,
        "edgesr": version("edgesr"),
        "python": python_version(),
        "machine": machine(),
        "source": info.title,
        "sinks": list(sinks),
        "model": asdict(spec),
        "settings": dict(settings),
        **figures,
    }
