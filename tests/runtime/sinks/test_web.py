"""The page's stream: frames, viewers' wishes, and the end."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.region import Region
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.web import open_web
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import Figures
from edgesr.runtime.timing import distribution

aiohttp = pytest.importorskip("aiohttp", reason="the page needs pip install 'edgesr[web]'")
pytest.importorskip("prometheus_client", reason="the page needs pip install 'edgesr[web]'")
cv2 = pytest.importorskip("cv2", reason="the page needs OpenCV")

from tests.runtime.sinks.feeder import LIMIT_S, Feeder
from tests.runtime.sinks.web import INFO, Watcher, asked, frame, picture, until, watching

from edgesr.runtime.sinks.web import server

NOTHING = distribution(())


def test_a_viewer_gets_the_input_without_loss_and_the_result_as_jpeg(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as viewer:
            header, pictures = await viewer.next()
            assert header["frame"] == 7 and header["low"] == [24, 16] and header["high"] == [48, 32]
            np.testing.assert_array_equal(pictures["low"], written.low)
            error = np.abs(pictures["high"].astype(int) - written.pixels)
            assert 0 < error.mean() < 4

    written = frame(7)
    sink.write(written)
    asyncio.run(watch())


def test_nothing_is_encoded_while_nobody_watches(sink: Sink) -> None:
    feeder = Feeder(sink, frame_rate=200)
    with feeder.running():
        until(lambda: feeder.count > 5)
        assert asked(sink, "/stats")[0] == 200
        assert server.ENCODE not in feeder.figures.snapshot().run


def test_two_viewers_share_what_was_encoded(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as one, watching(sink) as other:
            for index in range(5):
                sink.write(frame(index))
                (first, pictures), (second, same) = await asyncio.gather(one.next(), other.next())
                assert first == second and first["frame"] == index
                np.testing.assert_array_equal(pictures["high"], same["high"])

    figures = Figures()
    sink.attach(figures, Controls())
    asyncio.run(watch())
    assert figures.snapshot().run[server.ENCODE].count == 5


def test_a_slow_viewer_gets_the_newest_and_holds_up_nobody(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as slow, watching(sink) as quick:
            sink.write(frame(0))
            first, _ = await slow.next(seen=False)
            await quick.next()
            for index in range(1, 9):
                sink.write(frame(index))
                header, _ = await quick.next()
                assert header["frame"] == index
            second, _ = await slow.next(seen=False)
            assert (first["frame"], second["frame"]) == (0, 1)
            await slow.channel.send_str(f"seen {first['number']}")
            third, _ = await slow.next()
            assert third["frame"] == 8
            await slow.until(lambda: slow.figures["missed"] == 6)
            await quick.until(lambda: quick.figures["sent"] == 9 and quick.figures["missed"] == 0)

    asyncio.run(watch())


def test_writing_waits_for_no_viewer(sink: Sink) -> None:
    """One that reads nothing at all, and frames that fill every buffer between it and us."""

    async def watch() -> None:
        async with watching(sink, max_msg_size=0):
            began = time.monotonic()
            for _ in range(30):
                sink.write(written)
            assert time.monotonic() - began < LIMIT_S / 2

    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    written = Frame(noise, 0, time.perf_counter_ns(), low=noise[:180, :320])
    asyncio.run(watch())


def test_the_age_in_the_browser_is_measured(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as viewer:
            await viewer.until(lambda: viewer.figures)  # a frame before the server knows its viewer would have no age
            sink.write(frame())
            await viewer.next()
            await viewer.until(lambda: viewer.figures["here_ms"] is not None)
            assert 0 < viewer.figures["here_ms"] < LIMIT_S * 1e3

    figures = Figures()
    sink.attach(figures, Controls())
    asyncio.run(watch())
    assert figures.snapshot().run[server.PAGE_AGE].count == 1


def test_a_frame_that_was_there_before_its_viewer_or_was_drawn_late_has_no_age(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as viewer:
            await viewer.next()
            sink.write(frame(1))
            header, _ = await viewer.next(seen=False)
            await viewer.channel.send_str(f"late {header['number']}")
            sink.write(frame(2))
            sink.write(frame(3))
            assert (await viewer.next(seen=False))[0]["frame"] in (2, 3)

    figures = Figures()
    sink.attach(figures, Controls())
    sink.write(frame(0))
    asyncio.run(watch())
    assert server.PAGE_AGE not in figures.snapshot().run


def test_frames_of_any_size_and_layout_are_shown(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as viewer:
            for index, low in enumerate([picture(1, 1), picture(40, 30)[::2, ::-1], picture(5, 300), picture()]):
                sink.write(frame(index, low))
                header, pictures = await viewer.next()
                assert header["low"] == [low.shape[1], low.shape[0]]
                np.testing.assert_array_equal(pictures["low"], low)
            sink.write(Frame(picture(), 9, time.perf_counter_ns()))
            header, pictures = await viewer.next()
            assert header["low"] is None and set(pictures) == {"high"}

    asyncio.run(watch())


def test_pixels_may_change_after_a_write(sink: Sink) -> None:
    written = frame()
    before = written.pixels.copy()
    sink.write(written)
    written.pixels[:] = 0
    image = cv2.imdecode(np.frombuffer(asked(sink, "/snapshot/high.png")[1], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(image, before)


def test_a_frame_that_cannot_be_encoded_ends_the_stream_with_its_reason(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink):
            until(broken)

    def broken() -> bool:
        try:
            sink.write(wide)
        except OutputFailed as error:
            assert "70000x1 cannot be encoded as .jpg" in str(error)
            return True
        return False

    wide = Frame(np.zeros((1, 70_000, 3), np.uint8), 0, time.perf_counter_ns())
    asyncio.run(watch())


def test_there_is_a_limit_of_viewers(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    async def watch() -> None:
        async with watching(sink):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                async with watching(sink):
                    pass

    monkeypatch.setattr(server, "VIEWERS", 1)
    asyncio.run(watch())


def test_a_viewer_pauses_and_chooses_a_region(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as viewer:
            for wish, done in (
                ("pause on", lambda: controls.paused),
                ("region 4,2,8,6", lambda: controls.region == Region(4, 2, 8, 6)),
                ("region 20,2,8,6", lambda: controls.region == Region(16, 2, 8, 6)),  # moved into the frame of 24x16
                ("region none", lambda: controls.region is None),
                ("pause off", lambda: not controls.paused),
            ):
                await viewer.channel.send_str(wish)
                await viewer.until(done)
            assert not viewer.troubles

    controls = Controls()
    sink.attach(Figures(), controls)
    sink.write(frame())
    asyncio.run(watch())


def test_the_region_that_is_seen_comes_with_the_frame(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as viewer:
            whole = picture()
            sink.write(frame(0, whole))  # a frame from before the region was set
            assert (await viewer.next())[0]["region"] is None
            sink.write(frame(1, controls.region.of(whole)))
            assert (await viewer.next())[0]["region"] == [4, 2, 8, 6]

    controls = Controls(Region(4, 2, 8, 6))
    sink.attach(Figures(), controls)
    asyncio.run(watch())


@pytest.mark.parametrize(
    "wish",
    ["", "dance", "pause", "pause maybe", "region 1,2", "region 0,0,0,0", "region -1,0,5,5", "seen", "seen ²", b"\0"],
)
def test_an_odd_wish_is_answered_and_changes_nothing(sink: Sink, wish: str | bytes) -> None:
    async def watch() -> None:
        async with watching(sink) as viewer:
            await (viewer.channel.send_str(wish) if isinstance(wish, str) else viewer.channel.send_bytes(wish))
            await viewer.until(lambda: bool(viewer.troubles))
            assert "expected" in viewer.troubles[0]

    controls = Controls()
    sink.attach(Figures(), controls)
    asyncio.run(watch())
    assert controls.region is None and not controls.paused


def test_a_wish_without_end_ends_its_viewer_only(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as rude, watching(sink) as polite:
            await rude.channel.send_str("x" * 100_000)
            while (await asyncio.wait_for(rude.channel.receive(), LIMIT_S)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert rude.channel.closed
            sink.write(frame(3))
            assert (await polite.next())[0]["frame"] == 3

    asyncio.run(watch())


def test_closing_tells_the_viewers_and_leaves_no_thread_and_no_socket() -> None:
    async def watch(use: Callable[[Sink, Any], Awaitable[None]]) -> None:
        with open_web("//:0", INFO, False) as sink:
            async with watching(sink) as viewer, watching(sink):  # the second reads nothing
                sink.write(frame())
                await use(sink, viewer)

    async def end(sink: Sink, viewer: Watcher) -> None:
        await viewer.next()
        began = time.monotonic()
        await asyncio.get_running_loop().run_in_executor(None, sink.close)
        assert time.monotonic() - began < 5, "a second, on a machine with nothing else to do"
        while (message := await asyncio.wait_for(viewer.channel.receive(), LIMIT_S)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type is aiohttp.WSMsgType.CLOSE and message.extra == "over"
        sink.close()
        sink.discard()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgesr-web")]
        with closing(socket.create_server(("127.0.0.1", int(sink.title.rsplit(":", 1)[1])))):
            pass  # the port is free again

    asyncio.run(watch(end))


def test_closing_waits_for_no_viewer_that_reads_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    with open_web("//:0?quality=100", INFO, False) as sink, closing(socket.socket()) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", int(sink.title.rsplit(":", 1)[1])))
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        raw.sendall(
            f"GET /watch HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n".encode()
        )
        assert b" 101 " in raw.recv(30)
        figures = Figures()
        sink.attach(figures, Controls())
        for index in range(2):
            sink.write(Frame(noise, index, time.perf_counter_ns(), low=noise))
            until(lambda wanted=index + 1: figures.snapshot().run.get(server.ENCODE, NOTHING).count == wanted)
        began = time.monotonic()
        sink.close()
        assert time.monotonic() - began < 5, "a second, on a machine with nothing else to do"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgesr-web")]


def test_a_stream_in_its_steady_state_makes_no_new_memory(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink) as viewer:
            for index in range(20):
                sink.write(frame(index))
                await viewer.next()

    asyncio.run(watch())
    assert sink._stream.newest.made <= 6
