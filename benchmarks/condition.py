"""The machine's state at one moment, and its clocks' course through a run: what a figure must be read with."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edgesr.benchmarks.machine import load_averages
from edgesr.benchmarks.nvml import Nvml
from edgesr.jetson.facts import names_in, one_line, read_fact, read_number
from edgesr.jetson.host import read_memory
from edgesr.jetson.power import read_clocks, read_power

__all__ = ["MOST_MOVED", "ClockNow", "ClockTrack", "Condition", "Watch", "read_condition", "why_invalid"]

MOST_MOVED = 0.05
"""On a board, and on a GPU anywhere, a run whose clocks moved by more is invalid."""

MOST_TRACKS = 8
"""A PC has a clock for each of its cores: of more than that many, the highest is kept."""

LEAST_PAUSE_S = 0.25
"""Between two looks at the clocks; some kernels take 10 ms for one."""

THERMAL, HWMON, CPUS = "/sys/class/thermal", "/sys/class/hwmon", "/sys/devices/system/cpu"
CPU_SENSORS = {"coretemp", "k10temp", "zenpower"}  # of PCs, whose processors are in no thermal zone
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ClockNow:
    """domain: `CPU` or `GPU`. name: what the kernel or driver calls it. low and high: what it may move between."""

    domain: str
    name: str
    governor: str | None
    now_mhz: float
    low_mhz: float | None
    high_mhz: float | None


@dataclass(frozen=True)
class ClockTrack:
    """One clock through the rounds: `mhz[i]` was read `at_s[i]` seconds after they began."""

    domain: str
    name: str
    at_s: tuple[float, ...]
    mhz: tuple[float, ...]

    @property
    def moved(self) -> float:
        """0.1: the highest reading is 10 % above the lowest."""
        return max(self.mhz) / min(self.mhz) - 1

    @property
    def title(self) -> str:
        return f"{self.domain} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """at: local time with zone, ISO 8601. power_mode: of a board. load: averages over 1, 5 and 15 minutes.
    throttled: how often processor or board has throttled since it was switched on. None: the machine does not tell.
    """

    at: str
    power_mode: str | None
    clocks: tuple[ClockNow, ...]
    temperatures_c: dict[str, float]
    available_mib: int | None
    swap_free_mib: int | None
    load: tuple[float, ...]
    throttled: int | None


def read_condition(root: Path = Path("/"), nvml: Nvml | None = None) -> Condition:
    """Reads files, and asks the driver for its GPUs where `nvml` is given; starts nothing."""
    memory = read_memory(root)
    return Condition(
        at=datetime.now().astimezone().isoformat(timespec="seconds"),
        power_mode=read_power(root).mode.value,
        clocks=tuple(_clocks(root, nvml)),
        temperatures_c=dict(_numbered(_temperatures(root, nvml))),
        available_mib=memory.available_mib,
        swap_free_mib=memory.swap_free_mib,
        load=load_averages(),
        throttled=_throttled(root),
    )


class Watch:
    """Looks at the clocks between rounds, and at what other programs take of the processor meanwhile.

    Make it when the rounds begin; call `look` outside all clocks, as often as you like.
    """

    def __init__(
        self, root: Path = Path("/"), nvml: Nvml | None = None, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self._root, self._nvml, self._now = root, nvml, now
        self._begin = self._last = now()
        self._busy, self._own = _busy_s(root), time.process_time()
        self._tracks: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._keep()

    def look(self) -> None:
        if self._now() - self._last >= LEAST_PAUSE_S:
            self._keep()

    def tracks(self) -> tuple[ClockTrack, ...]:
        """Every clock that could be read, in the order of the first reading."""
        return tuple(
            ClockTrack(domain, name, *(tuple(values) for values in zip(*readings, strict=True)))
            for (domain, name), readings in self._tracks.items()
        )

    def other_cores(self) -> float | None:
        """How many cores' worth of work other programs did since the rounds began; None where nobody can say."""
        busy, elapsed_s = _busy_s(self._root), self._now() - self._begin
        if busy is None or self._busy is None or not elapsed_s:
            return None
        own = time.process_time() - self._own
        return round(max(0.0, busy - self._busy - own) / elapsed_s, 2)

    def _keep(self) -> None:
        self._last = self._now()
        for domain in ("CPU", "GPU"):
            clocks = [clock for clock in _clocks(self._root, self._nvml) if clock.domain == domain]
            if len(clocks) > MOST_TRACKS:
                found = {f"highest of {len(clocks)}": max(clock.now_mhz for clock in clocks)}
            else:
                found = {clock.name: clock.now_mhz for clock in clocks}
            for name, mhz in found.items():
                self._tracks.setdefault((domain, name), []).append((round(self._last - self._begin, 3), mhz))


