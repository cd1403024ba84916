import asyncio
import json
import logging
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import numpy as np
import pytest

from edgesr.runtime.errors import InputError, MissingDependency, OutputFailed
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.region import Region
from edgesr.runtime.resize import upscale
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.web import open_web
from edgesr.runtime.sinks.web.address import Address
from edgesr.runtime.sources.base import StreamInfo
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import AGE, Figures
from edgesr.runtime.timing import distribution

aiohttp = pytest.importorskip("aiohttp", reason="the page needs pip install 'edgesr[web]'")
pytest.importorskip("prometheus_client", reason="the page needs pip install 'edgesr[web]'")
cv2 = pytest.importorskip("cv2", reason="the page needs OpenCV")

from tests.runtime.sinks.feeder import LIMIT_S, Feeder

from edgesr.runtime.sinks.web import server

INFO = StreamInfo(title="camera:0")
TOKEN = "a-token-that-is-long-enough"
NOTHING = distribution(())
PATHS = ("/", "/page.js", "/watch", "/snapshot", "/snapshot/high.png", "/stats", "/metrics", "/healthz", "/nothing")


def picture(width: int = 24, height: int = 16, seed: int = 0) -> Pixels:
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def frame(index: int = 0, low: Pixels | None = None) -> Frame:
    low = picture(seed=index) if low is None else low
    return Frame(upscale(low, 2), index, time.perf_counter_ns(), low=low)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with open_web("//:0", INFO, False) as opened:
        opened.attach(Figures(), Controls())
        yield opened


@pytest.fixture
def guarded() -> Iterator[Sink]:
    with open_web(f"//127.0.0.1:0?token={TOKEN}", INFO, False) as opened:
        yield opened


def unpacked(data: bytes) -> tuple[dict[str, Any], dict[str, Pixels]]:
    (length,) = struct.unpack_from("<I", data)
    header, start, pictures = json.loads(data[4 : 4 + length]), 4 + length, {}
    for name, size in header["files"]:
        pictures[name] = cv2.imdecode(np.frombuffer(data[start : start + size], np.uint8), cv2.IMREAD_COLOR)
        start += size
    assert start == len(data)
    return header, pictures


