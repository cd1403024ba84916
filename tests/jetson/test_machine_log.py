"""What edgesr-run --machine records, on a made Orin Nano whose files change, and on the machine that runs the tests."""

import json
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edgesr.jetson.machine_log import BoardLog, Course, Tally
from edgesr.jetson.sample import Sample
from edgesr.runtime.streaming.machine import MachineLog

Write = Callable[[str, str | bytes], Path]
SECOND = 1_000_000_000
PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"


def recorded(log: BoardLog, samples: int) -> None:
    """Start, wait for so many samples, stop."""
    log.start()
    end = time.monotonic() + 5
    while log.summary(0)["samples"] < samples:
        assert time.monotonic() < end, "waited for 5 s"
        time.sleep(0.002)
    log.stop()


def tallied(*samples: Sample) -> Tally:
    tally = Tally()
    for sample in samples:
        tally.add(sample)
    return tally


@pytest.mark.usefixtures("orin")
def test_a_board_tells_everything(tmp_path: Path) -> None:
    log = BoardLog(tmp_path, interval_s=0.01)
    assert log.notes == [] and log.latest() is None
    recorded(log, 3)
    latest = dict(log.latest() or {})
    assert 0 < latest.pop("at_ns") <= time.perf_counter_ns()
    assert latest == {"gpu_load": 43.7, "gpu_mhz": 305.25, "cpu_mhz": 1510.4, "hottest": 48.0, "watts": 4.83}

    told = json.loads(json.dumps(log.summary(frames=20)))
    assert told["watts"] == {"low": 4.83, "mean": 4.83, "high": 4.83} and told["mean_watts"] == 4.83
    assert told["joules_per_frame"] == pytest.approx(4.83 * told["seconds"] / 20, rel=0.05)
    assert (told["gpu_clock_fell_mhz"], told["throttle_events"], told["cpu_load"]) == (None, 0, None)
    heat, work = log.describe(frames=20)
    assert heat.startswith("4.83 W on average, ") and heat.endswith("at most 48.0 °C")
    assert work == "GPU load 44 %, GPU clock 305 MHz, did not fall, CPU clock 1510 MHz, did not fall"


@pytest.mark.usefixtures("orin")
def test_sensors_that_fall_silent_underway(tmp_path: Path, write: Write) -> None:
    log = BoardLog(tmp_path, interval_s=0.005)
    log.start()
    for name in ("hwmon1/in1_input", "hwmon1/in2_input"):
        write(f"/sys/class/hwmon/{name}", "garbage")
    (tmp_path / "sys/class/devfreq/17000000.gpu/cur_freq").unlink()
    time.sleep(0.03)
    log.stop()
    assert "watts" not in (log.latest() or {}) and "gpu_mhz" not in (log.latest() or {})


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    log = BoardLog(tmp_path, interval_s=0.01)
    assert log.notes == ["this machine does not tell power, temperatures, the GPU's load, the GPU's clock"]
    recorded(log, 2)
    assert set(log.latest() or {}) == {"at_ns"}
    assert log.describe(frames=3) == [] and log.summary(frames=3)["joules_per_frame"] is None


def test_a_part_of_a_gpu_that_is_asleep_is_told_of(tmp_path: Path, write: Write) -> None:
    write("/sys/class/devfreq/17000000.gpu/cur_freq", "0")
    assert "clock" not in BoardLog(tmp_path).notes[0]


def test_this_machine(tmp_path: Path) -> None:
    log = BoardLog(interval_s=0.01)
    recorded(log, 3)
    assert log.summary(1)["samples"] >= 3 and any("CPU" in line for line in log.describe(1))


def test_energy_is_counted_while_power_is_told() -> None:
    """3 W for a second, a gap of two, then from 4 W to 8 W in a second; 10 frames in 4 s."""
    watts = (3, 3, None, 4, 8)
    tally = tallied(
        *(Sample(at_ns=at * SECOND, rails_mw={"VDD_IN": w * 1000} if w else {}) for at, w in enumerate(watts))
    )
    assert (tally.seconds, tally.energy_j, tally.powered_s, tally.mean_watts) == (4.0, 9.0, 2.0, 4.5)
    assert tally.joules_a_frame(10) == pytest.approx(1.8)
    assert tally.joules_a_frame(0) is None and tallied().mean_watts is None


def test_a_fall_is_from_the_fastest_before_and_the_newest_value_waits() -> None:
    course, fell = Course(), []
    for mhz in (306, 1020, 1000, 612, 900, 1020, 300):
        course.add(mhz)
        fell.append(course.fell)
    assert fell == [None, None, None, None, (1020, 612), (1020, 612), (1020, 612)]


def test_events_are_those_since_the_start() -> None:
    assert tallied(*(Sample(at_ns=0, throttle_events=count) for count in (37, 37, 40))).throttled == 3
    assert tallied(Sample(at_ns=0)).throttled is None and tallied().throttled is None


def test_memory_does_not_grow() -> None:
    log = BoardLog(interval_s=1e-6)
    recorded(log, 40)
    assert len(log._recorder.samples) <= 3 and log.summary(1)["samples"] >= 40


def test_started_again_it_begins_anew() -> None:
    log = BoardLog(interval_s=0.001)
    recorded(log, 20)
    log.start()
    log.stop()
    assert log.summary(1)["samples"] < 20


def test_the_declared_entry_point_is_what_a_stream_asks_for() -> None:
    (group,) = PYPROJECT.read_text().split('[project.entry-points."edgesr.recorders"]')[1:]
    name, _, value = group.split("\n", 2)[1].partition(" = ")
    assert name == "board"
    assert isinstance(EntryPoint(name, value.strip('"'), "edgesr.recorders").load()(), MachineLog)
