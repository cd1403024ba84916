"""The RTSP server with real viewers: PyAV and, where it is installed, GStreamer."""

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.runtime.sinks.live import COLOURS, LIVE, bars_shift, colour_bars, fed, grey, wait_for

from edgesr.runtime.errors import InputError, OutputFailed
from edgesr.runtime.sinks import Sink, open_sink
from edgesr.runtime.sinks.rtsp import viewer as viewer_module
from edgesr.runtime.sources import ColourTags, StreamInfo
from edgesr.runtime.sources.yuv import BGRFromYUV, settled_tags

USER = "rtsp://eve:p%40ss@127.0.0.1:0/sr"
"""Port 0: the system gives a free one, which the sink's title tells."""


@contextmanager
def serving(
    uri: str = "rtsp://:0/sr", info: StreamInfo = LIVE, picture: Any = grey, rate: float = 30
) -> Iterator[Sink]:
    with open_sink(uri, info) as sink, fed(sink, picture, rate):
        yield sink


@contextmanager
def watching(uri: str, transport: str = "tcp") -> Iterator[Iterator[av.VideoFrame]]:
    options = {"rtsp_transport": transport, "analyzeduration": "200000", "probesize": "50000"}
    with av.open(uri, options=options, timeout=15) as container:
        yield container.decode(video=0)


def connected(sink: Sink) -> socket.socket:
    port = int(sink.title.rpartition(":")[2].partition("/")[0])
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def ask(connection: socket.socket, request: str) -> bytes:
    connection.sendall(request.replace("\n", "\r\n").encode())
    return connection.recv(65536)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("tags", COLOURS)
def test_colour_bars_come_back_within_two_code_values(tags: ColourTags, transport: str) -> None:
    with (
        serving(info=replace(LIVE, colour=tags), picture=lambda _index: colour_bars()) as sink,
        watching(sink.title, transport) as frames,
    ):
        frame = [next(frames) for _ in range(3)][-1]
        assert settled_tags(frame, "bars") == (tags, [])
        assert bars_shift(BGRFromYUV(frame, tags, "h264")(frame)) <= 2


def test_several_viewers_come_and_go_and_another_size_goes_on() -> None:
    sizes = {"now": (64, 48)}
    with serving(picture=lambda index: grey(index, *sizes["now"])) as sink, ExitStack() as stack:
        viewers = [stack.enter_context(watching(sink.title, kind)) for kind in ("tcp", "udp", "tcp")]
        for frames in viewers:
            assert [(next(frames).width, next(frames).height) for _ in range(3)] == [(64, 48)] * 3
        with watching(sink.title) as frames:
            next(frames)
        sizes["now"] = (97, 80)
        for frames in viewers:
            assert any((frame.width, frame.height) == (98, 80) for frame in frames)


def test_a_viewer_sees_frames_at_the_distances_of_their_capture() -> None:
    with serving(rate=20) as sink, watching(sink.title) as frames:
        times = [float(frame.pts * frame.time_base) for frame in (next(frames) for _ in range(20)) if frame.pts]
    assert 0.04 < float(np.median(np.diff(times))) < 0.12


@pytest.mark.skipif(not shutil.which("gst-launch-1.0"), reason="needs gstreamer1.0-tools, -plugins-good and -libav")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_gstreamer_watches_as_well(transport: str, tmp_path: Path) -> None:
    with serving(USER) as sink:
        uri = sink.title.replace("//", "//eve:p%40ss@")
        pipeline = f"rtspsrc location={uri} protocols={transport} latency=0 ! rtph264depay ! avdec_h264 ! "
        pipeline += (
            f"identity eos-after=15 ! videoconvert ! video/x-raw,format=GRAY8 ! filesink location={tmp_path}/raw"
        )
        done = subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "raw").stat().st_size >= 10 * 64 * 48


def test_nothing_is_encoded_while_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_sink("rtsp://:0/sr", LIVE) as sink:
        encoder: Any = sink._encoder
        count, encode = [], encoder.encode
        monkeypatch.setattr(encoder, "encode", lambda *a, **k: count.append(1) or encode(*a, **k))
        with fed(sink):
            wait_for(lambda: count, "the first frame, which tells what comes")
            with watching(sink.title) as frames:
                for _ in range(10):
                    next(frames)
            wait_for(lambda: not sink._server.is_watched, "the viewer gone")
            seen = len(count)
            assert seen > 5
            threading.Event().wait(0.5)
            assert len(count) <= seen + 2


