"""A stream for tests: frames pushed into a sink by a thread, as the loop does it, until somebody has seen enough."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from edgesr.runtime.errors import EdgeSRError
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources import ColourTags, StreamInfo

LIVE = StreamInfo(title="a camera", live=True)
WAIT_S = 20.0

BARS = np.array(
    [
        *([255, 255, 255], [0, 255, 255], [255, 255, 0], [0, 255, 0], [255, 0, 255], [0, 0, 255], [255, 0, 0]),
        *([0, 0, 0], [128, 128, 128], [30, 200, 90], [200, 40, 130], [17, 60, 240]),
    ],
    np.uint8,
)
COLOURS = [
    ColourTags(matrix=matrix, full_range=full, primaries=matrix, transfer=matrix)
    for matrix in (1, 6)
    for full in (False, True)
]
"""BT.709 and BT.601, limited and full."""


def colour_bars(width: int = 32, height: int = 64) -> np.ndarray:
    return np.repeat(np.repeat(BARS[None], height, 0), width, 1)


def bars_shift(pixels: np.ndarray) -> int:
    """By how many code values the flat middles of the bars differ at most."""
    bars = pixels.reshape(pixels.shape[0], len(BARS), -1, 3)
    quarter = bars.shape[2] // 4
    return int(np.abs(bars[8:-8, :, quarter:-quarter].astype(int) - BARS[None, :, None]).max())


def grey(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), 40 + index % 160, np.uint8)


@contextmanager
def fed(sink: Sink, picture: Callable[[int], np.ndarray] = grey, rate: float = 30) -> Iterator[None]:
    """Writes `picture(index)` at that rate while the block runs; what `write` raised is raised at its end."""
    enough = threading.Event()
    failures: list[EdgeSRError] = []

    def feed() -> None:
        index = 0
        while not enough.wait(1 / rate):
            try:
                sink.write(Frame(picture(index), index, time.perf_counter_ns()))
            except EdgeSRError as error:
                failures.append(error)
                return
            index += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join(WAIT_S)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


def wait_for(condition: Callable[[], object], what: str, limit_s: float = WAIT_S) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"not in {limit_s:g} s: {what}"
        time.sleep(0.01)
