"""A fast source and a slow network for a long time: what is shown stays young."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.servers import RTSPServer, ball_launch
from tests.runtime.streaming.played import PlayedBackend, PlayedSink

from edgesr.runtime.sources import open_source
from edgesr.runtime.streaming.figures import AGE
from edgesr.runtime.streaming.loop import run
from edgesr.runtime.streaming.network import Network
from edgesr.runtime.streaming.stream import Stream

NETWORK_S = 0.1


def watch(minutes: float) -> tuple[Stream, list[float], list[int]]:
    """An RTSP source at 60 frames/s through a network of 10: the stream, the ages in seconds, memory in KiB as it went."""
    memory: list[int] = []
    with RTSPServer(ball_launch(fps=60)) as server, open_source(server.uri) as source:
        sink = PlayedSink()
        stream = Stream(source, [sink], "newest")
        end_s = time.monotonic() + 60 * minutes

        def tick() -> None:
            memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024)
            if time.monotonic() > end_s:
                stream.controls.stop()

        with Network(lambda: [PlayedBackend(NETWORK_S)]) as network:
            run(network, [stream], on_tick=tick)
    return stream, [age for _index, age, _value in sink.seen], memory


@pytest.mark.parametrize("minutes", [0.2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_source_at_60_frames_a_second_into_a_network_of_10_stays_live(minutes: float) -> None:
    threads = set(threading.enumerate())
    stream, ages, memory = watch(minutes)
    figures = stream.figures.snapshot()
    half = len(ages) // 2
    first, second = np.median(ages[:half]), np.median(ages[half:])
    decode_s = figures.run["decode"].p99_ms / 1e3
    told = {
        "minutes": minutes,
        "captured": figures.captured,
        "shown": figures.shown,
        "drops": figures.drops,
        "age_ms": {"median": 1e3 * np.median(ages), "p99": figures.run[AGE].p99_ms, "max": 1e3 * max(ages)},
        "age_by_halves_ms": [1e3 * first, 1e3 * second],
        "memory_growth": float(
            np.median(memory[-len(memory) // 3 :]) / np.median(memory[len(memory) // 3 : len(memory) * 2 // 3]) - 1
        ),
    }
    print(json.dumps(told, indent=1))  # noqa: T201 - the figures for the docs (pytest -s)
    assert figures.captured > 20 * 60 * minutes and figures.shown < 12 * 60 * minutes + 5
    assert second < 1.5 * first + 0.05, "it grows older"
    assert np.median(ages) < decode_s + NETWORK_S + 3 / 60 + 0.1
    assert not set(threading.enumerate()) - threads
