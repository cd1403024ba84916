"""What the checks look at: all that `edgesr-jetson info` tells, and what only the doctor asks for."""

import grp
import os
import pwd
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgesr.jetson.facts import names_in, one_line, path_below, read_fact, read_number, read_text
from edgesr.jetson.info import MachineInfo, read_machine
from edgesr.jetson.sensors import Sensors, hwmon_chips

__all__ = ["Access", "Argus", "Camera", "Fan", "Findings", "Swap", "parse_swaps", "read_findings"]

VIDEO4LINUX = "/sys/class/video4linux"
ARGUS_DAEMON = "nvargus-daemon"
ARGUS_PROGRAM = "/usr/sbin/nvargus-daemon"
PLUGIN = "gstreamer-1.0/libgstnvarguscamerasrc.so"
PLUGIN_FOLDERS = ("/usr/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu/nvidia")
GPU_NODES = ("/dev/nvmap", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu/igpu0/ctrl", "/dev/nvidiactl", "/dev/nvidia0")


@dataclass(frozen=True)
class Camera:
    """A V4L2 node, by its driver's name: `vi-output, imx219 9-0010` is a CSI sensor, `HD Webcam` one on USB."""

    node: str
    name: str

    @property
    def is_csi(self) -> bool:
        return self.name.startswith("vi-output")


@dataclass(frozen=True)
class Argus:
    """NVIDIA's camera daemon, through which CSI cameras give pictures. `alive` is None where that cannot be seen."""

    installed: bool
    alive: bool | None


@dataclass(frozen=True)
class Fan:
    """`pwm`: 0 to 255, as it is set; `rpm` as it turns. None where the machine does not tell."""

    pwm: int | None
    rpm: int | None


@dataclass(frozen=True)
class Swap:
    """MiB that are free: on a disk, and in compressed memory, which takes from the memory that it is to spare."""

    disk_mib: int = 0
    zram_mib: int = 0


@dataclass(frozen=True)
class Access:
    """`closed`: device nodes that are there, but not for this user, with the group that they belong to. `missing`: nodes
    of cameras that the kernel shows and /dev has not, as in a container."""

    user: str
    is_root: bool
    groups: frozenset[str]
    closed: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """`free_disk_mib` and `access` are None for a recorded board: they would be this machine's."""

    machine: MachineInfo
    cameras: tuple[Camera, ...]
    argus: Argus
    has_camera_plugin: bool
    fan: Fan | None
    hottest: float | None
    throttle_events: int | None
    swap: Swap
    free_disk_mib: int | None
    access: Access | None

    @property
    def is_board(self) -> bool:
        return self.machine.board.is_jetson

    @property
    def has_gpu(self) -> bool:
        return self.is_board or bool(self.machine.host.gpus)

    @property
    def recorded(self) -> bool:
        return self.machine.recorded_root is not None


def parse_swaps(text: str) -> Swap:
    """/proc/swaps: a heading, then file, type, size and used in KiB, priority."""
    rows = [line.split() for line in text.splitlines()[1:] if line.strip()]
    if not all(len(row) >= 5 and row[-3].isdigit() and row[-2].isdigit() for row in rows):
        raise ValueError(f"expected rows 'file type size used priority', found {text[:60]!r}")
    free = [(("zram" in row[0]), (int(row[-3]) - int(row[-2])) // 1024) for row in rows]
    return Swap(sum(mib for zram, mib in free if not zram), sum(mib for zram, mib in free if zram))


def read_findings(root: Path | None = None) -> Findings:
    """Raises MissingRoot where `root` holds no file tree."""
    machine = read_machine(root)
    where = Path("/") if root is None else root.resolve()
    cameras = tuple(_cameras(where))
    sample = Sensors(where).sample()
    plugins = (f"{folder}/{PLUGIN}" for folder in PLUGIN_FOLDERS)
    return Findings(
        machine=machine,
        cameras=cameras,
        argus=Argus(_is_file(where, ARGUS_PROGRAM), _runs(where, ARGUS_DAEMON) if root is None else None),
        has_camera_plugin=any(_is_file(where, plugin) for plugin in plugins),
        fan=_fan(where),
        hottest=sample.hottest,
        throttle_events=sample.throttle_events,
        swap=_swap(where),
        free_disk_mib=_free_mib(Path.cwd()) if root is None else None,
        access=_access([camera.node for camera in cameras]) if root is None else None,
    )


def _cameras(root: Path) -> Iterator[Camera]:
    nodes = [name for name in names_in(root, VIDEO4LINUX) if re.fullmatch(r"video\d+", name)]
    for node in sorted(nodes, key=lambda name: int(name.removeprefix("video"))):
        yield Camera(f"/dev/{node}", read_fact(root, f"{VIDEO4LINUX}/{node}/name", one_line).value or "no name")


def _is_file(root: Path, path: str) -> bool:
    try:
        return path_below(root, path).is_file()
    except OSError:
        return False


def _runs(root: Path, name: str) -> bool:
    """A process of that name, which the kernel cuts to 15 characters."""
    processes = (entry for entry in names_in(root, "/proc") if entry.isdigit())
    return any(read_fact(root, f"/proc/{process}/comm", one_line).value == name[:15] for process in processes)


def _fan(root: Path) -> Fan | None:
    """The fan's chip is `pwmfan`; its tachometer, another chip, has a file `rpm` (L4T) or `fan1_input`."""
    chips = hwmon_chips(root)
    pwm = next((read_number(root, f"{folder}/pwm1") for folder, name in chips if name == "pwmfan"), None)
    turns = (read_number(root, f"{folder}/{file}") for folder, _ in chips for file in ("rpm", "fan1_input"))
    rpm = next((number for number in turns if number is not None), None)
    return None if pwm is None and rpm is None else Fan(pwm, rpm)


def _swap(root: Path) -> Swap:
    try:
        return parse_swaps(read_text(root, "/proc/swaps") or "")
    except (OSError, ValueError):
        return Swap()


def _free_mib(folder: Path) -> int | None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize // 2**20


def _access(cameras: list[str]) -> Access:
    present = [node for node in (*cameras, *GPU_NODES) if os.path.exists(node)]
    return Access(
        user=_user_name(os.geteuid()),
        is_root=os.geteuid() == 0,
        groups=frozenset(_group_name(number) for number in {*os.getgroups(), os.getegid()}),
        closed=tuple((node, _group_of(node)) for node in present if not os.access(node, os.R_OK | os.W_OK)),
        missing=tuple(node for node in cameras if node not in present),
    )


def _group_of(node: str) -> str:
    try:
        return _group_name(os.stat(node).st_gid)
    except OSError:  # unplugged between two looks
        return "nobody"


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container may run a number without a name
        return str(number)


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
