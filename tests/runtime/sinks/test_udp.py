"""MPEG-TS over UDP on loopback: what is sent is what is seen, colours included."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import av
import numpy as np
import pytest
from tests.runtime.sinks.live import COLOURS, LIVE, bars_shift, colour_bars, fed, grey

from edgesr.runtime.errors import InputError, OutputFailed
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import ColourTags
from edgesr.runtime.sources.yuv import BGRFromYUV, settled_tags


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def listening(port: int) -> Iterator[Iterator[av.VideoFrame]]:
    options = {"timeout": "15000000", "analyzeduration": "300000", "fifo_size": "50000"}
    with av.open(f"udp://127.0.0.1:{port}", format="mpegts", options=options) as container:
        yield container.decode(video=0)


@pytest.mark.parametrize("tags", COLOURS)
def test_colour_bars_come_back_within_two_code_values(tags: ColourTags, port: int) -> None:
    with (
        open_sink(f"udp://127.0.0.1:{port}", replace(LIVE, colour=tags)) as sink,
        fed(sink, lambda _index: colour_bars()),
        listening(port) as frames,
    ):
        frame = [next(frames) for _ in range(5)][-1]
        assert settled_tags(frame, "bars") == (tags, [])
        assert bars_shift(BGRFromYUV(frame, tags, "h264")(frame)) <= 2


def test_a_viewer_that_comes_late_sees_the_present_and_another_size_goes_on(port: int) -> None:
    def picture(index: int) -> np.ndarray:
        return grey(index) if index < 60 else grey(index, 96, 80)

    with open_sink(f"udp://127.0.0.1:{port}", LIVE) as sink:
        assert sink.notes == ["H.264 is encoded on the CPU (x264)"]
        with fed(sink, picture), listening(port) as frames:
            shown = []
            for frame in frames:
                shown.append((frame.width, frame.height))
                if shown.count((96, 80)) == 3:
                    break
    assert set(shown) == {(64, 48), (96, 80)} and len(shown) > 10


def test_frames_are_sent_whether_somebody_listens_or_not(port: int) -> None:
    with open_sink(f"udp://127.0.0.1:{port}?ttl=1", LIVE) as sink, fed(sink):
        pass
    for again in (sink.close, sink.discard):
        again()


@pytest.mark.parametrize(
    "uri",
    [
        "udp:",
        "udp://",
        "udp://127.0.0.1",
        "udp://:5000",
        "udp://h:99999",
        "udp://h:1/path",
        "udp://h:1?reuse=1",
        "udp://[:5",
    ],
)
def test_what_is_no_address_is_refused_in_one_line(uri: str) -> None:
    with pytest.raises(InputError, match="expected udp://HOST:PORT") as caught:
        open_sink(uri, LIVE)
    assert "\n" not in str(caught.value)


def test_a_host_that_is_unknown_is_refused_in_one_line() -> None:
    with pytest.raises(OutputFailed, match=r"udp://nowhere\.invalid:5000 cannot be opened") as caught:
        open_sink("udp://nowhere.invalid:5000", LIVE)
    assert "\n" not in str(caught.value)
