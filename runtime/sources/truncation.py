"""Was the end of a video file cut off? Demuxers end such a file as if it were whole; its headers know better."""

from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_bytes"]


def missing_bytes(path: Path) -> int:
    """How many bytes the file lacks of what its own headers announce; 0 where it is whole or says nothing.

    Knows MP4/MOV (boxes), Matroska/WebM (the segment's size) and AVI (RIFF). A transport stream announces nothing.
    """
    have = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] == b"\x1a\x45\xdf\xa3":
            announced = _matroska_end(file)
        elif start[:4] == b"RIFF":
            announced = int.from_bytes(start[4:8], "little") + 8
        elif start[4:8] == b"ftyp":
            announced = _boxes_end(file, have)
        else:
            announced = have
    return max(0, announced - have)


def _boxes_end(file: BinaryIO, have: int) -> int:
    """Where the last box at the top level ends: ISO/IEC 14496-12, 4.2."""
    position = 0
    while position + 8 <= have:
        file.seek(position)
        header = file.read(16)
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size < 8:  # 0: to the end of the file
            return have
        position += size
    return position


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment ends: RFC 8794 (sizes whose bits are all ones are unknown) and RFC 9559."""
    file.seek(4)
    header_size = _vint(file)
    if header_size is None:
        return 0
    file.seek(header_size, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    size = _vint(file)
    return 0 if size is None else file.tell() + size


def _vint(file: BinaryIO) -> int | None:
    """An EBML size of 1 to 8 bytes; None where it is unknown or not there."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    bits = 7 * length
    value = int.from_bytes(first + file.read(length - 1), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
