"""What every Linux machine tells of itself: system, kernel, processor, memory, NVIDIA GPUs on the bus."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from edgesr.jetson.facts import Fact, first, names_in, one_line, read_fact, read_text
from edgesr.jetson.known import known

__all__ = ["Host", "Memory", "parse_cpu", "parse_driver", "parse_meminfo", "parse_os", "read_host", "read_memory"]

CPUS = "/sys/devices/system/cpu"
GPUS = "/proc/driver/nvidia/gpus"
MEMINFO = "/proc/meminfo"


@dataclass(frozen=True)
class Memory:
    """MiB; None where /proc/meminfo does not say. A Jetson's memory serves CPU and GPU, its swap is mostly zram."""

    total_mib: int | None = None
    available_mib: int | None = None
    swap_total_mib: int | None = None
    swap_free_mib: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class Host:
    system: Fact
    kernel: Fact
    cpu: Fact
    cores_online: Fact
    """A power mode may switch cores off: compare with `cores_present`."""
    cores_present: Fact
    memory: Memory
    gpus: tuple[Fact, ...]
    """Names that NVIDIA's driver gives; empty on a Jetson, whose GPU is part of the module."""
    driver: Fact


def parse_os(text: str) -> str:
    """PRETTY_NAME of os-release, a file of shell assignments."""
    found = re.search(r"^PRETTY_NAME=(.+)$", text, re.MULTILINE)
    words = shlex.split(found[1]) if found else []
    if not words:
        raise ValueError('expected a line PRETTY_NAME="..."')
    return one_line(" ".join(words))


def parse_cpu(text: str) -> str:
    """The processor's name; ARM kernels give numbers of maker and core instead, which boards.json translates."""
    named = re.search(r"^model name\s*:[ \t]*(.+)$", text, re.MULTILINE)
    arm = re.findall(r"^CPU implementer\s*:\s*(0x\w+)\n(?:.*\n){0,4}?CPU part\s*:\s*(0x\w+)", text, re.MULTILINE)
    cores = dict.fromkeys(f"{maker}:{part}" for maker, part in arm)
    if cores:
        return " + ".join(known().arm_cores.get(core, f"unknown ARM core {core}") for core in cores)
    if named is None:
        raise ValueError("expected 'model name' or 'CPU implementer' and 'CPU part'")
    return one_line(named[1])


def parse_cores(text: str) -> str:
    """`0-3,6` gives 5."""
    spans = [re.fullmatch(r"(\d+)(?:-(\d+))?", span) for span in one_line(text).split(",")]
    if not all(spans):
        raise ValueError(f"expected a list such as 0-5, found {text[:60]!r}")
    return str(sum(int(span[2] or span[1]) - int(span[1]) + 1 for span in spans if span))


def parse_meminfo(text: str) -> Memory:
    mib = {name: int(kib) // 1024 for name, kib in re.findall(r"^(\w+):\s*(\d+) kB$", text, re.MULTILINE)}
    if "MemTotal" not in mib:
        raise ValueError(f"expected a line 'MemTotal: ... kB', found {text[:60]!r}")
    return Memory(mib["MemTotal"], mib.get("MemAvailable"), mib.get("SwapTotal"), mib.get("SwapFree"))


def parse_driver(text: str) -> str:
    """`NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build ...` gives 540.4.0."""
    found = re.search(r"^NVRM version:.*?Kernel Module(?: for \S+)?\s+(\S+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"expected a line 'NVRM version: ... Kernel Module ...', found {text[:60]!r}")
    return found[1]


def parse_gpu(text: str) -> str:
    found = re.search(r"^Model:[ \t]*(.+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"expected a line 'Model: ...', found {text[:60]!r}")
    return one_line(found[1])


def read_memory(root: Path) -> Memory:
    try:
        text = read_text(root, MEMINFO)
        return Memory() if text is None else parse_meminfo(text)
    except OSError as error:
        return Memory(problem=f"{MEMINFO}: {error.strerror}")
    except ValueError as error:
        return Memory(problem=f"{MEMINFO}: {error}")


def read_host(root: Path) -> Host:
    return Host(
        system=first(read_fact(root, path, parse_os) for path in ("/etc/os-release", "/usr/lib/os-release")),
        kernel=read_fact(root, "/proc/sys/kernel/osrelease", one_line),
        cpu=read_fact(root, "/proc/cpuinfo", parse_cpu),
        cores_online=read_fact(root, f"{CPUS}/online", parse_cores),
        cores_present=read_fact(root, f"{CPUS}/present", parse_cores),
        memory=read_memory(root),
        gpus=tuple(read_fact(root, f"{GPUS}/{address}/information", parse_gpu) for address in names_in(root, GPUS)),
        driver=read_fact(root, "/proc/driver/nvidia/version", parse_driver),
    )
