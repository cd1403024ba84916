from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.jetson.facts import Fact
from edgesr.jetson.power import Clock, PowerMode, parse_modes, parse_status, read_clocks, read_power

Write = Callable[[str, str | bytes], Path]

CONF = """# Copyright and explanations
# < POWER_MODEL ID=9 NAME=COMMENTED_OUT >
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online

< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
CPU_ONLINE CORE_0 1

# mandatory section to configure the default power mode
< PM_CONFIG DEFAULT=0 >
"""


def test_modes_and_default_are_read_and_comments_are_not() -> None:
    assert parse_modes(CONF) == ((PowerMode(0, "15W"), PowerMode(2, "MAXN_SUPER")), 0)


def test_modes_without_a_default() -> None:
    assert parse_modes("< POWER_MODEL ID=1 NAME=10W >") == ((PowerMode(1, "10W"),), None)


@pytest.mark.parametrize("damaged", ["", "\0", "< POWER_MODEL ID=x NAME=10W >", "< PM_CONFIG DEFAULT=0 >"])
def test_damaged_modes_are_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="expected lines '< POWER_MODEL"):
        parse_modes(damaged)


@pytest.mark.parametrize(("text", "number"), [("pmode:0002\n", 2), ("pmode:0008 fmode:quiet", 8), ("pmode:0010", 10)])
def test_status(text: str, number: int) -> None:
    assert parse_status(text) == number


@pytest.mark.parametrize("damaged", ["", "\0", "fmode:quiet", "pmode:", "pmode:2x"])
def test_damaged_status_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="expected a line such as pmode:0002"):
        parse_status(damaged)


def test_current_mode_has_its_name(tmp_path: Path, write: Write) -> None:
    write("/etc/nvpmodel.conf", CONF)
    write("/var/lib/nvpmodel/status", "pmode:0002")
    power = read_power(tmp_path)
    assert power.mode == Fact("MAXN_SUPER", "/var/lib/nvpmodel/status")
    assert (power.number, power.default) == (2, 0)


def test_without_a_status_the_default_applies_and_is_said(tmp_path: Path, write: Write) -> None:
    write("/etc/nvpmodel.conf", CONF)
    power = read_power(tmp_path)
    assert (power.mode.value, power.number) == ("15W", 0)
    assert "its default" in power.mode.source


def test_damaged_status_is_not_taken_for_the_default(tmp_path: Path, write: Write) -> None:
    write("/etc/nvpmodel.conf", CONF)
    write("/var/lib/nvpmodel/status", "garbage")
    power = read_power(tmp_path)
    assert (power.mode.value, power.number) == (None, None)
    assert "found 'garbage'" in power.mode.problem


def test_mode_that_the_conf_does_not_name_is_said(tmp_path: Path, write: Write) -> None:
    write("/etc/nvpmodel.conf", CONF)
    write("/var/lib/nvpmodel/status", "pmode:0007")
    assert read_power(tmp_path).mode == Fact("mode 7", "/var/lib/nvpmodel/status", "/etc/nvpmodel.conf names no mode 7")


def test_damaged_conf_leaves_the_number(tmp_path: Path, write: Write) -> None:
    write("/etc/nvpmodel.conf", "garbage")
    write("/var/lib/nvpmodel/status", "pmode:0002")
    mode = read_power(tmp_path).mode
    assert mode.value == "mode 2"
    assert mode.problem.startswith("/etc/nvpmodel.conf: expected lines")


def test_folder_in_place_of_the_conf_is_said(tmp_path: Path, write: Write) -> None:
    write("/etc/nvpmodel.conf/oops", "")
    assert read_power(tmp_path).mode.problem == "/etc/nvpmodel.conf: not a regular file"


def test_pc_has_no_power_mode(tmp_path: Path) -> None:
    power = read_power(tmp_path)
    assert (power.mode, power.number, power.modes, power.clocks) == (Fact(), None, (), ())


def test_cpu_counts_in_khz_and_gpu_in_hz(tmp_path: Path, write: Write) -> None:
    for name, value in (
        ("scaling_governor", "schedutil"),
        ("scaling_cur_freq", "729600"),
        ("scaling_min_freq", "729600"),
    ):
        write(f"/sys/devices/system/cpu/cpufreq/policy0/{name}", value)
    write("/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1728000")
    for name, value in (("governor", "nvhost_podgov"), ("cur_freq", "612000000"), ("min_freq", "612000000")):
        write(f"/sys/class/devfreq/17000000.gpu/{name}", value)
    write("/sys/class/devfreq/17000000.gpu/max_freq", "612000000")
    cpu, gpu = read_clocks(tmp_path)
    governor = Fact("schedutil", "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor")
    assert cpu == Clock("CPU", "policy0", governor, 729.6, 729.6, 1728.0)
    assert (gpu.domain, gpu.name, gpu.now_mhz) == ("GPU", "17000000.gpu", 612.0)
    assert (cpu.is_locked, gpu.is_locked) == (False, True)


@pytest.mark.parametrize("name", ["17000000.gpu", "17000000.ga10b", "17000000.gv11b", "gpu-gpc-0", "57000000.gm20b"])
def test_gpu_is_known_by_its_name(tmp_path: Path, write: Write, name: str) -> None:
    write(f"/sys/class/devfreq/{name}/governor", "nvhost_podgov")
    write("/sys/class/devfreq/15340000.vic/governor", "nvhost_podgov")
    write("/sys/class/devfreq/bwmgr/governor", "nvhost_podgov")
    assert [clock.name for clock in read_clocks(tmp_path)] == [name]


def test_clock_with_missing_and_damaged_files_is_not_locked(tmp_path: Path, write: Write) -> None:
    write("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "<unknown>")
    (clock,) = read_clocks(tmp_path)
    assert clock == Clock("CPU", "policy0", Fact(), None, None, None)
    assert not clock.is_locked


def test_only_policies_are_clocks(tmp_path: Path, write: Write) -> None:
    write("/sys/devices/system/cpu/cpufreq/boost", "1")
    assert read_clocks(tmp_path) == ()
