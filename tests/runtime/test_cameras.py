"""What cameras grant, from the kernel's structures as bytes; there is no device here."""

import errno
import io
import json
import os
import struct
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from edgesr.runtime.cameras import (
    CAPABILITY,
    ENUMERATE_FORMATS,
    ENUMERATE_INTERVALS,
    ENUMERATE_SIZES,
    FORMAT,
    FRAME_INTERVAL,
    FRAME_SIZE,
    QUERY_CAPABILITY,
    Camera,
    CameraSize,
    _why,
    camera_table,
    cameras_of,
    describe,
    examined,
    users_of,
)

CAPTURE, STREAMING, META, ALL = 0x1, 0x4000000, 0x800000, 0x80000000
MJPG, YUYV = (int.from_bytes(code, "little") for code in (b"MJPG", b"YUYV"))


class FakeDevice:
    """Answers as a kernel does: structures filled in place, EINVAL at the end of a list."""

    def __init__(self, capabilities: int = CAPTURE | STREAMING, *, driver: bytes = b"uvcvideo") -> None:
        self.capability = CAPABILITY.pack(
            driver, b"HD Pro Webcam C920", b"usb-1", 0x50F00, ALL | CAPTURE | STREAMING | META, capabilities
        )
        self.formats = [(b"Motion-JPEG", MJPG), (b"YUYV 4:2:2", YUYV)]
        self.sizes = {MJPG: [(1920, 1080), (640, 480)], YUYV: [(640, 480)]}
        self.intervals = [(1, 30), (1, 24), (1001, 15000)]

    def ioctl(self, file: int, request: int, answer: bytearray) -> None:
        index, code = struct.unpack_from("=II", answer)
        if request == QUERY_CAPABILITY:
            answer[:] = self.capability
        elif request == ENUMERATE_FORMATS and index < len(self.formats):
            assert code == 1  # the kind of queue that is asked for
            description, found = self.formats[index]
            answer[:] = FORMAT.pack(index, 1, 0, description, found)
        elif request == ENUMERATE_SIZES and index < len(self.sizes[code]):
            answer[:] = FRAME_SIZE.pack(index, code, 1, *self.sizes[code][index], 0, 0, 0, 0)
        elif request == ENUMERATE_INTERVALS and index < len(self.intervals):
            answer[:] = FRAME_INTERVAL.pack(index, code, 0, 0, 1, *self.intervals[index], 0, 0, 0, 0)
        else:
            raise OSError(errno.EINVAL, "Invalid argument")


def test_formats_sizes_and_rates_are_listed() -> None:
    camera = describe(3, "camera:0", "/dev/video0", FakeDevice().ioctl)
    assert camera is not None and (camera.name, camera.driver) == ("HD Pro Webcam C920", "uvcvideo")
    assert [(kind.code, [str(size) for size in kind.sizes]) for kind in camera.formats] == [
        ("MJPG", ["1920x1080", "640x480"]),
        ("YUYV", ["640x480"]),
    ]
    assert camera.formats[0].sizes[0].rates == (Fraction(30), Fraction(24), Fraction(15000, 1001))


def test_structures_are_as_large_as_the_kernel_s() -> None:
    """The size is part of a request's number; those of linux/videodev2.h on x86-64 and aarch64."""
    numbers = (QUERY_CAPABILITY, ENUMERATE_FORMATS, ENUMERATE_SIZES, ENUMERATE_INTERVALS)
    assert [hex(number) for number in numbers] == ["0x80685600", "0xc0405602", "0xc02c564a", "0xc034564b"]


def test_a_metadata_node_gives_no_pictures() -> None:
    assert describe(3, "camera:1", "/dev/video1", FakeDevice(META | STREAMING).ioctl) is None


