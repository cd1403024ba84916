"""The live encoder: colours, keyframes, sizes; and frames that are not allocated anew."""

import tracemalloc
from dataclasses import replace

import av
import numpy as np
import pytest
from tests.runtime.sinks.live import COLOURS, LIVE, bars_shift, colour_bars, grey

from edgesr.runtime.errors import MissingDependency
from edgesr.runtime.sinks import encoding
from edgesr.runtime.sinks.encoding import TICK, LiveEncoder
from edgesr.runtime.sources import ColourTags, StreamInfo
from edgesr.runtime.sources.yuv import BGRFromYUV, settled_tags

SECOND = round(1 / TICK)


def decoded(packets: list[bytes]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    return frames + decoder.decode(None)


@pytest.mark.parametrize("tags", COLOURS)
def test_colour_bars_come_back_within_two_code_values(tags: ColourTags) -> None:
    encoder = LiveEncoder(replace(LIVE, colour=tags), [])
    packets = [bytes(encoder.encode(colour_bars(), index * 3000)) for index in range(10)]
    frame = decoded(packets)[-1]
    assert settled_tags(frame, "bars") == (tags, [])
    assert bars_shift(BGRFromYUV(frame, tags, "h264")(frame)) <= 2


def test_every_frame_comes_out_at_once_and_a_keyframe_each_second() -> None:
    encoder = LiveEncoder(LIVE, [])
    packets = [encoder.encode(grey(index), index * SECOND // 10) for index in range(35)]
    assert [index for index, packet in enumerate(packets) if packet.is_keyframe] == [0, 10, 20, 30]
    assert len(decoded([bytes(packet) for packet in packets[10:]])) == 25


def test_a_keyframe_comes_when_it_is_asked_for() -> None:
    encoder = LiveEncoder(LIVE, [])
    packets = [encoder.encode(grey(index), index * 3000, keyframe=index == 4) for index in range(8)]
    assert [packet.is_keyframe for packet in packets] == [index in (0, 4) for index in range(8)]


def test_frames_of_one_moment_follow_each_other() -> None:
    encoder = LiveEncoder(LIVE, [])
    times = [encoder.encode(grey(index), ticks).pts for index, ticks in enumerate([0, 0, 0, 3000, 2000])]
    assert times == sorted(set(times)) and times[3] == 3000


def test_another_size_begins_with_a_keyframe_and_odd_ones_are_padded() -> None:
    notes: list[str] = []
    encoder = LiveEncoder(LIVE, notes)
    sizes = [(64, 48)] * 3 + [(41, 31)] * 3 + [(64, 48)] * 2
    packets = [encoder.encode(grey(index, *size), index * 3000) for index, size in enumerate(sizes)]
    frames = decoded([bytes(packet) for packet in packets])
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 3 + [(42, 32)] * 3 + [(64, 48)] * 2
    padded = frames[5].to_ndarray(format="gray")
    assert np.ptp(padded.astype(int)) <= 2
    assert notes == ["41x31 padded to 42x32 by repeating the last row or column: 4:2:0 needs even sizes"]


@pytest.mark.parametrize("size", [(640, 360), (641, 361)])
def test_no_frame_memory_is_allocated_for_each_frame(size: tuple[int, int]) -> None:
    encoder = LiveEncoder(LIVE, [])
    pixels = grey(0, *size)
    for index in range(3):
        encoder.encode(pixels, index * 3000)
    tracemalloc.start()
    try:
        encoder.encode(pixels, 9000)
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < pixels.nbytes / 10


def test_an_av_without_the_encoder_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "ENCODER", "libnosuch264")
    with pytest.raises(MissingDependency, match="pip install") as caught:
        LiveEncoder(StreamInfo(title="x", live=True), [])
    assert "\n" not in str(caught.value)
