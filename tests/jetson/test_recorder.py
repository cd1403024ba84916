import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from tests.jetson.tegrastats_lines import ORIN_NANO_JETPACK_7

from edgesr.jetson.recorder import Recorder, Spread, summarize
from edgesr.jetson.sample import Sample
from edgesr.jetson.tegrastats import parse_tegrastats

SECOND = 1_000_000_000


def played(*loads: float) -> Callable[[], Sample]:
    """One sample a second of its own clock; the last load stays."""
    count = -1

    def sample() -> Sample:
        nonlocal count
        count += 1
        return Sample(at_ns=count * SECOND, gpu_load=loads[min(count, len(loads) - 1)])

    return sample


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "waited for 5 s"
        time.sleep(0.002)


def test_samples_from_the_start_to_the_stop() -> None:
    with Recorder(played(1, 2, 3), interval_s=0.005) as recorder:
        wait_for(lambda: len(recorder.samples) >= 3)
    taken = recorder.samples
    assert [sample.gpu_load for sample in taken[:3]] == [1, 2, 3]
    assert [sample.at_ns for sample in taken] == [number * SECOND for number in range(len(taken))]


def test_a_block_that_is_over_at_once_has_a_first_and_a_last_sample() -> None:
    with Recorder(played(1, 2), interval_s=60) as recorder:
        wait_for(lambda: len(recorder.samples) == 1)
    assert [sample.gpu_load for sample in recorder.samples] == [1, 2]


def test_failure_is_raised_by_stop() -> None:
    def broken() -> Sample:
        raise OSError("the sensor is gone")

    recorder = Recorder(broken, interval_s=0.01)
    recorder.start()
    with pytest.raises(OSError, match="the sensor is gone"):
        recorder.stop()
    recorder.stop()


def test_failure_does_not_hide_that_of_the_block() -> None:
    def broken() -> Sample:
        raise OSError("the sensor is gone")

    with pytest.raises(ZeroDivisionError), Recorder(broken, interval_s=0.01):
        raise ZeroDivisionError


def test_started_again_it_begins_anew_and_never_runs_twice() -> None:
    recorder = Recorder(played(1), interval_s=60)
    recorder.start()
    with pytest.raises(RuntimeError, match="runs already"):
        recorder.start()
    recorder.stop()
    first = recorder.samples
    with recorder:
        pass
    assert recorder.samples[0].at_ns > first[-1].at_ns


def test_long_recordings_are_thinned_evenly() -> None:
    recorder = Recorder(played(0), interval_s=1e-6, keep=8)
    recorder.start()
    wait_for(lambda: bool(recorder.samples) and recorder.samples[-1].at_ns > 40 * SECOND)
    recorder.stop()
    *taken, _ = [sample.at_ns // SECOND for sample in recorder.samples]
    steps = {after - before for before, after in pairwise(taken)}
    assert len(recorder.samples) <= 9
    assert taken[0] == 0
    assert len(steps) == 1


@pytest.mark.parametrize("settings", [{"interval_s": 0}, {"interval_s": float("nan")}, {"keep": 1}])
def test_settings_that_cannot_be(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        Recorder(played(0), **settings)


def test_a_time_between_two_samples_has_both_neighbours() -> None:
    recorder = Recorder(played(0, 1, 2, 3, 4), interval_s=1e-4)
    with recorder:
        wait_for(lambda: len(recorder.samples) > 5)
    at = [sample.at_ns / SECOND for sample in recorder.between(int(2.2 * SECOND), int(2.8 * SECOND))]
    assert at == [2, 3]
    at = [sample.at_ns / SECOND for sample in recorder.between(1 * SECOND, 3 * SECOND)]
    assert at == [0, 1, 2, 3, 4]


def test_summary_of_a_boards_own_lines() -> None:
    """Three lines of one run, a second apart."""
    samples = [
        replace(parse_tegrastats(line, number * SECOND), throttle_events=events)
        for number, (line, events) in enumerate(zip(ORIN_NANO_JETPACK_7, (37, 37, 40), strict=True))
    ]
    told = summarize(samples)
    assert (told.samples, told.seconds, told.throttle_events) == (3, 2.0, 3)
    assert told.cpu_mhz == Spread(729, 729, 1510)
    assert told.gpu_mhz == Spread(305, 305, 306)
    assert told.hottest == Spread(47.718, 48.0, 48.125)
    assert told.total_mw == Spread(3703, 4093, 4832)
    assert told.energy_j == pytest.approx((4.832 + 4.093) / 2 + (4.093 + 3.703) / 2)
    assert told.cpu_mhz.moved_percent == pytest.approx(51.7, abs=0.1)


def test_a_gpu_that_is_switched_off_has_no_clock() -> None:
    samples = [Sample(at_ns=0, gpu_mhz=(0.0, 0.0)), Sample(at_ns=1, gpu_mhz=(0.0, 1300.5))]
    assert summarize(samples).gpu_mhz == Spread(1300.5, 1300.5, 1300.5)


def test_summary_of_nothing() -> None:
    told = summarize([])
    assert (told.samples, told.seconds, told.energy_j, told.throttle_events) == (0, 0.0, None, None)
    assert summarize([Sample(at_ns=4, rails_mw={"VDD_IN": 5000.0})]).energy_j is None
