"""What a soak run tells: how much what it held has grown, and the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesr.runtime.streaming.figures import AGE

SIZE, FPS = "160x90", 15
WARM_UP_SHARE = 1 / 6  # of the run: the first of every fault falls into it
GROWTH_ALLOWED = 0.01


@dataclass(frozen=True)
class Sample:
    """What the process held, so many seconds after the beginning."""

    seconds: float
    memory_kib: int
    files: int
    threads: int


def growth(samples: Sequence[Sample]) -> dict[str, float]:
    """After the warm-up, the median of the last third over that of the first third, less one."""
    kept = samples[int(len(samples) * WARM_UP_SHARE) :]
    third = max(1, len(kept) // 3)

    def grown(values: list[int]) -> float:
        return float(np.median(values[-third:]) / np.median(values[:third]) - 1)

    return {
        "memory": grown([one.memory_kib for one in kept]),
        "files": grown([one.files for one in kept]),
        "threads": grown([one.threads for one in kept]),
    }


def page(report: dict[str, Any]) -> str:
    """The report in Markdown, from the JSON alone."""
    samples = report["samples"]
    lines = [
        "# Half an hour of streams, with faults",
        "",
        (
            "Made by `make soak` (`scripts/soak.py`); do not edit. Two streams share the shipped network on one thread: `pattern:` at "
            f"{SIZE}, {FPS} frames/s, to the browser page with two viewers, and the same over RTSP from another process."
        ),
        "",
        f"{report['started']}, {report['minutes']:g} minutes, {report['machine']['name']}, {report['machine']['cores']} cores.",
        "",
        "| held by the process | after the warm-up | at the end | growth |",
        "| --- | ---: | ---: | ---: |",
    ]
    verdict = "met" if report["growth"]["memory"] <= GROWTH_ALLOWED else "missed"
    first = samples[int(len(samples) * WARM_UP_SHARE)]
    names = {
        "memory": ("memory, MiB", "memory_kib", 1024),
        "files": ("open files", "files", 1),
        "threads": ("threads", "threads", 1),
    }
    for key, (title, name, unit) in names.items():
        lines.append(
            f"| {title} | {first[name] / unit:.0f} | {samples[-1][name] / unit:.0f} | {100 * report['growth'][key]:+.1f} % |"
        )
    lines += [
        "",
        (
            f"Growth: median of the last third over the first third of what follows the first {100 * WARM_UP_SHARE:.0f} % of the run; "
            f"at most {100 * GROWTH_ALLOWED:.0f} % of memory allowed: **{verdict}**."
        ),
        "",
        "| stream | captured | shown | dropped | age: median, p99, max ms | events |",
        "| --- | ---: | ---: | --- | --- | ---: |",
    ]
    for name, stream in report["streams"].items():
        drops = ", ".join(f"{count} {reason}" for reason, count in stream["drops"].items()) or "none"
        age = stream["run"][AGE]
        ages = f"{age['median_ms']:.1f}, {age['p99_ms']:.1f}, {age['max_ms']:.0f}"
        lines.append(
            f"| {name} | {stream['captured']} | {stream['shown']} | {drops} | {ages} | {len(stream['events'])} |"
        )
    counted: dict[str, int] = {}
    for _, fault in report["faults"]:
        counted[fault] = counted.get(fault, 0) + 1
    lines += [
        "",
        "Faults: "
        + "; ".join(f"{fault}: {count}" for fault, count in counted.items())
        + f". The RTSP source was lost {report['losses']} times "
        f"and came back {report['reconnections']} times. The viewers got {report['viewers_received'][0]} and "
        f"{report['viewers_received'][1]} pictures; the second stalled now and then. The log holds {report['log_lines']} lines.",
        "",
        "Unexpected: " + ("; ".join(report["unexpected"]) or "nothing") + ".",
        "",
    ]
    return "\n".join(lines)