class Watcher:
    """A viewer that says what it has seen only when told to."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.figures: dict[str, Any] = {}
        self.troubles: list[str] = []

    async def next(self, *, seen: bool = True) -> tuple[dict[str, Any], dict[str, Pixels]]:
        while True:
            message = await asyncio.wait_for(self.channel.receive(), LIMIT_S)
            if message.type is aiohttp.WSMsgType.BINARY:
                header, pictures = unpacked(message.data)
                if seen:
                    await self.channel.send_str(f"seen {header['number']}")
                return header, pictures
            self._hear(message)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._hear(await asyncio.wait_for(self.channel.receive(), LIMIT_S))

    def _hear(self, message: Any) -> None:
        if message.type is aiohttp.WSMsgType.BINARY:
            return
        assert message.type is aiohttp.WSMsgType.TEXT, message
        told = json.loads(message.data)
        if "trouble" in told:
            self.troubles.append(told["trouble"])
        else:
            self.figures = told


@asynccontextmanager
async def watching(sink: Sink, **settings: Any) -> AsyncIterator[Watcher]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{sink.title}/watch", **settings) as channel:
        yield Watcher(channel)


def asked(sink: Sink, path: str = "/", **settings: Any) -> tuple[int, bytes, Any]:
    async def ask() -> tuple[int, bytes, Any]:
        async with aiohttp.ClientSession() as session, session.get(sink.title + path, **settings) as answer:
            return answer.status, await answer.read(), answer

    return asyncio.run(ask())


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


# The address


def test_only_this_machine_is_served_unless_told_otherwise() -> None:
    assert Address.parse("//:8080") == Address("127.0.0.1", 8080)
    assert Address.parse(f"//0.0.0.0:80?token={TOKEN}&quality=75") == Address("0.0.0.0", 80, TOKEN, 75)
    assert str(Address.parse("//[::1]:9000/")) == "http://[::1]:9000"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("//0.0.0.0:8080", "needs a token"),
        ("//[::]:8080", "needs a token"),
        ("//board.local:8080", "needs a token"),
        ("//0.0.0.0:8080?token=", "is empty"),
        ("//0.0.0.0:8080?token=secret", "16 or more"),
        ("//0.0.0.0:8080?token=sëcret-sëcret-sëcret", "16 or more"),
        ("//:8080?tokn=secret", "'tokn'"),
        ("//:8080?quality=101", "1 to 100"),
        ("//:8080?quality=high", "1 to 100"),
        ("//:99999", "no address for a page"),
        ("//[::1", "no address for a page"),
        ("//", "no address for a page"),
        ("", "no address for a page"),
        ("8080", "no address for a page"),
        ("//user:secret@:8080", "no address for a page"),
        ("//:8080/video", "no address for a page"),
    ],
)
def test_an_odd_address_is_refused_in_one_line_that_tells_no_secret(target: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as refused:
        open_web(target, INFO, False)
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)


def test_a_port_in_use_is_told_in_one_line() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"http://127.0.0.1:{port} is in use by another program; choose another"):
            open_web(f"//:{port}", INFO, False)


@pytest.mark.parametrize(
    ("host", "said"), [("192.0.2.1", "no address of this machine"), ("nowhere.invalid", "the host is unknown")]
)
def test_a_foreign_host_is_told(host: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_web(f"//{host}:0?token={TOKEN}", INFO, False)


@pytest.mark.parametrize("module", ["aiohttp", "prometheus_client", "cv2"])
def test_what_is_missing_is_told_with_the_way_to_get_it(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threading.active_count()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=r"pip install 'edgesr\[(web|opencv)\]'"):
        open_web("//:0", INFO, False)
    assert threading.active_count() == threads


# Frames


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


# Wishes


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


# Who may


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_answered_without_the_token(guarded: Sink, path: str) -> None:
    for settings in (
        {},
        {"params": {"token": TOKEN[:-1]}},
        {"params": {"token": ""}},
        {"headers": {"Authorization": "Bearer tökën"}},
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
        {"cookies": {"edgesr_viewer": TOKEN}},
    ):
        status, body, answer = asked(guarded, path, **settings)
        assert status == 401 and b"needs the token" in body and "Set-Cookie" not in answer.headers


def test_the_token_is_given_once_and_a_cookie_remembers_it(guarded: Sink) -> None:
    async def visit() -> None:
        jar = aiohttp.CookieJar(unsafe=True)  # an address of numbers
        async with aiohttp.ClientSession(guarded.title, cookie_jar=jar) as session:
            async with session.get("/", params={"token": TOKEN}) as answer:
                assert answer.status == 200
                cookie = answer.headers["Set-Cookie"]
                assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
            async with session.get("/stats") as answer:
                assert answer.status == 200
            async with session.ws_connect("/watch") as channel:
                assert "state" in await channel.receive_json()

    asyncio.run(visit())


def test_prometheus_gives_the_token_as_a_bearer(guarded: Sink) -> None:
    assert asked(guarded, "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_the_token_is_shown_nowhere(guarded: Sink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = [guarded.title, *guarded.notes, repr(Address.parse(f"//0.0.0.0:1?token={TOKEN}"))]
    for path in PATHS:
        _, body, answer = asked(guarded, path, params={"token": TOKEN})
        said += [body.decode(errors="replace"), str(answer.headers)]
    said += [record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp.client")]
    assert not [text for text in said if TOKEN in text]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::1", "a b"])
def test_a_name_that_is_not_ours_is_refused(sink: Sink, host: str) -> None:
    status, body, _ = asked(sink, "/stats", headers={"Host": host})
    assert status in (400, 403) and b"state" not in body


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_a_tunnel_to_this_machine_is_answered(sink: Sink, host: str) -> None:
    assert asked(sink, "/stats", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_site_may_not_watch(sink: Sink, headers: dict[str, str]) -> None:
    async def watch() -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with watching(sink, headers=headers):
                pass

    asyncio.run(watch())
    assert asked(sink, "/snapshot/high.png", headers=headers)[0] == 403


def test_our_own_page_may_watch(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink, headers={"Origin": sink.title, "Sec-Fetch-Site": "same-origin"}) as viewer:
            await viewer.until(lambda: "state" in viewer.figures)

    asyncio.run(watch())
    assert asked(sink, "/", headers={"Sec-Fetch-Site": "cross-site"})[0] == 200, "a link to the page is fine"


@pytest.mark.parametrize(
    "path", ["/server.py", "/../server.py", "/%2e%2e/server.py", "//etc/passwd", "/page.html/..", "/snapshot/x.png"]
)
def test_no_file_but_the_page_is_served(sink: Sink, path: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", int(sink.title.rsplit(":", 1)[1])), LIMIT_S)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert b" 404 " in raw.recv(100)


def test_the_browser_is_told_to_load_nothing_from_elsewhere(sink: Sink) -> None:
    for path in PATHS[:1] + PATHS[3:]:
        headers = asked(sink, path)[2].headers
        assert "default-src 'none'" in headers["Content-Security-Policy"] and "Server" not in headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    page = asked(sink)[1].decode()
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)


@pytest.mark.parametrize(
    "data", [b"\0" * 9000, b"GET / HTTP/9.9\r\n\r\n", b"POST /watch HTTP/1.1\r\nContent-Length: -1\r\n\r\n"]
)
def test_what_is_no_http_breaks_nothing(sink: Sink, data: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", int(sink.title.rsplit(":", 1)[1])), LIMIT_S)) as raw:
        raw.sendall(data)
    sink.write(frame())
    assert asked(sink, "/healthz")[0] == 200


# Figures


def test_metrics_are_what_prometheus_reads(sink: Sink) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    figures = Figures(deadline_ms=1)
    sink.attach(figures, Controls())
    figures.tell(state="running", model='ecbsr "x4"', size=(320, 180))
    figures.captured()
    figures.shown(0, 20_000_000, "", {})
    figures.add(AGE, 20_000_000)
    figures.drop("newer came", 3)
    status, body, answer = asked(sink, "/metrics")
    assert status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    values = {(s.name, *sorted(s.labels.items())): s.value for f in families.values() for s in f.samples}
    assert values["edgesr_frames_captured_total",] == values["edgesr_deadline_misses_total",] == 1
    assert values["edgesr_frames_dropped_total", ("reason", "newer came")] == 3
    assert values["edgesr_stage_seconds", ("quantile", "0.5"), ("stage", AGE)] == pytest.approx(0.02)
    assert values["edgesr_stage_seconds_count", ("stage", AGE)] == 1
    assert values["edgesr_state", ("state", "running")] == 1 and values["edgesr_state", ("state", "over")] == 0
    assert values["edgesr_model", ("model", 'ecbsr "x4"')] == 1 and values["edgesr_viewers",] == 0
    for family in families.values():
        assert family.name.startswith("edgesr_") and family.type in ("counter", "gauge", "summary")
        assert all(s.name.endswith("_total") == (family.type == "counter") for s in family.samples)


def test_health_is_frames_that_come(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    controls = Controls()
    sink.attach(Figures(), controls)
    assert asked(sink, "/healthz")[:2] == (503, b"no frame has come yet\n")
    sink.write(frame())
    assert asked(sink, "/healthz")[:2] == (200, b"frames come\n")
    monkeypatch.setattr(server, "ALIVE_S", 0.0)
    status, body, _ = asked(sink, "/healthz")
    assert status == 503 and body.startswith(b"no frame for ")
    controls.paused = True
    assert asked(sink, "/healthz")[0] == 200


def test_stats_are_the_figures_as_json(sink: Sink) -> None:
    stats = json.loads(asked(sink, "/stats")[1])
    assert stats["source"] == "camera:0" and stats["state"] == "starting" and stats["drops"] == {}
    assert stats["viewers"] == 0 and stats["region"] is None and stats["pausing"] is False


def test_a_snapshot_is_without_loss_and_of_one_frame(sink: Sink) -> None:
    assert asked(sink, "/snapshot")[0] == asked(sink, "/snapshot/bicubic.png")[0] == 503
    low = picture(30, 20)
    written = Frame(upscale(low, 4) ^ 1, 5, time.perf_counter_ns(), low=low)
    sink.write(written)
    header, pictures = unpacked(asked(sink, "/snapshot")[1])
    assert header["frame"] == 5
    np.testing.assert_array_equal(pictures["high"], written.pixels)
    np.testing.assert_array_equal(pictures["bicubic"], upscale(low, 4))
    np.testing.assert_array_equal(pictures["low"], low)
    answer = asked(sink, "/snapshot/low.png")[2]
    assert answer.headers["Content-Disposition"] == 'attachment; filename="edgesr-000005-low.png"'


# The end


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
