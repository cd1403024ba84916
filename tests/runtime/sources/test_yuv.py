"""The conversion of decoded pictures: into one array, whatever the lines of FFmpeg's memory are."""

import tracemalloc

import av
import numpy as np
import pytest

from edgesr.runtime.sources.base import ColourTags
from edgesr.runtime.sources.yuv import BGRFromYUV

BT709_LIMITED = ColourTags(1, False, 1, 1)


def picture(width: int, height: int, pixel_format: str, seed: int = 0) -> av.VideoFrame:
    bgr = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format=pixel_format)


@pytest.mark.parametrize("width", [64, 50, 33, 2, 1])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj422p", "yuv444p", "nv12", "gray", "bgr24"])
def test_padded_lines_are_read_as_they_are_meant(width: int, pixel_format: str) -> None:
    frame = picture(width, 20, pixel_format)
    convert = BGRFromYUV(frame, BT709_LIMITED, "h264")
    by_pyav = convert._scale(frame).to_ndarray()  # a new array, line by line
    expected = by_pyav if pixel_format != "gray" else np.clip(np.round((by_pyav - 16.0) * 255 / 219), 0, 255)
    np.testing.assert_array_equal(convert(frame), expected)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "gray"])
def test_no_array_is_made_for_a_picture(pixel_format: str) -> None:
    frames = [picture(320, 180, pixel_format, seed) for seed in range(3)]
    convert = BGRFromYUV(frames[0], BT709_LIMITED, "h264")
    first = convert(frames[0])
    tracemalloc.start()
    try:
        for _ in range(5):
            results = [convert(frame) for frame in frames]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 320 * 180 and all(result is first for result in results)