def why_invalid(tracks: Sequence[ClockTrack], *, is_board: bool, on_gpu: bool) -> str | None:
    """In a line, where the clocks that count moved too far: all of a board's, and a GPU's that was measured."""
    counting = [track for track in tracks if is_board or (on_gpu and track.domain == "GPU")]
    moved = max(counting, key=lambda track: track.moved, default=None)
    if moved is None or moved.moved <= MOST_MOVED:
        return None
    lock = "sudo jetson_clocks" if is_board else "sudo nvidia-smi --lock-gpu-clocks"
    return (
        f"{moved.title} moved between {min(moved.mhz):.0f} and {max(moved.mhz):.0f} MHz while it was measured, "
        f"more than {MOST_MOVED:.0%}: lock the clocks ({lock}), see to cooling, and measure again"
    )


def _clocks(root: Path, nvml: Nvml | None) -> Iterator[ClockNow]:
    found = [clock for clock in read_clocks(root) if clock.now_mhz]
    for clock in found:
        assert clock.now_mhz is not None
        yield ClockNow(clock.domain, clock.name, clock.governor.value, clock.now_mhz, clock.low_mhz, clock.high_mhz)
    if not any(clock.domain == "CPU" for clock in found):
        yield from _clocks_of_cpuinfo(root)
    for gpu in nvml.gpus() if nvml else ():
        yield ClockNow("GPU", gpu.name, None, gpu.clock_mhz, None, gpu.most_mhz)


def _clocks_of_cpuinfo(root: Path) -> Iterator[ClockNow]:
    """Where the kernel scales no clock, as in a virtual machine, x86 processors are still asked for theirs."""
    for core, mhz in enumerate(_cpuinfo_mhz(root)):
        yield ClockNow("CPU", f"core {core}", None, mhz, None, None)


def _cpuinfo_mhz(root: Path) -> list[float]:
    text = read_fact(root, "/proc/cpuinfo", str).value or ""
    values = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("cpu MHz")]
    return [float(value) for value in values if value.replace(".", "", 1).isdecimal() and float(value)]


def _temperatures(root: Path, nvml: Nvml | None) -> Iterator[tuple[str, float]]:
    for zone in names_in(root, THERMAL):
        if zone.startswith("thermal_zone"):
            yield from _sensor(root, f"{THERMAL}/{zone}/type", f"{THERMAL}/{zone}/temp")
    for device in names_in(root, HWMON):
        if read_fact(root, f"{HWMON}/{device}/name", one_line).value in CPU_SENSORS:
            yield from _sensor(root, f"{HWMON}/{device}/name", f"{HWMON}/{device}/temp1_input")
    for gpu in nvml.gpus() if nvml else ():
        if gpu.temperature_c is not None:
            yield gpu.name, gpu.temperature_c


def _sensor(root: Path, name: str, value: str) -> Iterator[tuple[str, float]]:
    """A sensor that is switched off cannot be read (EAGAIN), and is left out."""
    title, thousandths = read_fact(root, name, one_line).value, read_number(root, value)
    if title and thousandths is not None:
        yield title, thousandths / 1000


def _numbered(readings: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """A name that comes again gets a number: dictionaries have one place for each."""
    seen: Counter[str] = Counter()
    for name, value in readings:
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), value


def _throttled(root: Path) -> int | None:
    """Over-current events of a Jetson (`oc1_event_cnt`, from L4T 35 on), and a PC's thermal throttling of cores."""
    files = [
        f"{HWMON}/{device}/{name}"
        for device in names_in(root, HWMON)
        for name in names_in(root, f"{HWMON}/{device}")
        if name.startswith("oc") and name.endswith("_event_cnt")
    ]
    files += [f"{CPUS}/{cpu}/thermal_throttle/core_throttle_count" for cpu in names_in(root, CPUS)]
    counts = [count for file in files if (count := read_number(root, file)) is not None]
    return sum(counts) if counts else None


def _busy_s(root: Path) -> float | None:
    """Seconds that all cores together have worked: /proc/stat without idle, waiting for disks, and guests (which
    are counted in `user` already)."""
    words = (read_fact(root, "/proc/stat", str).value or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdecimal() for word in words[1:]):
        return None
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(int, words[1:9])
    return (user + nice + system + interrupts + soft + stolen) / TICKS_PER_SECOND
