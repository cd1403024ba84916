import math

import numpy as np
import pytest

from edgesr.runtime.timing import StageTimings, distribution


def test_percentiles_are_in_milliseconds_and_over_every_sample() -> None:
    d = distribution(n * 1_000_000 for n in range(1, 102))
    assert (d.count, d.median_ms, d.p95_ms, d.p99_ms, d.max_ms) == (101, 51.0, 96.0, 100.0, 101.0)


def test_no_sample_gives_no_number() -> None:
    d = distribution([])
    assert d.count == 0 and math.isnan(d.median_ms) and math.isnan(d.max_ms)


def test_stages_keep_their_order_and_their_samples() -> None:
    timings = StageTimings()
    for stage, ns in (("read", 5), ("infer", 7), ("read", 6)):
        timings.add(stage, ns)
    assert list(timings.distributions()) == ["read", "infer"]
    assert timings.to_dict()["samples_ns"] == {"read": [5, 6], "infer": [7]}


def test_a_block_that_raises_leaves_no_sample() -> None:
    timings = StageTimings()
    with pytest.raises(ValueError), timings.measure("read"):
        raise ValueError
    with timings.measure("write"):
        np.zeros(10)
    assert list(timings.samples_ns) == ["write"] and timings.samples_ns["write"][0] > 0
