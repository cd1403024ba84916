"""Cameras at USB, by OpenCV's V4L2: `camera:0` or `/dev/video0`, `camera:0?width=1280&height=720&fps=30&format=mjpeg`.

What is asked for is checked against what the camera grants, before and after it is opened.
"""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Event, Lock
from time import monotonic, perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.cameras import CSI_DRIVER, Camera, CameraFormat, cameras_of, examined, users_of
from edgesr.runtime.errors import InputError, MissingFile, SourceFailed
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.images import opencv
from edgesr.runtime.sources.base import Source, StreamInfo
from edgesr.runtime.sources.part import WHOLE, Part
from edgesr.runtime.sources.uri import at_least, one_of, options

__all__ = ["CameraSource", "Wanted", "open_camera"]

MJPEG = "MJPG"
RAW = ("YUYV", "UYVY", "YVYU", "NV12", "YU12", "BGR3", "RGB3", "GREY")
"""What OpenCV makes BGR of, the likely ones first. It takes all YUV for BT.601, which is what USB cameras send."""

BUFFERS = 3  # one is with us; a driver that has two fills one while the other waits, and misses no frame
WAIT_S = 0.1  # until an interrupt is noticed
FIRST_FRAME_S = 10.0
SELECT_TIMEOUT = (
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"  # in seconds; 10 unless it is set before the first grab of a process
)
JPEG_TAIL = 4096
STAMP_LIMIT_NS = 10_000_000_000  # a stamp that lies farther back is of another clock

OPTIONS: dict[str, Callable[[str], object]] = {
    "width": at_least(1),
    "height": at_least(1),
    "fps": at_least(1, Fraction),
    "format": one_of("mjpeg", "raw"),
    "size": one_of("exact", "nearest"),
}
EXAMPLE = "camera:0?width=1280&height=720&fps=30&format=mjpeg"


@dataclass(frozen=True)
class Wanted:
    """What is asked of a camera; None: what it is set to. format: "mjpeg", "raw", or None: MJPEG where it has it.

    size: what happens where width and height are not granted. "exact": refused; "nearest": the camera's own is taken.
    """

    width: int | None = None
    height: int | None = None
    fps: Fraction | None = None
    format: str | None = None
    size: str = "exact"

    def __post_init__(self) -> None:
        if (self.width is None) != (self.height is None):
            raise InputError(f"a camera's width and height belong together; expected such as {EXAMPLE}")

    @property
    def asks_size(self) -> bool:
        return self.width is not None


WHATEVER = Wanted()


