"""What a slow RTSP viewer is spared, on a played channel and clock."""

import time
from types import SimpleNamespace

import pytest

from edgesr.runtime.sinks.rtsp import server as server_module
from edgesr.runtime.sinks.rtsp import viewer as viewer_module
from edgesr.runtime.sinks.rtsp.rtp import HEADER, AccessUnit
from edgesr.runtime.sinks.rtsp.server import RTSPServer
from edgesr.runtime.sinks.rtsp.viewer import BACKLOG, BACKLOG_S, Channel, Viewer


class PlayedChannel(Channel):
    waiting = 0

    def __init__(self) -> None:
        self.frames: list[int] = []

    def send(self, packets: list[bytes]) -> int:
        size = sum(map(len, packets))
        self.frames.append(size)
        self.waiting += size
        return size

    def send_report(self, report: bytes) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    played = SimpleNamespace(monotonic=lambda: now[0], time_ns=time.time_ns, perf_counter_ns=time.perf_counter_ns)
    for module in (viewer_module, server_module):
        monkeypatch.setattr(module, "time", played)
    return now


@pytest.fixture
def channel() -> PlayedChannel:
    return PlayedChannel()


@pytest.fixture
def viewer(channel: PlayedChannel) -> Viewer:
    viewer = Viewer(channel, 1)
    viewer.play()
    return viewer


def unit(size: int, *, keyframe: bool = False) -> AccessUnit:
    return AccessUnit([bytes(HEADER + size)], keyframe, 0, 0)


def test_frames_wait_no_longer_than_half_a_second(clock: list[float], channel: PlayedChannel, viewer: Viewer) -> None:
    """Few bytes are many seconds of a still scene: their age counts, not their number."""
    viewer.offer(unit(1000, keyframe=True))
    clock[0] += BACKLOG_S + 0.1
    viewer.offer(unit(10))
    assert len(channel.frames) == 1
    channel.waiting = 0
    viewer.offer(unit(10))
    assert len(channel.frames) == 1  # what came before it is missing
    viewer.offer(unit(1000, keyframe=True))
    viewer.offer(unit(10))
    assert len(channel.frames) == 3


def test_a_viewer_that_takes_what_comes_loses_nothing(
    clock: list[float], channel: PlayedChannel, viewer: Viewer
) -> None:
    viewer.offer(unit(1000, keyframe=True))
    for _frame in range(100):
        clock[0] += BACKLOG_S * 0.9
        channel.waiting = channel.frames[-1]  # the newest is still on its way
        viewer.offer(unit(50))
    assert len(channel.frames) == 101 and not viewer.is_dead


def test_bytes_have_a_bound_as_well(clock: list[float], channel: PlayedChannel, viewer: Viewer) -> None:
    viewer.offer(unit(BACKLOG, keyframe=True))
    viewer.offer(unit(10))
    assert len(channel.frames) == 1


def test_who_takes_nothing_is_dead_in_the_end(clock: list[float], channel: PlayedChannel, viewer: Viewer) -> None:
    viewer.offer(unit(10, keyframe=True))
    clock[0] += 1
    viewer.offer(unit(10, keyframe=True))
    assert not viewer.is_dead
    clock[0] += viewer_module.PATIENCE_S + 0.1
    assert viewer.is_dead


def test_keyframes_are_made_twice_a_second_at_most(clock: list[float]) -> None:
    server = RTSPServer("127.0.0.1", 0, "/sr", 1)
    try:
        server.wish_keyframe()
        assert server.take_keyframe_wish() and not server.take_keyframe_wish()
        server.wish_keyframe()
        clock[0] += 0.4
        assert not server.take_keyframe_wish()
        clock[0] += 0.2
        assert server.take_keyframe_wish()  # the wish was kept
    finally:
        server.close()
