"""What a machine shows at one moment: loads, clocks, temperatures, power, memory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

__all__ = ["TOTAL_RAILS", "Sample"]

TOTAL_RAILS = ("VDD_IN", "VIN", "POM_5V_IN")
"""Rails that feed the others: the module's input (Orin NX and Nano, Xavier NX), the board's (Thor), the Nano's."""


@dataclass(frozen=True)
class Sample:
    """None and empty mean that this machine, or this way of asking, does not tell.

    `at_ns` is time.perf_counter_ns(), the clock that frames are stamped with. Loads are percent. In `cpu_load` and
    `cpu_mhz` each entry is a core (of `cpu_mhz` from sysfs: a cluster with one clock); None is a core that is off.
    """

    at_ns: int
    gpu_load: float | None = None
    gpu_mhz: tuple[float, ...] = ()
    """One entry for each part of the GPU that has a clock of its own; 0 where it is switched off."""
    cpu_load: tuple[float | None, ...] = ()
    cpu_mhz: tuple[float | None, ...] = ()
    memory_load: float | None = None
    """Of the memory's bandwidth (EMC), not of its size."""
    memory_mhz: float | None = None
    temperatures: Mapping[str, float] = field(default_factory=dict)
    """°C, by the sensor's name in lower case: cpu, gpu, tj."""
    rails_mw: Mapping[str, float] = field(default_factory=dict)
    """Milliwatts at this moment, by the rail's name. A rail without load may read a little below zero."""
    ram_used_mib: int | None = None
    ram_total_mib: int | None = None
    swap_used_mib: int | None = None
    swap_total_mib: int | None = None
    fan_pwm: int | None = None
    """0 to 255, as it is set; how fast the fan turns only its tachometer knows."""
    throttle_events: int | None = None
    """Since the machine started: over-current events of a board, thermal throttling of a PC. Only its growth tells."""

    @property
    def total_mw(self) -> float | None:
        """All that is measured: the rail that feeds the others where there is one, else their sum."""
        for name in TOTAL_RAILS:
            if name in self.rails_mw:
                return self.rails_mw[name]
        return sum(self.rails_mw.values()) if self.rails_mw else None

    @property
    def hottest(self) -> float | None:
        return max(self.temperatures.values(), default=None)

    @property
    def fastest_gpu_mhz(self) -> float | None:
        """Of the parts that run: None where all are switched off, since there is nothing to compare then."""
        return max((clock for clock in self.gpu_mhz if clock), default=None)

    @property
    def fastest_cpu_mhz(self) -> float | None:
        return max((clock for clock in self.cpu_mhz if clock), default=None)

    @property
    def mean_cpu_load(self) -> float | None:
        """Over the cores that are on."""
        loads = [load for load in self.cpu_load if load is not None]
        return sum(loads) / len(loads) if loads else None

    def filled_by(self, other: "Sample") -> "Sample":
        """This sample, with what it does not tell taken from `other`."""
        missing = {
            one.name: getattr(other, one.name) for one in fields(self) if getattr(self, one.name) in (None, (), {})
        }
        return replace(self, **missing)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
