"""The cameras of this machine, and what they grant: asked of the kernel itself (V4L2), without a picture being taken.

The numbers and structures are those of linux/videodev2.h, the same on every 64-bit Linux.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from rich.table import Table

__all__ = [
    "CSI_DRIVER",
    "Camera",
    "CameraFormat",
    "CameraSize",
    "Ioctl",
    "camera_table",
    "cameras_of",
    "describe",
    "examined",
    "users_of",
]

Ioctl: TypeAlias = Callable[[int, int, bytearray], object]
"""(file, request, structure that is filled) as fcntl.ioctl; raises OSError."""

CSI_DRIVER = "tegra-video"
"""A Jetson's CSI sensors: their nodes give raw Bayer pictures only, the pictures proper come by Argus (csi://)."""

CAPTURE, STREAMING, DEVICE_CAPS = 0x1, 0x4000000, 0x80000000  # V4L2_CAP_*
CAPTURE_TYPE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
DISCRETE = 1  # of sizes and of intervals; what is not discrete is a range
MOST = 256  # entries of one list: a driver that never ends it must not hold us

CAPABILITY = struct.Struct("=16s32s32sIII12x")
FORMAT = struct.Struct("=III32sI16x")
FRAME_SIZE = struct.Struct("=III6I8x")
FRAME_INTERVAL = struct.Struct("=IIIII6I8x")


def _request(number: int, size: int, *, write: bool = True) -> int:
    """_IOWR('V', number, size) of the kernel's ioctl.h, or _IOR."""
    return (3 if write else 2) << 30 | size << 16 | ord("V") << 8 | number


QUERY_CAPABILITY = _request(0, CAPABILITY.size, write=False)
ENUMERATE_FORMATS = _request(2, FORMAT.size)
ENUMERATE_SIZES = _request(74, FRAME_SIZE.size)
ENUMERATE_INTERVALS = _request(75, FRAME_INTERVAL.size)


@dataclass(frozen=True)
class CameraSize:
    """A frame size that is granted, or every size from `least` up to it.

    rates: frames a second, highest first; two ends where `any_rate` between them is granted; empty where none is told.
    """

    width: int
    height: int
    rates: tuple[Fraction, ...] = ()
    any_rate: bool = False
    least: tuple[int, int] | None = None

    def __str__(self) -> str:
        return (
            f"{self.width}x{self.height}"
            if self.least is None
            else (f"{self.least[0]}x{self.least[1]} to {self.width}x{self.height}")
        )

    def holds(self, width: int, height: int) -> bool:
        least_width, least_height = self.least or (self.width, self.height)
        return least_width <= width <= self.width and least_height <= height <= self.height

    @property
    def rates_text(self) -> str:
        values = [f"{float(rate):.4g}" for rate in self.rates]
        return " to ".join(reversed(values)) if self.any_rate else ", ".join(values)


@dataclass(frozen=True)
class CameraFormat:
    """code: four letters, as V4L2 calls it ("MJPG", "YUYV"); description: the driver's words."""

    code: str
    description: str
    sizes: tuple[CameraSize, ...] = ()


@dataclass(frozen=True)
class Camera:
    """uri: what edgesr-run takes as a source. problem: why it cannot be asked, or not be used, in words; "" else."""

    uri: str
    path: str
    name: str = ""
    driver: str = ""
    formats: tuple[CameraFormat, ...] = ()
    problem: str = ""

    def to_dict(self) -> dict[str, object]:
        """JSON-ready; rates as numbers."""
        values = asdict(self)
        for kind in values["formats"]:
            for size in kind["sizes"]:
                size["rates"] = [float(rate) for rate in size["rates"]]
        return values


def cameras_of(root: Path = Path("/")) -> list[Camera]:
    """Every device that gives pictures, by number, and a Jetson's CSI sensors as csi:// in the same order.

    A device that cannot be asked is told with its problem; the second node that many USB cameras have for their
    metadata is left out. root: where dev/ lies.
    """
    nodes = sorted((root / "dev").glob("video*"), key=lambda node: (len(node.name), node.name))
    found: list[Camera] = []
    sensors = 0
    for node in nodes:
        camera = examined(node)
        if camera is None:
            continue
        if camera.driver == CSI_DRIVER:
            found.append(
                Camera(f"csi://{sensors}", camera.path, camera.name, camera.driver, camera.formats, camera.problem)
            )
            sensors += 1
        else:
            found.append(camera)
    return found


def examined(node: Path) -> Camera | None:
    """What `describe` says of a node, or why it cannot be asked; None where it gives no pictures."""
    uri = f"camera:{node.name.removeprefix('video')}" if node.parent == Path("/dev") else f"camera:{node}"
    try:
        file = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Camera(uri, str(node), problem=_why(error, node))
    try:
        return describe(file, uri, str(node))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):  # no V4L2 device, whatever its name
            return None
        return Camera(uri, str(node), problem=_why(error, node))
    finally:
        os.close(file)


