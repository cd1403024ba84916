from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.jetson.facts import Fact
from edgesr.jetson.host import (
    Memory,
    parse_cores,
    parse_cpu,
    parse_driver,
    parse_gpu,
    parse_meminfo,
    parse_os,
    read_host,
)

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n', "Ubuntu 22.04.5 LTS"),
        ("PRETTY_NAME='Debian 12'\n", "Debian 12"),
        ("PRETTY_NAME=Arch\n", "Arch"),
    ],
)
def test_system(text: str, name: str) -> None:
    assert parse_os(text) == name


@pytest.mark.parametrize("damaged", ["", "NAME=x", 'PRETTY_NAME=""\n', 'PRETTY_NAME="unclosed\n'])
def test_damaged_system_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match=r"PRETTY_NAME|closing quotation|one line"):
        parse_os(damaged)


def arm(maker: str, part: str) -> str:
    return f"processor\t: 0\nmodel name\t: ARMv8 Processor rev 0 (v8l)\nCPU implementer\t: {maker}\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part}\n\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n", "AMD EPYC"),
        (arm("0x4e", "0x004") * 2, "NVIDIA Carmel"),
        (arm("0x41", "0xd42"), "Cortex-A78AE"),
        (arm("0x41", "0xd07") + arm("0x4e", "0x003"), "Cortex-A57 + NVIDIA Denver 2"),
        (arm("0x41", "0xfff"), "unknown ARM core 0x41:0xfff"),
    ],
)
def test_processor(text: str, name: str) -> None:
    assert parse_cpu(text) == name


def test_damaged_processor_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 'model name'"):
        parse_cpu("processor : 0\n")


@pytest.mark.parametrize(("text", "count"), [("0-5\n", "6"), ("0", "1"), ("0-3,6", "5"), ("0-1,4-7,9", "7")])
def test_cores(text: str, count: str) -> None:
    assert parse_cores(text) == count


@pytest.mark.parametrize("damaged", ["", "0-", "a-b", "0,,1"])
def test_damaged_cores_are_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_cores(damaged)


def test_memory_is_in_mib() -> None:
    text = "MemTotal:        7802880 kB\nMemAvailable:    5242880 kB\nSwapTotal:       3901440 kB\nSwapFree:        2390016 kB\n"
    assert parse_meminfo(text) == Memory(7620, 5120, 3810, 2334)


def test_memory_without_swap_lines() -> None:
    assert parse_meminfo("MemTotal: 2048 kB\n") == Memory(2, None, None, None)


def test_damaged_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a line 'MemTotal"):
        parse_meminfo("MemTotal: lots\n")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  (buildbrain)", "540.4.0"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build", "570.86.15"),
    ],
)
def test_driver(line: str, version: str) -> None:
    assert parse_driver(line + "\nGCC version: 13\n") == version


def test_damaged_driver_and_gpu_are_refused() -> None:
    with pytest.raises(ValueError, match="NVRM"):
        parse_driver("GCC version: 13\n")
    with pytest.raises(ValueError, match="Model"):
        parse_gpu("IRQ: 16\n")


def test_empty_machine_has_nothing(tmp_path: Path) -> None:
    host = read_host(tmp_path)
    assert {host.system, host.kernel, host.cpu, host.cores_online, host.cores_present, host.driver} == {Fact()}
    assert (host.memory, host.gpus) == (Memory(), ())


def test_damaged_files_are_said(tmp_path: Path, write: Write) -> None:
    write("/proc/meminfo", "\0")
    write("/proc/driver/nvidia/gpus/0000:01:00.0/information", "\0")
    write("/proc/driver/nvidia/gpus/0000:02:00.0/information", "Model: \t\t NVIDIA GeForce RTX 5090\nIRQ: 16\n")
    host = read_host(tmp_path)
    assert host.memory.problem.startswith("/proc/meminfo: expected a line 'MemTotal")
    assert [gpu.value for gpu in host.gpus] == [None, "NVIDIA GeForce RTX 5090"]
    assert "expected a line 'Model" in host.gpus[0].problem


def test_folder_in_place_of_meminfo_is_said(tmp_path: Path, write: Write) -> None:
    write("/proc/meminfo/oops", "")
    assert read_host(tmp_path).memory.problem == "/proc/meminfo: not a regular file"


def test_second_place_of_os_release_is_read(tmp_path: Path, write: Write) -> None:
    write("/usr/lib/os-release", 'PRETTY_NAME="Ubuntu 24.04 LTS"\n')
    assert read_host(tmp_path).system == Fact("Ubuntu 24.04 LTS", "/usr/lib/os-release")


def test_this_machine_is_read() -> None:
    host = read_host(Path("/"))
    assert host.kernel.value
    assert host.memory.total_mib is not None
    assert int(host.cores_online.value or 0) >= 1
