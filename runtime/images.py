"""Single images on disk: read to uint8 BGR whatever they are, written whole or not at all."""

import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from edgesr.runtime.errors import InputError, MissingDependency, MissingFile, OutputFailed, UnreadableImage
from edgesr.runtime.files import replaced
from edgesr.runtime.frame import Pixels
from edgesr.runtime.installed import pip_install
from edgesr.runtime.memory import check_fits

__all__ = ["GREY", "IMAGE_SUFFIXES", "image_files", "opencv", "read_image", "write_image"]

GREY = "grey: taken as three equal channels"
"""What `read_image` notes of a file that is stored grey."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

BYTES_PER_PIXEL = 6  # three bytes as stored and three as BGR, both alive while an image is read


def opencv() -> Any:
    """The cv2 module; raises MissingDependency with the way to get it."""
    try:
        return import_module("cv2")
    except ImportError as error:
        raise MissingDependency(
            f"images, cameras and windows need OpenCV ({error}): {pip_install('opencv')} on a PC, "
            "apt install python3-opencv on a board"
        ) from error


def image_files(folder: Path) -> list[Path]:
    """The images of a folder, by name; raises where there is no folder or no image in it."""
    if not folder.is_dir():
        raise MissingFile(f"{folder} is no folder; expected one with images ({', '.join(IMAGE_SUFFIXES)})")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise InputError(f"{folder} holds no image; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    return files


def _check_header(path: Path, data: bytes) -> None:
    """Look at a PNG or JPEG before it is decoded: is it whole (some OpenCVs fill the rest with grey), does it fit?

    Raises UnreadableImage, FrameTooLarge; other kinds are left to OpenCV.
    """
    size, whole = (0, 0), True
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        size = struct.unpack(">II", data[16:24]) if len(data) >= 24 else (0, 0)
        whole = b"IEND" in data[-64 * 1024 :]  # programs may append a little of their own
    elif data.startswith(b"\xff\xd8\xff"):
        size, scan = _jpeg_size_and_scan(data)
        whole = scan > 0 and data.find(b"\xff\xd9", scan) > 0
    if not whole:
        raise UnreadableImage(f"{path} is cut off: its end is missing; get a whole copy")
    check_fits(size[0] * size[1] * BYTES_PER_PIXEL, f"{path} ({size[0]}x{size[1]})")


def _jpeg_size_and_scan(data: bytes) -> tuple[tuple[int, int], int]:
    """Width and height, and where the first scan begins (0: nowhere): ITU-T T.81, Annex B."""
    size, position = (0, 0), 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xDA:
            return size, position
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            size = width, height
        # 0xFF may be repeated as filling
        position += 1 if marker == 0xFF else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return size, 0


def read_image(path: Path) -> tuple[Pixels, list[str]]:
    """Any image OpenCV reads -> uint8 (H, W, 3) BGR, and what had to be changed, in words.

    Grey becomes three equal channels, 16 bits are rounded to 8, transparency is dropped (the colour below it
    is kept), an EXIF rotation is applied. Raises MissingFile, UnreadableImage, FrameTooLarge.
    """
    cv2 = opencv()
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFile(f"{path} does not exist; expected an image") from error
    except OSError as error:
        raise UnreadableImage(f"{path} cannot be read: {error.strerror}") from error

    _check_header(path, data)

    def decode(flags: int) -> Any:
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our own line says it
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        except (cv2.error, MemoryError) as error:  # OpenCV's own limit: 2^30 pixels
            reason = str(error).strip().splitlines()[-1]
            raise UnreadableImage(f"{path} cannot be decoded: {reason}") from error
        finally:
            cv2.utils.logging.setLogLevel(level)

    stored = decode(cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise UnreadableImage(f"{path} is no image, or a damaged one; expected PNG, JPEG, BMP, TIFF or WebP")
    colour = decode(cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    notes = []
    if stored.ndim == 2:
        notes.append(GREY)
    elif stored.shape[2] == 4:
        notes.append("transparency dropped")
    if colour.dtype == np.uint16:
        notes.append("16 bits a sample: rounded to 8")
        colour = ((colour.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if colour.dtype != np.uint8:
        raise UnreadableImage(f"{path} holds {colour.dtype} samples; expected 8 or 16 bits: convert it first")
    if b"Exif" in data or b"eXIf" in data:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        if not np.array_equal(decode(flags), decode(cv2.IMREAD_COLOR)):
            notes.append("rotated as its EXIF tag says")
    return colour, notes


def write_image(path: Path, pixels: Pixels) -> None:
    """uint8 (H, W, 3) BGR -> a file of the kind its suffix says; JPEG and WebP at quality 95.

    Raises InputError for a suffix OpenCV does not write, OutputFailed where the disk refuses.
    """
    cv2 = opencv()
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path.name}: images are written as {', '.join(IMAGE_SUFFIXES)}")
    settings = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95]}
    settings[".webp"] = [cv2.IMWRITE_WEBP_QUALITY, 95]
    try:
        done, data = cv2.imencode(path.suffix, pixels, settings.get(path.suffix.lower(), []))
    except cv2.error as error:
        raise OutputFailed(f"{path} cannot be encoded: {str(error).strip().splitlines()[-1]}") from error
    if not done:
        raise OutputFailed(f"{path} cannot be encoded as {path.suffix}")
    with replaced(path) as beside:
        beside.write_bytes(data.tobytes())
