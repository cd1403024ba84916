"""The live view of a machine's state."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgesr.jetson.errors import NotHere
from edgesr.jetson.programs import find_program
from edgesr.jetson.sample import Sample
from edgesr.jetson.sensors import Sensors
from edgesr.jetson.tegrastats import tegrastats_samples

__all__ = ["BAR", "rows", "samples_of", "sources", "watch_view"]

BAR = 20
"""Characters of a full bar."""

WARM, HOT = 75.0, 85.0  # °C, for the colour only; Orin begins to throttle at 99


def sources() -> str:
    """Where the figures of this machine come from."""
    if _has_tegrastats():
        return "tegrastats, /proc and /sys"
    return "/proc and /sys (tegrastats, which a Jetson has, is not here)"


def samples_of(interval_s: float, sleep: Callable[[float], None] = time.sleep) -> Generator[Sample, None, None]:
    """Without end. tegrastats goes first where it is; what it does not tell (Thor's GPU clock, the fan, over-current
    events) comes from the sensors."""
    sensors = Sensors()
    if _has_tegrastats():
        with closing(tegrastats_samples(interval_s)) as told:
            for sample in told:
                yield sample.filled_by(sensors.sample())
    while True:
        sleep(interval_s)
        yield sensors.sample()


def _has_tegrastats() -> bool:
    try:
        return bool(find_program("tegrastats"))
    except NotHere:
        return False


def watch_view(sample: Sample, title: str, source: str, *, before: Sample | None = None) -> RenderableType:
    """`before`: the first sample; events are told since then."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in rows(sample, before):
        table.add_row(Text(name, "bold"), value)
    return Group(Text(title, "bold"), table, Text(f"from {source}", "dim"))


def rows(sample: Sample, before: Sample | None = None) -> Iterator[tuple[str, Text]]:
    if sample.gpu_load is not None or sample.gpu_mhz:
        yield "GPU", _loaded(sample.gpu_load, _clocks(sample.gpu_mhz))
    for number, load in enumerate(sample.cpu_load):
        clock = sample.cpu_mhz[number : number + 1] if len(sample.cpu_mhz) == len(sample.cpu_load) else ()
        yield (
            f"core {number}",
            _loaded(load, _clocks(clock)) if load is not None or clock != (None,) else Text("off", "dim"),
        )
    if sample.cpu_mhz and len(sample.cpu_mhz) != len(sample.cpu_load):
        yield "CPU clocks", Text(_clocks(sample.cpu_mhz))
    if sample.memory_load is not None:
        clock = () if sample.memory_mhz is None else (sample.memory_mhz,)
        yield "memory bandwidth", _loaded(sample.memory_load, _clocks(clock))
    yield from _memory("memory", sample.ram_used_mib, sample.ram_total_mib)
    yield from _memory("swap", sample.swap_used_mib, sample.swap_total_mib)
    if sample.temperatures:
        yield "temperature", Text(", ").join(_degrees(name, degrees) for name, degrees in sample.temperatures.items())
    if sample.total_mw is not None:
        rails = ", ".join(f"{name} {mw / 1000:.2f}" for name, mw in sample.rails_mw.items())
        yield "power", Text(f"{sample.total_mw / 1000:.2f} W") + Text(f"   {rails}", "dim")
    if sample.fan_pwm is not None:
        yield "fan", _loaded(sample.fan_pwm / 2.55, "")
    if sample.throttle_events is not None and before is not None and before.throttle_events is not None:
        count = sample.throttle_events - before.throttle_events
        yield "throttled", Text(f"{count} times since the start", "bold red" if count else "dim")


def _loaded(load: float | None, clock: str) -> Text:
    if load is None:
        return Text(f"{'load not told':{BAR}}       {clock}")
    full = round(min(100.0, max(0.0, load)) / 100 * BAR)
    return Text("█" * full, "cyan") + Text("░" * (BAR - full), "dim") + Text(f" {load:3.0f} %  {clock}")


def _clocks(clocks: tuple[float | None, ...]) -> str:
    """Halves of a GPU mostly run alike."""
    told = list(dict.fromkeys("off" if not clock else f"{clock:.0f} MHz" for clock in clocks))
    return ", ".join(told)


def _memory(name: str, used: int | None, total: int | None) -> Iterator[tuple[str, Text]]:
    if used is not None and total:
        yield name, _loaded(100 * used / total, f"{used} of {total} MiB")


def _degrees(name: str, degrees: float) -> Text:
    return Text(f"{name} {degrees:.0f} °C", "bold red" if degrees >= HOT else "yellow" if degrees >= WARM else "")
