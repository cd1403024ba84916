"""Colours of video files, both ways."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.runtime.videos import (
    TAGS,
    WEIGHTS,
    colour_bars,
    copy,
    grey_frames,
    inside_bars,
    planes_by_formula,
    write_video,
    yuv_frame,
)

from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import ColourTags, StreamInfo, open_source


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
def test_colour_bars_come_back_within_two_code_values(
    matrix: int, full: bool, pixel_format: str, tmp_path: Path
) -> None:
    frame = yuv_frame(planes_by_formula(colour_bars(), matrix, full), pixel_format)
    tags = {"colorspace": matrix, "color_range": 2 if full else 1, "color_primaries": 1, "color_trc": 1}
    write_video(tmp_path / "bars.mkv", [frame], tags=tags)
    with open_source(str(tmp_path / "bars.mkv")) as source:
        assert source.info.colour == ColourTags(matrix, full, 1, 1)
        assert source.info.notes == []
        read = next(iter(source)).pixels
    error = np.abs(read.astype(int) - colour_bars())
    assert inside_bars(error).max() <= 2, f"errors per bar: {inside_bars(error).max(axis=(0, 2, 3))}"


@pytest.mark.parametrize(("height", "matrix", "name"), [(32, 6, "BT.601"), (720, 1, "BT.709")])
def test_an_untagged_video_is_taken_by_its_height_and_that_is_said(
    height: int, matrix: int, name: str, tmp_path: Path
) -> None:
    bars = np.repeat(colour_bars()[:1], height, 0)
    write_video(tmp_path / "bars.mp4", [yuv_frame(planes_by_formula(bars, matrix, False), "yuv444p")])
    with open_source(str(tmp_path / "bars.mp4")) as source:
        assert source.info.notes == [f"no colour matrix is tagged: {name} assumed for {height} lines"]
        assert source.info.colour == ColourTags(matrix, False, 2, 2)
        assert np.abs(next(iter(source)).pixels.astype(int) - bars).max() <= 2


def test_ten_bits_are_rounded_to_eight_and_that_is_said(tmp_path: Path) -> None:
    frame = yuv_frame(planes_by_formula(colour_bars(), 1, False, bits=10), "yuv420p10le")
    write_video(tmp_path / "bars.mkv", [frame], codec="ffv1", tags=TAGS, options={})
    with open_source(str(tmp_path / "bars.mkv")) as source:
        assert source.info.notes == ["10 bits a sample: rounded to 8"]
        assert inside_bars(np.abs(next(iter(source)).pixels.astype(int) - colour_bars())).max() <= 2


@pytest.mark.parametrize(("color_range", "value"), [(1, round((20 - 16) * 255 / 219)), (2, 20), (0, 20)])
def test_grey_video_is_read_as_three_equal_channels(color_range: int, value: int, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", grey_frames(1), codec="ffv1", options={}, tags={"color_range": color_range})
    with open_source(str(tmp_path / "a.mkv")) as source:
        assert np.all(next(iter(source)).pixels == value)
        assert source.info.notes == []


def test_rgb_video_is_read_as_it_is(tmp_path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(colour_bars(), "bgr24").reformat(format="bgr0")
    write_video(tmp_path / "bars.mkv", [frame], codec="ffv1", options={})
    with open_source(str(tmp_path / "bars.mkv")) as source:
        np.testing.assert_array_equal(next(iter(source)).pixels, colour_bars())
        assert source.info.colour is not None and source.info.colour.matrix == 1


def test_chroma_is_where_the_stream_says(tmp_path: Path) -> None:
    """H.264's chroma lies on the left luma column of its pair; half a pixel aside, a ramp would be off by a step."""
    ramp = np.tile(np.arange(32) * 4.0 + 64, (16, 1))
    frame = yuv_frame([np.full((16, 32), 110.0), np.full((16, 32), 128.0), ramp], "yuv420p")
    write_video(tmp_path / "ramp.mp4", [frame], tags=TAGS)
    with open_source(str(tmp_path / "ramp.mp4")) as source:
        red = next(iter(source)).pixels[8, 6:26, 2].astype(float)
    expected = (110 - 16) * 255 / 219 + 1.5748 * (ramp[8, 6:26] - 128) * 255 / 224
    assert abs(float(np.mean(red - expected))) < 1.0  # half a pixel is 3.6


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
def test_what_is_written_is_yuv_of_the_tagged_matrix(matrix: int, full: bool, tmp_path: Path) -> None:
    info = StreamInfo(title="bars", frame_rate=Fraction(25), colour=ColourTags(matrix, full, 9, 14))
    with open_sink(str(tmp_path / "bars.mkv"), info) as sink:
        sink.write(Frame(colour_bars(), 0, 0))
    with av.open(str(tmp_path / "bars.mkv")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_range) == (matrix, 2 if full else 1)
        assert (codec.color_primaries, codec.color_trc) == (9, 14)
        frame = next(container.decode(video=0))
        for plane, values in zip(frame.planes, planes_by_formula(colour_bars(), matrix, full), strict=True):
            rows = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]
            step = values.shape[0] // plane.height
            error = np.abs(inside_bars(rows) - inside_bars(values[::step, ::step]))
            assert error.mean() < 1.0 and error.max() <= 4  # H.264 at crf 16 is not lossless


def test_frames_that_never_were_yuv_are_written_as_bt709(tmp_path: Path) -> None:
    copy("pattern:natural?size=32x16&frames=2", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_range, codec.color_primaries, codec.color_trc) == (1, 1, 1, 1)
