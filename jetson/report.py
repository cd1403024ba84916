"""The table that `edgesr-jetson info` shows."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from edgesr.jetson.board import Board
from edgesr.jetson.facts import Fact
from edgesr.jetson.host import Host, Memory
from edgesr.jetson.info import MachineInfo
from edgesr.jetson.power import Clock, Power
from edgesr.jetson.software import OpenCV, PythonPackage, PythonRuntime, Software

__all__ = ["NOT_FOUND", "machine_table", "rows", "rows_of_power", "verdict"]

NOT_FOUND = "not found"
Row = tuple[str, str, str]
"""What it is, its value, where that comes from."""


def verdict(info: MachineInfo) -> str:
    """One line: what this machine is."""
    board = info.board
    if not board.is_jetson and board.compatible_problem:
        return f"Whether this is a Jetson cannot be said. {board.compatible_problem}"
    if not board.is_jetson:
        return "This is no Jetson: no Tegra chip in the device tree, no /etc/nv_tegra_release."
    unnamed = "A Jetson of an unknown kind" if board.compatible else "A Jetson that does not show its device tree"
    name = board.module.name if board.module else board.model.value or unnamed
    jetpack = f"JetPack {board.jetpack.value}" if board.jetpack.value else "JetPack unknown"
    return f"{name}, {jetpack}, L4T {board.l4t.value or 'unknown'}"


def rows(info: MachineInfo) -> list[Row]:
    return [
        *_board_rows(info.board),
        *_host_rows(info.host, info.board),
        *rows_of_power(info.power),
        *_software_rows(info.software, recorded=info.recorded_root is not None),
    ]


def machine_table(info: MachineInfo) -> Table:
    table = Table(title=Text(verdict(info), "bold"), title_justify="left", title_style="", box=None, pad_edge=False)
    if info.recorded_root is not None:
        note = f"A recorded board: the files below {info.recorded_root}. Nothing of this machine is in it."
        table.caption, table.caption_justify = Text(note), "left"
    for heading in ("", "value", "read from"):
        table.add_column(heading, overflow="fold")
    for name, value, source in rows(info):
        missing = value.startswith(NOT_FOUND)
        table.add_row(Text(name, "bold"), Text(value, "dim" if missing else ""), Text(source, "dim"))
    return table


def _row(name: str, fact: Fact) -> Row:
    if fact.value is None:
        return name, f"unknown: {fact.problem}" if fact.problem else NOT_FOUND, fact.source
    return name, f"{fact.value} ({fact.problem})" if fact.problem else fact.value, fact.source


def _board_rows(board: Board) -> Iterator[Row]:
    yield _row("board", board.model)
    if not board.is_jetson:
        return
    yield from _module_rows(board)
    if board.dts_file != Fact():
        yield _row("device tree", board.dts_file)
    yield _row("L4T", board.l4t)
    yield _row("JetPack", board.jetpack)


def _module_rows(board: Board) -> Iterator[Row]:
    names = ", ".join(board.compatible)
    if board.module:
        module = board.module
        unit = f"{module.gpu}, compute capability {module.sm}"
        yield "module", f"{module.name}, {module.number}", names
        yield "GPU", f"{unit}, {module.dla} DLA, {'' if module.encoder else 'no '}video encoder", "boards.json"
        return
    yield "module", f"unknown: {board.compatible_problem or names or 'no device tree'}", ""
    if board.soc:
        unit = f"{board.soc.gpu} of the {board.soc.name} chip, compute capability {board.soc.sm}"
        yield "GPU", unit, f"boards.json, {board.tegra}"
    elif board.tegra:
        yield "GPU", f"unknown: the chip {board.tegra} is not in boards.json", ""


def _host_rows(host: Host, board: Board) -> Iterator[Row]:
    yield _row("system", host.system)
    yield _row("kernel", host.kernel)
    yield _row("CPU", host.cpu)
    yield _cores_row(host)
    yield _memory_row(host.memory)
    if host.gpus or not board.is_jetson:
        yield from (_row("NVIDIA GPU", gpu) for gpu in host.gpus or (Fact(),))
    yield _row("NVIDIA driver", host.driver)


def _cores_row(host: Host) -> Row:
    name, value, source = _row("cores", host.cores_online)
    present = host.cores_present.value
    return name, f"{value} of {present} online" if host.cores_online.value and present else value, source


def _memory_row(memory: Memory) -> Row:
    if memory.total_mib is None:
        return _row("memory", Fact(problem=memory.problem))
    text = f"{memory.total_mib} MiB"
    if memory.available_mib is not None:
        text += f", {memory.available_mib} MiB available"
    if memory.swap_total_mib is not None:
        text += f"; swap {memory.swap_total_mib} MiB"
    return "memory", text, "/proc/meminfo"


def rows_of_power(power: Power) -> Iterator[Row]:
    name, value, source = _row("power mode", power.mode)
    if power.modes and power.mode.value:
        value += "; offered: " + ", ".join(mode.name for mode in power.modes)
    yield name, value, source
    yield from _clock_rows(power.clocks)


def _clock_rows(clocks: tuple[Clock, ...]) -> Iterator[Row]:
    """Clocks that are set alike share a row: a PC has one for each core."""
    if not clocks:
        yield "clocks", NOT_FOUND, ""
    groups: dict[tuple[str, str, bool], list[Clock]] = {}
    for clock in clocks:
        _, setting, _ = _row("", clock.governor)
        if clock.low_mhz is not None and clock.high_mhz is not None:
            setting += f", {clock.low_mhz:.0f} to {clock.high_mhz:.0f} MHz"
        groups.setdefault((clock.domain, setting, clock.is_locked), []).append(clock)
    for (domain, setting, locked), members in groups.items():
        now = sorted({f"{clock.now_mhz:.0f}" for clock in members if clock.now_mhz is not None}, key=int)
        if now:
            setting += f", now {now[0]} MHz" if len(now) == 1 else f", now {now[0]} to {now[-1]} MHz"
        names = ", ".join(clock.name for clock in members)
        yield f"{domain} clock", setting + (", locked" if locked else ""), names


def _software_rows(software: Software, *, recorded: bool) -> Iterator[Row]:
    yield _row("CUDA", software.cuda)
    yield _row("TensorRT", software.tensorrt)
    yield from _python_rows(software.python, recorded=recorded)
    yield from (_package_row(package) for package in software.packages)
    yield from _opencv_rows(software.opencv)


def _python_rows(python: PythonRuntime, *, recorded: bool) -> Iterator[Row]:
    yield _row("Python (the system's)" if recorded else "Python", python.version)
    if python.virtual_environment:
        sees = "sees" if python.sees_system_packages else "does not see"
        yield "environment", f"virtual, {sees} the system's packages", python.virtual_environment


def _package_row(package: PythonPackage) -> Row:
    labels = {"av": "PyAV", "numpy": "NumPy", "onnxruntime": "ONNX Runtime", "pycuda": "PyCUDA", "tensorrt": "TensorRT"}
    name, value, _ = _row(f"Python: {labels.get(package.name, package.name)}", package.version)
    return name, value, ", shadows ".join(package.files)


def _opencv_rows(opencv: OpenCV) -> Iterator[Row]:
    _, value, source = _package_row(opencv.package)
    yield "Python: OpenCV", value, source
    if opencv.package.files:
        yield _row("OpenCV with GStreamer", opencv.gstreamer)
    if opencv.system != Fact():
        yield _row("OpenCV of the system", opencv.system)
