"""The machine's own sensors, read from /proc and /sys: no root, no program, a board or a PC.

Files are looked for once, when a `Sensors` is made; each sample then reads them again. What cannot be read at a moment
(a sensor asleep gives an error) is missing from that sample.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

from edgesr.jetson.facts import names_in, one_line, path_below, read_fact, read_text
from edgesr.jetson.host import read_memory
from edgesr.jetson.power import CPUFREQ, DEVFREQ, GPU_CLOCK
from edgesr.jetson.sample import Sample

__all__ = ["Gauge", "Sensors", "hwmon_chips"]

HWMON = "/sys/class/hwmon"
THERMAL = "/sys/class/thermal"
CPUS = "/sys/devices/system/cpu"

GPU_LOADS = ("/sys/devices/platform/gpu.0/load", "/sys/devices/gpu.0/load")  # L4T 35 and 36; 32 (per mille)
POWER_CHIP = re.compile(r"ina\d+")  # ina3221 (Xavier, Orin, Thor), ina238 (Thor's input)
CPU_CHIP = re.compile(r"coretemp|k10temp|zenpower|cpu_thermal")
OVER_CURRENT_CHIP = "soctherm_oc"  # NVIDIA Jetson Linux Developer Guide, "Over-Current Event Status"
FAN_CHIP = "pwmfan"


@dataclass(frozen=True)
class Gauge:
    """A file with a number, and what to multiply it by."""

    file: Path
    unit: float = 1.0

    def read(self) -> float | None:
        try:
            return int(self.file.read_text()) * self.unit
        except (OSError, ValueError):
            return None


def hwmon_chips(root: Path) -> list[tuple[str, str]]:
    """Folder and name of every chip that the kernel's hardware monitoring shows."""
    folders = [f"{HWMON}/{entry}" for entry in names_in(root, HWMON)]
    return [(folder, read_fact(root, f"{folder}/name", one_line).value or "") for folder in folders]


class Sensors:
    """`sample()` may be called from one thread at a time. A load is that since the sample before; the first has none."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        chips = hwmon_chips(root)
        self._temperatures = dict(_temperatures(root, chips))
        self._rails = dict(_rails(root, chips))
        self._gpu_load = _gpu_load(root)
        self._gpu_clocks = [_gauge(root, f"{DEVFREQ}/{name}/cur_freq", 1e-6) for name in _gpus(root)]
        policies = [name for name in names_in(root, CPUFREQ) if re.fullmatch(r"policy\d+", name)]
        policies.sort(key=lambda name: int(name.removeprefix("policy")))
        self._cpu_clocks = [_gauge(root, f"{CPUFREQ}/{name}/scaling_cur_freq", 1e-3) for name in policies]
        self._fan = next((_gauge(root, f"{folder}/pwm1") for folder, name in chips if name == FAN_CHIP), None)
        self._events = list(_events(root, chips))
        self._times = _cpu_times(root)

    def sample(self) -> Sample:
        memory = read_memory(self._root)
        times, before = _cpu_times(self._root), self._times
        self._times = times
        return Sample(
            at_ns=perf_counter_ns(),
            gpu_load=self._gpu_load.read() if self._gpu_load else None,
            gpu_mhz=tuple(_told(self._gpu_clocks)),
            cpu_load=tuple(_load(times.get(core), before.get(core)) for core in sorted(times)),
            cpu_mhz=tuple(_told(self._cpu_clocks)) or _clocks_of_cpuinfo(self._root),
            temperatures={
                name: value for name, gauge in self._temperatures.items() if (value := gauge.read()) is not None
            },
            rails_mw={name: value for name, rail in self._rails.items() if (value := _power(rail)) is not None},
            ram_used_mib=_used(memory.total_mib, memory.available_mib),
            ram_total_mib=memory.total_mib,
            swap_used_mib=_used(memory.swap_total_mib, memory.swap_free_mib),
            swap_total_mib=memory.swap_total_mib,
            fan_pwm=int(pwm) if self._fan and (pwm := self._fan.read()) is not None else None,
            throttle_events=int(sum(_told(self._events))) if self._events else None,
        )


def _gauge(root: Path, path: str, unit: float = 1.0) -> Gauge:
    """Links are followed once; a circle of them makes a gauge that never reads."""
    try:
        return Gauge(path_below(root, path), unit)
    except OSError:
        return Gauge(root / path.lstrip("/"), unit)


def _told(gauges: list[Gauge]) -> Iterator[float]:
    return (value for gauge in gauges if (value := gauge.read()) is not None)


def _used(total: int | None, free: int | None) -> int | None:
    return None if total is None or free is None else total - free


def _gpus(root: Path) -> list[str]:
    return [name for name in names_in(root, DEVFREQ) if GPU_CLOCK.search(name)]


def _gpu_load(root: Path) -> Gauge | None:
    """Per mille, to percent. Thor's driver has no such file."""
    paths = (*(f"{DEVFREQ}/{name}/device/load" for name in _gpus(root)), *GPU_LOADS)
    gauges = (_gauge(root, path, 0.1) for path in paths)
    return next((gauge for gauge in gauges if gauge.file.is_file()), None)