def describe(file: int, uri: str, path: str, ioctl: Ioctl = fcntl.ioctl) -> Camera | None:
    """What an open device grants; None where it gives no pictures. Raises OSError."""
    answer = bytearray(CAPABILITY.size)
    ioctl(file, QUERY_CAPABILITY, answer)
    driver, name, _bus, _version, all_nodes, this_node = CAPABILITY.unpack(answer)
    capabilities = this_node if all_nodes & DEVICE_CAPS else all_nodes
    if not (capabilities & CAPTURE and capabilities & STREAMING):
        return None
    formats = tuple(_formats(file, ioctl))
    return Camera(uri, path, _text(name), _text(driver), formats)


def _why(error: OSError, path: Path | str) -> str:
    """Why a device cannot be opened or asked, and what to do."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to use {path}: sudo usermod -aG video $USER, then log in again"
    if error.errno == errno.EBUSY:
        users = users_of(path)
        by = f" by {', '.join(users)}" if users else ""
        return f"{path} is in use{by}: close what uses it"
    if error.errno in (errno.ENODEV, errno.ENXIO, errno.EIO):
        return f"{path} does not answer ({error.strerror}): plug the camera in again"
    return f"{path} cannot be used: {error.strerror}"


def users_of(path: Path | str, root: Path = Path("/proc")) -> list[str]:
    """Other programs that hold a device open, as `name (number)`; only one's own where one is not root."""
    target = os.path.realpath(path)
    users = []
    for process in sorted(root.glob("[0-9]*"), key=lambda process: int(process.name)):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(link) == target for link in (process / "fd").iterdir()):
                users.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:  # another user's, or gone meanwhile
            continue
    return users


def camera_table(cameras: list[Camera]) -> Table:
    """One row for each format and size."""
    table = Table("source", "camera", "format", "size", "frames a second")
    if not cameras:
        table.caption = "no camera is connected, or none that the kernel knows"
    for camera in cameras:
        name = f"{camera.name} [{camera.driver}]" if camera.name else camera.path
        rows = [(kind.code, str(size), size.rates_text) for kind in camera.formats for size in kind.sizes] or [
            (kind.code, "not told", "") for kind in camera.formats
        ]
        if camera.problem or not rows:
            rows = [("", camera.problem or "no format is offered", ""), *rows]
        for number, row in enumerate(rows):
            table.add_row(*(("", "") if number else (camera.uri, name)), *row, end_section=number == len(rows) - 1)
    return table


def _formats(file: int, ioctl: Ioctl) -> Iterator[CameraFormat]:
    for answer in _listed(file, ENUMERATE_FORMATS, FORMAT, (CAPTURE_TYPE,), ioctl):
        _index, _type, _flags, description, code = FORMAT.unpack(answer)
        yield CameraFormat(_letters(code), _text(description), tuple(_sizes(file, code, ioctl)))


def _sizes(file: int, code: int, ioctl: Ioctl) -> Iterator[CameraSize]:
    for answer in _listed(file, ENUMERATE_SIZES, FRAME_SIZE, (code,), ioctl):
        _index, _code, kind, *numbers = FRAME_SIZE.unpack(answer)
        if kind == DISCRETE:
            width, height, least = numbers[0], numbers[1], None
        else:  # min, max and step of the width, then of the height
            width, height, least = numbers[1], numbers[4], (numbers[0], numbers[3])
        rates, any_rate = _rates(file, code, width, height, ioctl)
        yield CameraSize(width, height, rates, any_rate, least)
        if kind != DISCRETE:
            return


def _rates(file: int, code: int, width: int, height: int, ioctl: Ioctl) -> tuple[tuple[Fraction, ...], bool]:
    """Rates, highest first, and whether all between the first and the last are granted."""
    found = set[Fraction]()
    for answer in _listed(file, ENUMERATE_INTERVALS, FRAME_INTERVAL, (code, width, height), ioctl):
        *_asked, kind, above, below, last_above, last_below, _step_above, _step_below = FRAME_INTERVAL.unpack(answer)
        ends = [(above, below)] if kind == DISCRETE else [(above, below), (last_above, last_below)]
        found |= {Fraction(b, a) for a, b in ends if a and b}  # an interval is the inverse of a rate
        if kind != DISCRETE:
            return tuple(sorted(found, reverse=True)), True
    return tuple(sorted(found, reverse=True)), False


def _listed(
    file: int, request: int, layout: struct.Struct, asked: tuple[int, ...], ioctl: Ioctl
) -> Iterator[bytearray]:
    """The entries of a list, until the driver says that there are no more."""
    for index in range(MOST):
        answer = bytearray(layout.size)
        struct.pack_into(f"={1 + len(asked)}I", answer, 0, index, *asked)
        try:
            ioctl(file, request, answer)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):  # the end; or the driver has no such list
                return
            raise
        yield answer


def _letters(code: int) -> str:
    """A format's code as its four letters; what is no letter becomes a dot."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in code.to_bytes(4, "little")).strip()


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace").strip()
