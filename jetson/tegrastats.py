"""NVIDIA's tegrastats: its lines, read, and the program, run. The lines differ by board, release and user:

RAM 1803/7486MB (lfb 8x4MB)         always there; SWAP where there is any
CPU [66%@1510,off]                  a core's load and MHz
EMC_FREQ 1%@2133                    told to root only, as are the clocks after GR3D_FREQ and the video units
GR3D_FREQ 4%@[305,305]              the GPU; also `4%`, `4%@305`; on Thor `@[314,314,314]` without a load, or nothing at all
GR3D2_FREQ 0%@0                     its second half, AGX Orin up to L4T 35
cpu@48C/48C                         temperature, from JetPack 7.2 on with its maximum; -256 is a sensor that sleeps
VDD_IN 4832mW/4832mW/4832mW         now, average, from JetPack 7.2 on the maximum too; up to JetPack 4 without the unit
"""

import re
import subprocess
from collections.abc import Generator
from time import perf_counter_ns

from edgesr.jetson.errors import ProgramFailed
from edgesr.jetson.programs import find_program
from edgesr.jetson.sample import Sample

__all__ = ["parse_tegrastats", "tegrastats_samples"]

ASLEEP = -256.0
"""What a sensor reads whose part of the chip has no power."""

NOT_CONNECTED = "NC"

PATIENCE = 20
"""Lines in a row that are none of tegrastats'."""

RAM = re.compile(r"\bRAM (\d+)/(\d+)MB")
SWAP = re.compile(r"\bSWAP (\d+)/(\d+)MB")
CPU = re.compile(r"\bCPU \[([^\]]*)\]")
CORE = re.compile(r"(\d+)%@(\d+)")
UNIT = r" (?:(\d+)%)?(?:@\[?([\d,]+)\]?)?(?=\s|$)"
GPU, GPU2, EMC = (re.compile(rf"\b{name}{UNIT}") for name in ("GR3D_FREQ", "GR3D2_FREQ", "EMC_FREQ"))
TEMPERATURE = re.compile(r"(?<!\S)(\w+)@(-?\d+(?:\.\d+)?)C(?=[\s/]|$)")
RAIL = re.compile(r"(?<!\S)([A-Za-z]\w*) (-?\d+)(?:mW(?:/-?\d+mW)*|/-?\d+)(?=\s|$)")


def parse_tegrastats(line: str, at_ns: int) -> Sample:
    """Raises ValueError where the line is none of tegrastats'."""
    ram = RAM.search(line)
    if ram is None:
        raise ValueError(f"expected a line of tegrastats, such as 'RAM 1803/7486MB ...', found {line[:60]!r}")
    swap = SWAP.search(line)
    load, clocks = _unit(GPU, line)
    memory_load, memory_clocks = _unit(EMC, line)
    cores = _cores(line)
    return Sample(
        at_ns=at_ns,
        gpu_load=load,
        gpu_mhz=clocks + _unit(GPU2, line)[1],
        cpu_load=tuple(None if core is None else core[0] for core in cores),
        cpu_mhz=tuple(None if core is None else core[1] for core in cores),
        memory_load=memory_load,
        memory_mhz=memory_clocks[0] if memory_clocks else None,
        temperatures={
            name.lower(): float(degrees) for name, degrees in TEMPERATURE.findall(line) if float(degrees) > ASLEEP
        },
        rails_mw={name: float(mw) for name, mw in RAIL.findall(line) if name != NOT_CONNECTED},
        ram_used_mib=int(ram[1]),
        ram_total_mib=int(ram[2]),
        swap_used_mib=int(swap[1]) if swap else None,
        swap_total_mib=int(swap[2]) if swap else None,
    )


def _unit(pattern: re.Pattern[str], line: str) -> tuple[float | None, tuple[float, ...]]:
    """Load and clocks of the GPU or the memory."""
    found = pattern.search(line)
    if found is None:
        return None, ()
    clocks = tuple(float(clock) for clock in (found[2] or "").split(",") if clock)
    return float(found[1]) if found[1] else None, clocks


def _cores(line: str) -> list[tuple[float, float] | None]:
    found = CPU.search(line)
    cores = [CORE.fullmatch(core.strip()) for core in found[1].split(",")] if found else []
    return [(float(core[1]), float(core[2])) if core else None for core in cores]


def tegrastats_samples(interval_s: float) -> Generator[Sample, None, None]:
    """Until the generator is closed, which ends the program. Raises NotHere, ProgramFailed."""
    command = [find_program("tegrastats"), "--interval", str(max(1, round(interval_s * 1000)))]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        assert running.stdout is not None
        strange = [""]
        try:
            for line in running.stdout:
                try:
                    sample = parse_tegrastats(line, perf_counter_ns())
                except ValueError:  # a warning, say
                    strange.append(line.strip())
                    if len(strange) > PATIENCE:
                        break
                    continue
                strange = [""]
                yield sample
            if len(strange) > PATIENCE:
                raise ProgramFailed(
                    f"tegrastats prints nothing that this edgesr understands, lastly {strange[-1][:60]!r}"
                )
            code = running.wait()
            raise ProgramFailed(f"tegrastats ended by itself, with exit code {code} {strange[-1][:200]}".rstrip())
        finally:
            running.terminate()