def _temperatures(root: Path, chips: list[tuple[str, str]]) -> Iterator[tuple[str, Gauge]]:
    """`cpu-thermal` and `CPU-therm` are cpu. A PC's processor may only be among the hwmon chips."""
    for zone in names_in(root, THERMAL):
        kind = read_fact(root, f"{THERMAL}/{zone}/type", one_line).value
        if zone.startswith("thermal_zone") and kind:
            yield re.sub(r"[-_]therm(al)?$", "", kind.lower()), _gauge(root, f"{THERMAL}/{zone}/temp", 1e-3)
    for folder, name in chips:
        for file in names_in(root, folder) if CPU_CHIP.fullmatch(name) else ():
            if found := re.fullmatch(r"(temp\d+)_input", file):
                label = read_fact(root, f"{folder}/{found[1]}_label", one_line).value or found[1]
                yield label.lower(), _gauge(root, f"{folder}/{file}", 1e-3)


def _rails(root: Path, chips: list[tuple[str, str]]) -> Iterator[tuple[str, tuple[Gauge, ...]]]:
    """INA3221: mV times mA of each labelled channel that has a current; INA238: µW, the chip itself is labelled."""
    for folder, name in chips:
        files = names_in(root, folder) if POWER_CHIP.fullmatch(name) else []
        for file in files:
            found = re.fullmatch(r"in(\d+)_label", file)
            if found is None or f"curr{found[1]}_input" not in files:  # in7 of an INA3221 is a sum of shunt voltages
                continue
            label = read_fact(root, f"{folder}/{file}", one_line).value
            if label and label != "NC":
                volts = _gauge(root, f"{folder}/in{found[1]}_input", 1e-3)
                yield label, (volts, _gauge(root, f"{folder}/curr{found[1]}_input"))
        if "label" in files and "power1_input" in files:
            label = read_fact(root, f"{folder}/label", one_line).value
            if label:
                yield label, (_gauge(root, f"{folder}/power1_input", 1e-3),)


def _power(rail: tuple[Gauge, ...]) -> float | None:
    product = 1.0
    for gauge in rail:
        value = gauge.read()
        if value is None:
            return None
        product *= value
    return product


def _events(root: Path, chips: list[tuple[str, str]]) -> Iterator[Gauge]:
    """Over-current events of a board; on Intel's processors how often each core and each package was throttled."""
    for folder, name in chips:
        for file in names_in(root, folder) if name == OVER_CURRENT_CHIP else ():
            if re.fullmatch(r"oc\d+_event_cnt", file):
                yield _gauge(root, f"{folder}/{file}")
    for cpu in names_in(root, CPUS):
        for file in names_in(root, f"{CPUS}/{cpu}/thermal_throttle") if re.fullmatch(r"cpu\d+", cpu) else ():
            if file.endswith("_throttle_count"):
                yield _gauge(root, f"{CPUS}/{cpu}/thermal_throttle/{file}")


def _cpu_times(root: Path) -> dict[int, tuple[int, int]]:
    """Busy and all clock ticks of each core that is on, from /proc/stat (proc(5): user nice system idle iowait ...)."""
    text = _text(root, "/proc/stat")
    times = {}
    for core, counts in re.findall(r"^cpu(\d+) ([\d ]+)$", text, re.MULTILINE):
        ticks = [int(count) for count in counts.split()][:8]  # guest time is counted in user time already
        if len(ticks) >= 5:
            times[int(core)] = (sum(ticks) - ticks[3] - ticks[4], sum(ticks))
    return times


def _load(now: tuple[int, int] | None, before: tuple[int, int] | None) -> float | None:
    if now is None or before is None or now[1] <= before[1]:
        return None
    return min(100.0, max(0.0, 100.0 * (now[0] - before[0]) / (now[1] - before[1])))


def _clocks_of_cpuinfo(root: Path) -> tuple[float, ...]:
    """Where the kernel scales no clocks (a virtual machine); x86 only."""
    text = _text(root, "/proc/cpuinfo")
    return tuple(float(mhz) for mhz in re.findall(r"^cpu MHz\s*:\s*(\d+(?:\.\d+)?)$", text, re.MULTILINE))


def _text(root: Path, path: str) -> str:
    try:
        return read_text(root, path) or ""
    except OSError:
        return ""
