"""The files of `orin_tree`, and such as fall silent or are damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.jetson.orin_tree import MEMINFO

from edgesr.jetson.sample import Sample
from edgesr.jetson.sensors import Sensors

Write = Callable[[str, str | bytes], Path]


@pytest.mark.usefixtures("orin")
def test_a_board(tmp_path: Path, write: Write) -> None:
    sensors = Sensors(tmp_path)
    write("/proc/stat", "cpu  9 9 9 9\ncpu0 175 0 50 825 50 0 0 0 0 0\ncpu1 0 0 0 1100 0 0 0 0 0 0\n")
    sample = sensors.sample()
    assert sample == Sample(
        at_ns=sample.at_ns,
        gpu_load=pytest.approx(43.7),
        gpu_mhz=(305.25,),
        cpu_load=(75.0, 0.0),
        cpu_mhz=(729.6, 1510.4),
        temperatures={"cpu": 48.0, "gpu": pytest.approx(47.718)},
        rails_mw={"VDD_IN": 4830.0, "VDD_CPU_GPU_CV": 600.0},
        ram_used_mib=2500,
        ram_total_mib=7620,
        swap_used_mib=1476,
        swap_total_mib=3810,
        fan_pwm=62,
        throttle_events=52,
    )
    assert (sample.total_mw, sample.hottest) == (4830.0, 48.0)


@pytest.mark.usefixtures("orin")
def test_files_are_read_anew_and_may_fall_silent(tmp_path: Path, write: Write) -> None:
    sensors = Sensors(tmp_path)
    write("/sys/class/devfreq/17000000.gpu/cur_freq", "1020000000")
    write("/sys/class/thermal/thermal_zone1/temp", "garbage")
    write("/sys/class/hwmon/hwmon1/curr2_input", "-2")
    (tmp_path / "sys/class/hwmon/hwmon0/pwm1").unlink()
    sample = sensors.sample()
    assert sample.gpu_mhz == (1020.0,)
    assert sample.temperatures == {"cpu": 48.0}
    assert sample.rails_mw["VDD_CPU_GPU_CV"] == -10.0
    assert sample.fan_pwm is None


@pytest.mark.usefixtures("orin")
def test_load_needs_two_readings(tmp_path: Path, write: Write) -> None:
    sensors = Sensors(tmp_path)
    assert sensors.sample().cpu_load == (None, None)  # no tick since
    write("/proc/stat", "cpu0 110 0 50 890 50 0 0 0 0 0\ncpu2 5 0 0 5 0 0 0 0 0 0\n")
    assert sensors.sample().cpu_load == (10.0, None)  # core 1 went off, core 2 came on


def test_chip_with_a_label_of_its_own(tmp_path: Path, write: Write) -> None:
    """The INA238 of Thor, as jetson-thor's probe (public) looks for it; not seen on a board by us."""
    write("/sys/class/hwmon/hwmon5/name", "ina238")
    write("/sys/class/hwmon/hwmon5/label", "VIN")
    write("/sys/class/hwmon/hwmon5/power1_input", "19780000")
    assert Sensors(tmp_path).sample().rails_mw == {"VIN": pytest.approx(19780.0)}


def test_a_pc(tmp_path: Path, write: Write) -> None:
    write("/proc/meminfo", MEMINFO)
    write("/sys/class/hwmon/hwmon2/name", "coretemp")
    write("/sys/class/hwmon/hwmon2/temp1_label", "Package id 0")
    write("/sys/class/hwmon/hwmon2/temp1_input", "61000")
    write("/sys/class/hwmon/hwmon4/name", "nvme")
    write("/sys/class/hwmon/hwmon4/temp1_input", "35000")
    write("/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "3")
    write("/sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "4")
    sample = Sensors(tmp_path).sample()
    assert sample.temperatures == {"package id 0": 61.0}
    assert sample.throttle_events == 7
    assert (sample.gpu_load, sample.gpu_mhz, sample.rails_mw, sample.total_mw) == (None, (), {}, None)


def test_a_virtual_machine_tells_its_clock_in_cpuinfo(tmp_path: Path, write: Write) -> None:
    write("/proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2596.138\n\nprocessor\t: 1\ncpu MHz\t\t: 2600.0\n")
    assert Sensors(tmp_path).sample().cpu_mhz == (2596.138, 2600.0)


def test_an_empty_machine_tells_nothing(tmp_path: Path) -> None:
    sample = Sensors(tmp_path).sample()
    assert sample == Sample(at_ns=sample.at_ns)


def test_links_that_go_in_a_circle_are_no_gauge(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/devfreq/17000000.gpu"
    folder.mkdir(parents=True)
    (folder / "cur_freq").symlink_to("cur_freq")
    assert Sensors(tmp_path).sample().gpu_mhz == ()


def test_what_one_way_does_not_tell_the_other_fills() -> None:
    told = Sample(at_ns=5, gpu_load=0.0, rails_mw={"VDD_IN": 1.0})
    other = Sample(at_ns=9, gpu_load=50.0, gpu_mhz=(306.0,), rails_mw={"VIN": 2.0}, fan_pwm=0)
    assert told.filled_by(other) == Sample(at_ns=5, gpu_load=0.0, gpu_mhz=(306.0,), rails_mw={"VDD_IN": 1.0}, fan_pwm=0)


def test_this_machine() -> None:
    sample = Sensors().sample()
    assert sample.ram_total_mib and sample.ram_used_mib and 0 < sample.ram_used_mib < sample.ram_total_mib
    assert sample.cpu_load