def test_a_range_of_sizes_and_rates_is_told_by_its_ends() -> None:
    class Stepwise(FakeDevice):
        def ioctl(self, file: int, request: int, answer: bytearray) -> None:
            index, code = struct.unpack_from("=II", answer)
            if request == ENUMERATE_SIZES and not index:
                answer[:] = FRAME_SIZE.pack(0, code, 3, 32, 4096, 2, 24, 2160, 2)
            elif request == ENUMERATE_INTERVALS and not index:
                answer[:] = FRAME_INTERVAL.pack(0, code, 0, 0, 3, 1, 60, 1, 5, 1, 1)
            else:
                super().ioctl(file, request, answer)

    camera = describe(3, "camera:0", "/dev/video0", Stepwise().ioctl)
    assert camera is not None
    (size,) = camera.formats[0].sizes
    assert str(size) == "32x24 to 4096x2160" and size.rates_text == "5 to 60"
    assert size.holds(1280, 720) and not size.holds(5000, 720)


def test_a_list_that_never_ends_and_numbers_that_mean_nothing_do_no_harm() -> None:
    class Odd(FakeDevice):
        def ioctl(self, file: int, request: int, answer: bytearray) -> None:
            if request == QUERY_CAPABILITY:
                answer[:] = self.capability
            elif request == ENUMERATE_FORMATS:
                answer[:] = FORMAT.pack(0, 1, 0, b"\xff\xfe" * 16, 0x00FF01)
                answer[0] = 0
            elif request == ENUMERATE_INTERVALS:
                answer[:] = FRAME_INTERVAL.pack(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
            else:
                raise OSError(errno.ENOTTY, "no such list")

    camera = describe(3, "camera:0", "/dev/video0", Odd().ioctl)
    assert camera is not None and 0 < len(camera.formats) <= 256
    json.dumps(camera.to_dict())
    Console(file=io.StringIO()).print(camera_table([camera]))


def test_what_is_no_device_is_left_out_and_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "video0").write_bytes(b"")
    (tmp_path / "dev" / "video10").symlink_to("nowhere")
    (tmp_path / "dev" / "video2").mkdir()
    found = cameras_of(tmp_path)
    assert [Path(camera.path).name for camera in found] == ["video2", "video10"]
    assert all(camera.problem for camera in found)


def test_a_machine_without_cameras_has_an_empty_list(tmp_path: Path) -> None:
    assert cameras_of(tmp_path) == []


def test_a_file_that_is_no_device_is_no_camera() -> None:
    assert examined(Path("/dev/null")) is None


def test_who_uses_a_device_is_seen(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.write_bytes(b"")
    other = tmp_path / "proc" / "4000000"
    (other / "fd").mkdir(parents=True)
    (other / "comm").write_text("cheese\n")
    (other / "fd" / "5").symlink_to(device)
    assert users_of(device, tmp_path / "proc") == ["cheese (4000000)"]
    assert users_of(tmp_path, tmp_path / "proc") == []


def test_the_table_shows_every_format_and_every_problem() -> None:
    camera = describe(3, "camera:0", "/dev/video0", FakeDevice().ioctl)
    assert camera is not None
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(camera_table([camera, Camera("camera:2", "/dev/video2", problem="no permission")]))
    text = console.export_text()
    for expected in ("camera:0", "C920", "MJPG", "1920x1080", "30, 24, 14.99", "YUYV", "camera:2", "no permission"):
        assert expected in text


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, "usermod -aG video"),
        (errno.EBUSY, "is in use: close what uses it"),
        (errno.ENODEV, "plug the camera in again"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_each_refusal_of_the_kernel_has_its_line(number: int, says: str) -> None:
    assert says in _why(OSError(number, os.strerror(number)), "/dev/video97")


@pytest.mark.parametrize(("width", "height", "granted"), [(640, 480, True), (640, 481, False), (320, 240, False)])
def test_a_discrete_size_is_itself_only(width: int, height: int, granted: bool) -> None:
    assert CameraSize(640, 480).holds(width, height) is granted