def test_a_wrong_password_is_refused_and_the_right_one_never_shown() -> None:
    with serving(USER) as sink:
        assert "eve" not in sink.title and "p@ss" not in sink.title
        assert "p@ss" not in repr(vars(sink)) and "p%40ss" not in repr(vars(sink))
        for wrong in ("", "eve:wrong@", "adam:p%40ss@"):
            with pytest.raises(av.error.HTTPUnauthorizedError), watching(sink.title.replace("//", f"//{wrong}")):
                pass
        with watching(sink.title.replace("//", "//eve:p%40ss@")) as frames:
            next(frames)


def test_guessing_on_one_connection_ends() -> None:
    guess = 'DESCRIBE {} RTSP/1.0\nCSeq: 1\nAuthorization: Digest username="eve", nonce="0", uri="/", response="0"\n\n'
    with serving(USER) as sink, connected(sink) as connection:
        answers = [ask(connection, guess.format(sink.title)) for _ in range(6)]
    assert all(b"401" in answer and b"nonce" in answer for answer in answers[:5]) and answers[5] == b""


def test_a_viewer_that_takes_nothing_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out once its buffer is full, and dropped when it stays so."""
    monkeypatch.setattr(viewer_module, "PATIENCE_S", 1.5)
    noise = np.random.default_rng(0).integers(0, 256, (4, 240, 320, 3), np.uint8)
    with serving(picture=lambda index: noise[index % 4]) as sink, connected(sink) as stuck:
        assert b"200 OK" in ask(
            stuck, f"SETUP {sink.title} RTSP/1.0\nCSeq: 1\nTransport: RTP/AVP/TCP;interleaved=0-1\n\n"
        )
        server: Any = sink._server
        session = next(iter(server._connections))._session
        stuck.sendall(f"PLAY {sink.title} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n".encode())
        with watching(sink.title) as frames:
            for _ in range(30):
                next(frames)
            wait_for(lambda: len(server._connections) == 1, "the stuck viewer dropped")
            next(frames)


def test_a_killed_viewer_is_forgotten() -> None:
    code = "import sys, av\nfor frame in av.open(sys.argv[1], options={'rtsp_transport': 'tcp'}).decode(video=0): print(1, flush=True)"
    with serving() as sink:
        server: Any = sink._server
        with subprocess.Popen([sys.executable, "-c", code, sink.title], stdout=subprocess.PIPE) as viewer:
            assert viewer.stdout is not None and viewer.stdout.readline() == b"1\n"
            viewer.kill()
        wait_for(lambda: not server._connections, "the connection gone")
        assert not server.is_watched


def test_nothing_is_left_when_it_is_closed_under_its_viewers() -> None:
    threads = threading.active_count()
    sink = open_sink("rtsp://:0/sr", LIVE)
    with ExitStack() as stack:
        with fed(sink):
            frames = stack.enter_context(watching(sink.title))
            next(frames)
        sink.close()
        with pytest.raises((av.FFmpegError, StopIteration)):
            for _ in range(200):
                next(frames)
    sink.discard()
    assert threading.active_count() == threads
    port = int(sink.title.rpartition(":")[2].partition("/")[0])
    open_sink(f"rtsp://:{port}/sr", LIVE).close()  # the port is free again


def test_a_port_in_use_is_said_in_one_line() -> None:
    with open_sink("rtsp://:0/sr", LIVE) as sink, pytest.raises(OutputFailed, match="cannot be had") as caught:
        open_sink(sink.title, LIVE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("rtsp://0.0.0.0:8554/sr", "everybody in the network"),
        ("rtsp://eve@0.0.0.0:8554/sr", "no password"),
        ("rtsp://eve:secret@0.0.0.0:99999/sr", "no address"),
        ("rtsp://eve:secret@0.0.0.0:8554/sr?token=secret", "no address to serve at"),
        ("rtsp:8554", "no address to serve at"),
    ],
)
def test_an_address_that_cannot_be_served_is_refused_without_its_secrets(uri: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        open_sink(uri, LIVE)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
