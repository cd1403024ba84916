"""Images: read to BGR whatever they are, or refused in one line."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from edgesr.runtime.errors import FrameTooLarge, InputError, MissingFile, UnreadableImage
from edgesr.runtime.images import image_files, read_image, write_image

cv2 = pytest.importorskip("cv2")


def picture(width: int = 24, height: int = 16) -> np.ndarray:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
def test_what_is_written_without_loss_is_read_the_same(suffix: str, tmp_path: Path) -> None:
    write_image(tmp_path / f"a{suffix}", picture())
    pixels, notes = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(pixels, picture())
    assert notes == []


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_what_is_written_with_loss_is_read_nearly_the_same(suffix: str, tmp_path: Path) -> None:
    write_image(tmp_path / f"a{suffix}", picture())
    assert np.abs(read_image(tmp_path / f"a{suffix}")[0].astype(int) - picture()).mean() < 8


def test_a_single_pixel_is_an_image(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.array([[[1, 2, 3]]], np.uint8))
    assert read_image(tmp_path / "a.png")[0].tolist() == [[[1, 2, 3]]]


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(12, dtype=np.uint8).reshape(3, 4))
    pixels, notes = read_image(tmp_path / "a.png")
    assert pixels.shape == (3, 4, 3) and np.all(pixels == np.arange(12).reshape(3, 4, 1))
    assert notes == ["grey: taken as three equal channels"]


def test_transparency_is_dropped_and_the_colour_below_it_kept(tmp_path: Path) -> None:
    stored = np.dstack([picture(), np.zeros((16, 24), np.uint8)])
    cv2.imwrite(str(tmp_path / "a.png"), stored)
    pixels, notes = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels, picture())
    assert notes == ["transparency dropped"]


def test_16_bits_are_rounded_to_8(tmp_path: Path) -> None:
    samples = np.array([[0, 128, 129, 257, 385, 386, 65535, 65406]], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([samples] * 3))
    pixels, notes = read_image(tmp_path / "a.png")
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 1, 1, 2, 255, 254]
    assert notes == ["16 bits a sample: rounded to 8"]


def with_exif_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Put an APP1 segment with that tag (0x0112) behind the start marker."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    body = b"Exif\0\0" + b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_an_exif_rotation_is_applied_and_said(orientation: int, turns: int, tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", picture())
    upright = read_image(tmp_path / "a.jpg")[0]
    (tmp_path / "b.jpg").write_bytes(with_exif_orientation((tmp_path / "a.jpg").read_bytes(), orientation))
    pixels, notes = read_image(tmp_path / "b.jpg")
    np.testing.assert_array_equal(pixels, np.rot90(upright, turns))
    assert notes == ["rotated as its EXIF tag says"]


def test_an_exif_tag_that_turns_nothing_is_not_mentioned(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", picture())
    (tmp_path / "b.jpg").write_bytes(with_exif_orientation((tmp_path / "a.jpg").read_bytes(), 1))
    assert read_image(tmp_path / "b.jpg")[1] == []


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="does not exist"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"])
def test_what_is_no_image_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        read_image(tmp_path / "a.png")
    assert "a.png" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_an_image_that_is_cut_off_is_refused(
    suffix: str, share: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"a{suffix}"
    write_image(file, picture(120, 90))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(UnreadableImage, match="a\\."):
        read_image(file)
    if suffix in (".png", ".jpg"):
        assert capfd.readouterr().err == ""  # found before a decoder could complain on its own


def test_a_jpeg_that_is_cut_off_behind_its_thumbnail_is_refused(tmp_path: Path) -> None:
    """A thumbnail in the EXIF data has an end marker of its own."""
    write_image(tmp_path / "a.jpg", picture(120, 90))
    whole = (tmp_path / "a.jpg").read_bytes()
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(whole[:4000]) + 8) + b"thumb\0" + whole[:3998] + b"\xff\xd9"
    (tmp_path / "b.jpg").write_bytes(whole[:2] + thumbnail + whole[2 : len(whole) // 2])
    with pytest.raises(UnreadableImage, match="cut off"):
        read_image(tmp_path / "b.jpg")


def test_a_jpeg_may_have_something_behind_its_end(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", picture())
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole + b"a phone's trailer")
    np.testing.assert_array_equal(read_image(tmp_path / "b.jpg")[0], read_image(tmp_path / "a.jpg")[0])


def test_an_image_too_large_for_memory_is_refused_by_its_header(tmp_path: Path) -> None:
    head = b"IHDR" + struct.pack(">IIBBBBB", 2_000_000, 1_000_000, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + struct.pack(">I", 0) + b"IEND"
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(FrameTooLarge, match="2000000x1000000"):
        read_image(tmp_path / "a.png")
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 65535, 65535, 3) + bytes(9)
    (tmp_path / "a.jpg").write_bytes(
        b"\xff\xd8" + b"\xff\xdb" + struct.pack(">H", 4) + b"\0\0" + frame + b"\xff\xda" * 5
    )
    with pytest.raises((FrameTooLarge, UnreadableImage)):
        read_image(tmp_path / "a.jpg")


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images are written as"):
        write_image(tmp_path / "a.gif", picture())


def test_a_folder_gives_its_images_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "readme.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in image_files(tmp_path)] == ["a.jpg", "b.PNG"]
    with pytest.raises(MissingFile, match="no folder"):
        image_files(tmp_path / "nowhere")
