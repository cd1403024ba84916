"""Power mode and clocks as they stand. Nothing is set and nvpmodel is not called: it wants root for some modes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgesr.jetson.facts import Fact, names_in, one_line, read_fact, read_number, read_text

__all__ = ["Clock", "Power", "PowerMode", "parse_modes", "parse_status", "read_clocks", "read_power"]

CONF = "/etc/nvpmodel.conf"
STATUS = "/var/lib/nvpmodel/status"
CPUFREQ = "/sys/devices/system/cpu/cpufreq"
DEVFREQ = "/sys/class/devfreq"

GPU_CLOCK = re.compile(r"gpu|ga10b|gv11b|gp10b|gm20b")
"""The GPU among devfreq's devices: 17000000.gpu (L4T 36), 17000000.ga10b (35, Orin), 17000000.gv11b (Xavier),
gpu-gpc-0 (Thor)."""


@dataclass(frozen=True)
class PowerMode:
    number: int
    name: str


@dataclass(frozen=True)
class Clock:
    """One frequency domain. Where `low_mhz` equals `high_mhz` the clock is locked, as jetson_clocks leaves it."""

    domain: str
    """`CPU` or `GPU`."""
    name: str
    """What the kernel calls it: policy0 (a cluster of cores), 17000000.gpu."""
    governor: Fact
    now_mhz: float | None
    low_mhz: float | None
    high_mhz: float | None

    @property
    def is_locked(self) -> bool:
        return self.low_mhz is not None and self.low_mhz == self.high_mhz


@dataclass(frozen=True)
class Power:
    """`mode` is the current one by name; `modes` what nvpmodel.conf offers, `default` its number at first boot."""

    mode: Fact
    number: int | None
    default: int | None
    modes: tuple[PowerMode, ...]
    clocks: tuple[Clock, ...]


def parse_modes(text: str) -> tuple[tuple[PowerMode, ...], int | None]:
    """Modes and the default's number, from nvpmodel.conf. Raises ValueError where it defines none."""
    lines = [line.strip() for line in text.splitlines()]
    found = [re.fullmatch(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", line) for line in lines]
    default = [re.fullmatch(r"<\s*PM_CONFIG\s+DEFAULT=(\d+)\s*>", line) for line in lines]
    modes = tuple(PowerMode(int(mode[1]), mode[2]) for mode in found if mode)
    if not modes:
        raise ValueError(f"expected lines '< POWER_MODEL ID=... NAME=... >', found {text[:60]!r}")
    return modes, next((int(line[1]) for line in default if line), None)


def parse_status(text: str) -> int:
    """`pmode:0002 fmode:quiet` gives 2; L4T 36 and later leave the fan out."""
    found = re.match(r"pmode:(\d+)(?:\s|$)", text)
    if found is None:
        raise ValueError(f"expected a line such as pmode:0002, found {text[:60]!r}")
    return int(found[1])


def read_power(root: Path) -> Power:
    modes: tuple[PowerMode, ...] = ()
    default: int | None = None
    problem = ""
    try:
        text = read_text(root, CONF)
        if text is not None:
            modes, default = parse_modes(text)
    except OSError as error:
        problem = f"{CONF}: {error.strerror}"
    except ValueError as error:
        problem = f"{CONF}: {error}"
    status = read_fact(root, STATUS, lambda text: str(parse_status(text)))
    number = default if status == Fact() else int(status.value) if status.value else None
    return Power(_mode(number, status, modes, problem), number, default, modes, read_clocks(root))


def _mode(number: int | None, status: Fact, modes: tuple[PowerMode, ...], problem: str) -> Fact:
    """Without a status file nvpmodel has never been asked for another mode: the default applies."""
    problem = problem or status.problem
    if number is None:
        return Fact(None, status.source, problem)
    source = status.source or f"{CONF}, its default: there is no {STATUS}"
    name = next((mode.name for mode in modes if mode.number == number), None)
    if name is None:
        return Fact(f"mode {number}", source, problem or f"{CONF} names no mode {number}")
    return Fact(name, source, problem)


def read_clocks(root: Path) -> tuple[Clock, ...]:
    """One clock for each cluster of CPU cores, then the GPU's. Empty where the kernel scales none (virtual machines)."""
    return (*_cpu_clocks(root), *_gpu_clocks(root))


def _cpu_clocks(root: Path) -> Iterator[Clock]:
    for policy in names_in(root, CPUFREQ):
        if re.fullmatch(r"policy\d+", policy):
            folder = f"{CPUFREQ}/{policy}"
            names = ("scaling_governor", "scaling_cur_freq", "scaling_min_freq", "scaling_max_freq")
            yield _clock(root, "CPU", policy, *(f"{folder}/{name}" for name in names), per_mhz=1000)


def _gpu_clocks(root: Path) -> Iterator[Clock]:
    for device in names_in(root, DEVFREQ):
        if GPU_CLOCK.search(device):
            folder = f"{DEVFREQ}/{device}"
            names = ("governor", "cur_freq", "min_freq", "max_freq")
            yield _clock(root, "GPU", device, *(f"{folder}/{name}" for name in names), per_mhz=1_000_000)


def _clock(root: Path, domain: str, name: str, governor: str, now: str, low: str, high: str, *, per_mhz: int) -> Clock:
    """The kernel counts kHz for CPUs (cpufreq) and Hz for all others (devfreq)."""
    readings = (read_number(root, path) for path in (now, low, high))
    mhz = (None if reading is None else reading / per_mhz for reading in readings)
    return Clock(domain, name, read_fact(root, governor, one_line), *mhz)