class CameraSource(Source):
    """The frames of a V4L2 device; one that is older than the next is dropped before it is decoded.

    `captured_ns` is the driver's own stamp where that is of the monotonic clock, as USB cameras' are.
    One frame is waited for when the source is made. Raises InputError for what the camera does not grant, and for
    one that is not there, in use or not permitted; SourceFailed where it gives no frame.
    """

    def __init__(self, path: Path, title: str, wanted: Wanted = WHATEVER, part: Part = WHOLE) -> None:
        part.refuse_times(title)
        self._path, self._title, self._wanted, self._limit = path, title, wanted, part.frames
        self._interrupted, self._using = Event(), Lock()
        self._index = self._given = 0
        self._memory: Pixels | None = None
        self.drops = self._drops = dict[str, int]()
        self._cv2 = opencv()
        chosen = _chosen(_asked(path, title), wanted, title)
        self._is_jpeg = chosen.code == MJPEG
        os.environ.setdefault(SELECT_TIMEOUT, "1")
        self._capture = self._cv2.VideoCapture(str(path), self._cv2.CAP_V4L2)
        try:
            if not self._capture.isOpened():
                raise InputError(_refused(path, title))
            self._arrivals = _poll_of(path)
            notes = self._set(chosen)
            self._wait_for_first()
            self.info = StreamInfo(
                title=title,
                width=self._shape[1],
                height=self._shape[0],
                frame_rate=self._rate(notes),
                live=True,
                notes=notes,
            )
            self._check_size(notes)
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        while self._given != self._limit:
            with self._using:
                if self._interrupted.is_set():
                    break
                if (frame := self._next()) is not None:
                    return frame
        return None

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        """Waits for a read in another thread: OpenCV must not be let go while it grabs."""
        self._interrupted.set()
        with self._using:
            self._capture.release()

    def _next(self) -> Frame | None:
        """The newest frame; None where none came for a while, and for a damaged one."""
        if not self._has_frame(WAIT_S):
            return None
        self._grab()
        while self._arrivals is not None and self._has_frame(0):
            self._drop("newer came")
            self._grab()
        captured_ns = self._captured_ns()
        pixels = self._retrieved()
        if pixels is None:
            self._drop("corrupt")
            return None
        if pixels.shape != self._shape:
            raise SourceFailed(f"{self._title} changed from {self._size_text} to {pixels.shape[1]}x{pixels.shape[0]}")
        frame = Frame(pixels, self._index, captured_ns, decoded_ns=perf_counter_ns())
        self._index += 1
        self._given += 1
        return frame

    @property
    def _size_text(self) -> str:
        return f"{self._shape[1]}x{self._shape[0]}"

    def _set(self, chosen: CameraFormat) -> list[str]:
        """Ask for what is wanted; what is granted is seen later, except for the format. Returns notes."""
        cv2, wanted = self._cv2, self._wanted
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*chosen.code))
        if wanted.asks_size:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.width)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.height)
        if wanted.fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, float(wanted.fps))
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, BUFFERS)
        self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0 if self._is_jpeg else 1)
        granted = int(self._capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True).decode("latin-1")
        if granted != chosen.code:
            raise InputError(f"{self._title} was asked for {chosen.code} and gives {granted}; choose another format")
        return [f"format {chosen.code}"]

    def _wait_for_first(self) -> None:
        """Some cameras need seconds; the first grab starts the stream, and so shows whether it can be started."""
        end = monotonic() + FIRST_FRAME_S
        while monotonic() < end:
            if self._capture.grab() and (pixels := self._retrieved()) is not None:
                self._shape = pixels.shape
                return
            if not self._path.exists():
                break
        raise SourceFailed(
            f"{self._title} is open and gave no frame in {FIRST_FRAME_S:g} s; plug it in again, at another port, or ask "
            "for a smaller size"
        )

    def _check_size(self, notes: list[str]) -> None:
        wanted = self._wanted
        if not wanted.asks_size or (wanted.height, wanted.width) == self._shape[:2]:
            return
        if wanted.size == "exact":
            raise InputError(
                f"{self._title} was asked for {wanted.width}x{wanted.height} and gives {self._size_text}; ask for that, or add "
                "size=nearest"
            )
        notes.append(f"asked for {wanted.width}x{wanted.height}: the camera gives {self._size_text}")

    def _rate(self, notes: list[str]) -> Fraction | None:
        told = self._capture.get(self._cv2.CAP_PROP_FPS)
        rate = Fraction(told).limit_denominator(1001) if told > 0 else None
        asked = self._wanted.fps
        if asked is not None and (rate is None or abs(rate - asked) > asked / 100):
            notes.append(f"asked for {float(asked):g} frames a second: the camera grants {told:g}")
        return rate

    def _has_frame(self, wait_s: float) -> bool:
        """Has one arrived, or is the camera gone? Always true where OpenCV's file was not found."""
        return self._arrivals is None or bool(self._arrivals.poll(wait_s * 1000))

    def _grab(self) -> None:
        if not self._capture.grab():
            gone = "was unplugged" if not self._path.exists() else "gives no more frames"
            raise SourceFailed(f"{self._title} {gone}")

    def _retrieved(self) -> Pixels | None:
        """What was grabbed, as BGR; None where it cannot be decoded.

        JPEGs are decoded here: where one is damaged, OpenCV's capture gives the picture before it once more and tells nothing.
        """
        try:
            good, self._memory = self._capture.retrieve(self._memory)
            if not good or self._memory is None:
                return None
            if not self._is_jpeg:
                return self._memory
            data = self._memory.reshape(-1)
            if not _is_whole_jpeg(data):
                return None
            flags = self._cv2.IMREAD_COLOR | self._cv2.IMREAD_IGNORE_ORIENTATION
            pixels: Pixels | None = self._cv2.imdecode(data, flags)
        except self._cv2.error:
            return None
        return pixels

    def _captured_ns(self) -> int:
        now = perf_counter_ns()
        stamp = int(self._capture.get(self._cv2.CAP_PROP_POS_MSEC) * 1e6)
        return stamp if 0 <= now - stamp < STAMP_LIMIT_NS else now

    def _drop(self, reason: str) -> None:
        self._drops[reason] = self._drops.get(reason, 0) + 1
        self._index += 1


