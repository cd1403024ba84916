"""Streams from real servers on loopback: colours, ages, losses, and what is refused."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.servers import (
    MJPEGServer,
    RTSPServer,
    UDPSender,
    ball_launch,
    file_launch,
    grey,
    jpeg,
    last_of,
    mjpeg_launch,
    opened,
    some,
    wait_until,
    write_mp4,
)
from tests.runtime.videos import colour_bars, inside_bars

from edgesr.runtime.errors import SourceFailed
from edgesr.runtime.sources import Reconnection, open_source
from edgesr.runtime.sources.base import ColourTags

TAGS = [ColourTags(matrix, full, matrix, matrix) for matrix in (1, 6) for full in (False, True)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    wait_until(lambda: set(threading.enumerate()) <= before)


def shift(pixels: np.ndarray) -> int:
    """The largest distance from the colour bars, inside them."""
    return int(np.abs(inside_bars(pixels).astype(int) - inside_bars(colour_bars())).max())


@pytest.mark.parametrize("tags", TAGS, ids=str)
def test_colours_come_unshifted_by_rtsp(tags: ColourTags, tmp_path: Path) -> None:
    write_mp4(tmp_path / "bars.mp4", colour_bars(), tags)
    with RTSPServer(file_launch(tmp_path / "bars.mp4")) as server, opened(server.uri) as source:
        assert source.info.colour == tags and source.info.live and source.info.notes == []
        for frame in some(source, 2):
            assert shift(frame.pixels) <= 2


@pytest.mark.parametrize("tags", TAGS[1:3], ids=str)
def test_colours_come_unshifted_by_udp(tags: ColourTags) -> None:
    lossless = {"qp": "0", "preset": "ultrafast", "tune": "zerolatency", "g": "5"}
    with UDPSender(lambda _: colour_bars(), tags=tags, options=lossless) as sender, opened(sender.uri) as source:
        assert source.info.colour == tags
        for frame in some(source, 2):
            assert shift(frame.pixels) <= 2


def test_mjpeg_comes_by_http_without_delay() -> None:
    with MJPEGServer([jpeg(grey(200, 64, 48))]) as server, open_source(server.uri, frames=10) as source:
        assert (source.info.width, source.info.height, source.info.frame_rate) == (64, 48, None)
        frames = [(frame.index, int(frame.pixels.mean()), frame.time_s, frame.captured_ns) for frame in source]
    assert [index for index, *_ in frames] == list(range(10))
    assert {level for _, level, *_ in frames} <= set(range(198, 203))
    assert 0 == frames[0][2] < (frames[-1][2] or 0)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("launch", [ball_launch(), mjpeg_launch()], ids=["h264", "mjpeg"])
def test_rtsp_comes_by_both_transports(transport: str, launch: str) -> None:
    with RTSPServer(launch) as server, opened(f"{server.uri}#transport={transport}") as source:
        for index, frame in enumerate(some(source, 10)):
            assert frame.index == index
            assert frame.captured_ns < frame.decoded_ns < time.perf_counter_ns()
        assert not source.drops


def test_a_frame_is_not_said_to_be_younger_than_it_is() -> None:
    """FFmpeg gives a picture of MPEG-TS out when the next one begins: the time of arrival must be of its own bytes."""
    with UDPSender(lambda index: grey(40 + 10 * (index % 20)), fps=10) as sender, opened(sender.uri) as source:
        ages_ns = []
        for frame in some(source, 12):
            number = round((float(frame.pixels.mean()) - 40) / 10)
            sent_ns = [at for index, at in enumerate(list(sender.sent_ns)) if index % 20 == number][-1]
            ages_ns.append(frame.captured_ns - sent_ns)
    assert 0 < np.median(ages_ns) < 50e6  # a frame lasts 100 ms


def test_a_reader_that_is_slow_gets_young_frames() -> None:
    with RTSPServer(ball_launch(fps=60)) as server, opened(server.uri) as source:
        ages_s = []
        for frame in some(source, 25):
            ages_s.append((time.perf_counter_ns() - frame.captured_ns) / 1e9)
            time.sleep(0.1)
        assert max(ages_s) < 1.5  # half a second of packets, and the next keyframe a quarter later
        assert source.drops["decoder too slow"] + source.drops["newer came"] > 25
        assert frame.index >= 50


def test_pictures_that_are_broken_are_skipped_and_counted() -> None:
    good = jpeg(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    broken = [b"\xff\xd8" + bytes(500), good[: len(good) // 2], b"no picture"]
    with MJPEGServer([good, *broken]) as server, opened(server.uri) as source:
        first = source.read()
        assert first is not None
        expected = first.pixels.copy()
        for frame in some(source, 8):
            np.testing.assert_array_equal(frame.pixels, expected)
        assert source.drops["corrupt"] >= 21 and frame.index >= 29


@pytest.mark.parametrize("on_resize", ["refuse", "rescale"])
def test_another_size_underway_is_refused_or_rescaled(on_resize: str) -> None:
    if on_resize == "rescale":
        pytest.importorskip("cv2")
    pictures = [jpeg(grey(90, 64, 48)), jpeg(grey(90, 128, 96))]
    settings = Reconnection(on_resize=on_resize)
    with MJPEGServer(pictures) as server, open_source(server.uri, reconnection=settings) as source:
        if on_resize == "refuse":
            with pytest.raises(SourceFailed, match="it began with"):
                last_of(source, 5)
        else:
            assert len({frame.pixels.shape for frame in some(source, 6)}) == 1
