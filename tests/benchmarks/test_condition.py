import ctypes
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from edgesr.benchmarks.condition import ClockTrack, Watch, read_condition, why_invalid
from edgesr.benchmarks.nvml import Nvml


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with two clusters of cores and a GPU that scale, and counters."""
    files = {
        "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1510400",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq": "115200",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1510400",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil",
        "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq": "1190400",
        "sys/class/devfreq/17000000.gpu/cur_freq": "624750000",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
        "sys/class/thermal/thermal_zone0/temp": "48500",
        "sys/class/thermal/thermal_zone1/type": "cv0-thermal",
        "sys/class/thermal/thermal_zone1/temp": "",
        "sys/class/hwmon/hwmon0/oc1_event_cnt": "2",
        "sys/class/hwmon/hwmon0/oc3_event_cnt": "1",
        "proc/meminfo": "MemTotal: 7990000 kB\nMemAvailable: 5242880 kB\nSwapFree: 1024 kB\n",
        "proc/stat": "cpu  1000 0 500 9000 100 0 0 0 0 0\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_condition_is_what_the_machine_tells(root: Path) -> None:
    found = read_condition(root)
    assert [(c.domain, c.name, c.now_mhz, c.governor) for c in found.clocks] == [
        ("CPU", "policy0", 1510.4, "schedutil"), ("CPU", "policy4", 1190.4, None), ("GPU", "17000000.gpu", 624.75, None),
    ]  # fmt: skip
    assert found.temperatures_c == {"cpu-thermal": 48.5}  # the other is switched off
    assert (found.available_mib, found.swap_free_mib, found.throttled) == (5120, 1, 3)


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    found = read_condition(tmp_path)
    assert (found.clocks, found.temperatures_c, found.available_mib, found.throttled) == ((), {}, None, None)
    watch = Watch(tmp_path)
    assert watch.tracks() == () and watch.other_cores() is None


def test_cpuinfo_tells_the_clock_where_the_kernel_scales_none(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor: 0\ncpu MHz\t\t: 2596.138\n\nprocessor: 1\ncpu MHz\t\t: junk\n")
    assert [(c.name, c.now_mhz) for c in read_condition(tmp_path).clocks] == [("core 0", 2596.138)]


def test_clocks_are_followed_and_not_asked_too_often(root: Path) -> None:
    seconds: Iterator[float] = (n / 10 for n in count())
    watch = Watch(root, now=lambda: next(seconds))
    gpu = root / "sys/class/devfreq/17000000.gpu/cur_freq"
    for hertz in (612_000_000, 306_000_000, 408_000_000, 510_000_000, 306_000_000):
        gpu.write_text(str(hertz))
        watch.look()
    track = next(track for track in watch.tracks() if track.domain == "GPU")
    assert 1 < len(track.mhz) < 6 and track.mhz[0] == 624.75
    assert track.moved > 0.05
    assert list(track.at_s) == sorted(track.at_s)


def test_what_others_take_of_the_processor(root: Path) -> None:
    seconds = iter([0.0, 0.0, 10.0])
    watch = Watch(root, now=lambda: next(seconds))
    (root / "proc/stat").write_text("cpu  2000 0 1500 9900 100 0 0 0 0 0\n")  # 20 s of work in 10 s, almost all theirs
    found = watch.other_cores()
    assert found is not None and 1.5 < found <= 2


def test_of_many_cores_the_highest_is_kept(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("".join(f"cpu MHz : {1000 + core}\n" for core in range(64)))
    (track,) = Watch(tmp_path).tracks()
    assert (track.title, track.mhz) == ("CPU highest of 64", (1063.0,))


@pytest.mark.parametrize(
    ("domain", "top", "is_board", "on_gpu", "invalid"),
    [
        ("GPU", 1051, True, False, True),
        ("GPU", 1049, True, False, False),
        ("CPU", 2000, True, False, True),
        ("CPU", 2000, False, True, False),  # a PC's is drawn, and judged by the reader
        ("GPU", 2000, False, True, True),
        ("GPU", 2000, False, False, False),  # nothing ran there
    ],
)
def test_a_clock_that_moved_makes_a_run_invalid(
    domain: str, top: float, is_board: bool, on_gpu: bool, invalid: bool
) -> None:
    tracks = [ClockTrack("GPU", "still", (0.0,), (500.0,)), ClockTrack(domain, "x", (0.0, 1.0), (1000.0, top))]
    found = why_invalid(tracks, is_board=is_board, on_gpu=on_gpu)
    assert bool(found) == invalid
    if found:
        assert f"{domain} x moved between 1000 and {top:.0f} MHz" in found and "\n" not in found


class PlayedNvml:
    """Answers as nvml.h says: 0 is success, results through pointers."""

    def nvmlDeviceGetCount_v2(self, out: Any) -> int:
        out._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, out: Any) -> int:
        out._obj.value = 0x10 + index.value
        return 0

    def nvmlDeviceGetClockInfo(self, device: ctypes.c_void_p, kind: ctypes.c_int, out: Any) -> int:
        assert kind.value == 1
        out._obj.value = 1980
        return 0 if device.value == 0x10 else 3  # NVML_ERROR_NOT_SUPPORTED

    def nvmlDeviceGetMaxClockInfo(self, _device: ctypes.c_void_p, _kind: ctypes.c_int, _out: Any) -> int:
        return 3

    def nvmlDeviceGetTemperature(self, _device: ctypes.c_void_p, _sensor: ctypes.c_int, out: Any) -> int:
        out._obj.value = 41
        return 0

    def nvmlDeviceGetName(self, _device: ctypes.c_void_p, text: Any, length: ctypes.c_uint) -> int:
        text.value = b"NVIDIA H100 80GB HBM3"[: length.value]
        return 0


def test_gpus_of_a_pc(tmp_path: Path) -> None:
    found = read_condition(tmp_path, Nvml(PlayedNvml()))
    (clock,) = found.clocks
    assert (clock.domain, clock.name, clock.now_mhz, clock.high_mhz) == ("GPU", "0 NVIDIA H100 80GB HBM3", 1980, None)
    assert found.temperatures_c == {"0 NVIDIA H100 80GB HBM3": 41}