def open_camera(target: str, part: Part) -> Source:
    """`0`, `/dev/video0` or another device's path, each with its options behind a `?`."""
    device, _, query = target.partition("?")
    number = device.isascii() and device.isdigit()
    path = Path(f"/dev/video{int(device)}" if number else device)
    title = f"camera:{int(device)}" if number else device
    if not device:
        raise InputError(f"camera: names no camera; expected such as {EXAMPLE}, or see edgesr-run --list-cameras")
    return CameraSource(path, title, Wanted(**options(query, OPTIONS, title)), part)


def _asked(path: Path, title: str) -> Camera:
    """What the device says of itself. Raises InputError for one that cannot be used."""
    if not path.exists():
        others = ", ".join(camera.uri for camera in cameras_of()) or "none is connected"
        raise MissingFile(f"{title}: there is no {path}; cameras here: {others}")
    camera = examined(path)
    if camera is None:
        raise InputError(f"{title}: {path} gives no pictures; edgesr-run --list-cameras shows what does")
    if camera.problem:
        raise InputError(f"{title}: {camera.problem}")
    return camera


def _refused(path: Path, title: str) -> str:
    """Why OpenCV did not open a device that the kernel does open: most likely another program has its stream."""
    users = users_of(path)
    by = f"it is in use by {', '.join(users)}" if users else "it is most likely in use by another program"
    return f"{title} cannot be opened: {by}; close that first"


def _chosen(camera: Camera, wanted: Wanted, title: str) -> CameraFormat:
    """The format to ask for. Raises InputError for a format or a size that the camera does not list."""
    if camera.driver == CSI_DRIVER:
        raise InputError(f"{title} is a CSI sensor, which gives raw Bayer pictures here; open it as csi://0")
    codes = {"mjpeg": (MJPEG,), "raw": RAW, None: (MJPEG, *RAW)}[wanted.format]
    offered = {kind.code: kind for kind in camera.formats}
    chosen = next((offered[code] for code in codes if code in offered), None)
    if chosen is None:
        raise InputError(
            f"{title} offers {', '.join(offered) or 'no format'}; expected {MJPEG} (format=mjpeg) or one of "
            f"{', '.join(RAW)} (format=raw)"
        )
    if wanted.asks_size and wanted.size == "exact" and chosen.sizes:
        assert wanted.width is not None and wanted.height is not None
        if not any(size.holds(wanted.width, wanted.height) for size in chosen.sizes):
            raise InputError(
                f"{title} does not grant {wanted.width}x{wanted.height} in {chosen.code}; it grants "
                f"{', '.join(map(str, chosen.sizes))}: ask for one of them, or add size=nearest"
            )
    return chosen


def _is_whole_jpeg(data: NDArray[np.uint8]) -> bool:
    """Does it begin and end as a JPEG does? Some cameras add zeros behind the end."""
    if data[:2].tobytes() != b"\xff\xd8":
        return False
    return data[-JPEG_TAIL:].tobytes().rstrip(b"\0").endswith(b"\xff\xd9")


def _poll_of(path: Path) -> "select.poll | None":
    """What tells whether a frame waits, from the file that OpenCV opened and does not tell; None where it is not found."""
    device = path.stat()
    for entry in os.scandir("/proc/self/fd"):
        try:
            opened = entry.stat()
        except OSError:  # the listing's own file
            continue
        if (opened.st_dev, opened.st_ino) == (device.st_dev, device.st_ino):
            arrivals = select.poll()
            arrivals.register(int(entry.name), select.POLLIN)
            return arrivals
    return None
