"""Rotation, odd sizes and oblong pixels of video files."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.runtime.videos import (
    TAGS,
    colour_bars,
    copy,
    grey_frames,
    planes_by_formula,
    write_video,
    yuv_frame,
)

from edgesr.runtime.errors import InputError, UnreadableVideo
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo, open_source

MATRICES = {"90° clockwise": (0, 1, -1, 0, 3), "180°": (-1, 0, 0, -1, 2), "90° counter": (0, -1, 1, 0, 1)}


def with_display_matrix(file: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write it into the track header: ISO/IEC 14496-12, 8.3.2, version 0."""
    data = bytearray(file.read_bytes())
    place = data.find(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    file.write_bytes(data)


@pytest.mark.parametrize("turn", MATRICES)
def test_a_rotated_video_stands_upright_and_that_is_said(turn: str, tmp_path: Path) -> None:
    file = write_video(
        tmp_path / "a.mp4", [yuv_frame(planes_by_formula(colour_bars(), 1, False), "yuv444p")], tags=TAGS
    )
    with open_source(str(file)) as source:
        stored = next(iter(source)).pixels.copy()
    *matrix, turns = MATRICES[turn]
    with_display_matrix(file, tuple(matrix))
    with open_source(str(file)) as source:
        upright = next(iter(source)).pixels
        assert (source.info.height, source.info.width) == upright.shape[:2]
        np.testing.assert_array_equal(upright, np.rot90(stored, turns))
        assert source.info.notes[0].startswith(f"turned by {turn}")


def test_a_mirrored_video_is_mirrored_and_a_slanted_one_refused(tmp_path: Path) -> None:
    file = write_video(
        tmp_path / "a.mp4", [yuv_frame(planes_by_formula(colour_bars(), 1, False), "yuv444p")], tags=TAGS
    )
    with_display_matrix(file, (-1, 0, 0, 1))
    with open_source(str(file)) as source:
        assert np.abs(next(iter(source)).pixels.astype(int) - colour_bars()[:, ::-1]).max() <= 2
        assert source.info.notes == ["mirrored as its display matrix says"]
    with_display_matrix(file, (1, 1, -1, 1))
    with pytest.raises(UnreadableVideo, match="slant"):
        open_source(str(file))


def test_odd_sizes_are_read_and_padded_when_written(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)[:63, :79]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "bgr24").reformat(format="yuv420p")
    write_video(tmp_path / "odd.mkv", [frame], codec="ffv1", tags=TAGS, options={})
    with open_source(str(tmp_path / "odd.mkv")) as source, open_sink(str(tmp_path / "out.mp4"), source.info) as sink:
        frame = next(iter(source))
        assert frame.pixels.shape == (63, 79, 3)
        sink.write(frame)
    assert sink.notes[0].startswith("79x63 padded to 80x64")
    with open_source(str(tmp_path / "out.mp4")) as source:
        padded = next(iter(source)).pixels.astype(int)
    assert padded.shape == (64, 80, 3)
    assert np.abs(padded[:, 79] - padded[:, 78]).mean() < 8 and np.abs(padded[:63, :79] - frame.pixels).mean() < 12


def test_pixels_that_are_not_square_stay_so_and_that_is_said(tmp_path: Path) -> None:
    frames = grey_frames(3)
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        for frame in frames:
            output.mux(stream.encode(frame.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    info, _ = copy(tmp_path / "a.mp4", tmp_path / "out.mp4")
    assert info.pixel_aspect == Fraction(16, 15)
    assert "pixels are 16:15, not square: kept as they are" in info.notes
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert source.info.pixel_aspect == Fraction(16, 15)


def test_frames_of_another_size_are_refused_by_a_video(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.mp4"), StreamInfo(title="folder", frame_rate=Fraction(25)))
    with pytest.raises(InputError, match="frame 1 is 18x16, the first was 16x16"), sink:
        for index, width in enumerate((16, 18)):
            sink.write(Frame(np.zeros((16, width, 3), np.uint8), index, 0))
    assert list(tmp_path.iterdir()) == []
