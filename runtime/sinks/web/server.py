"""The server of the page: an event loop in a thread of its own, which the stream never waits for."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from threading import Event, Thread
from typing import Any

from aiohttp import WSCloseCode, web

from edgesr.runtime.errors import EdgeSRError, InputError, OutputFailed
from edgesr.runtime.region import Region
from edgesr.runtime.sinks.web.address import Address
from edgesr.runtime.sinks.web.guard import Guard
from edgesr.runtime.sinks.web.metrics import CONTENT_TYPE, Audience, exposition
from edgesr.runtime.sinks.web.packet import Encoder, Newest, Packet, Shown
from edgesr.runtime.sinks.web.viewer import Viewer
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import Figures

__all__ = ["ENCODE", "PAGE_AGE", "Server", "Stream"]

ENCODE, PAGE_AGE = "page encode", "page age"
"""Stages: making a frame's bytes for the viewers; from capture until a browser told that it was drawn, the way back included."""

ASSETS = {
    "page.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "view.js": "text/javascript",
    "bicubic.js": "text/javascript",
    "chart.js": "text/javascript",
}
SIDES = ("low", "bicubic", "high")
VIEWERS = 16
FIGURES_EVERY_S = 0.5
ALIVE_S = 5.0  # without a frame for longer, the stream is not well
HEARTBEAT_S = 10.0
LONGEST_WISH = 256  # bytes of a viewer's message
PARTING_S = 0.3


@dataclass
class Stream:
    """What the server shows and viewers change; `figures` and `controls` are replaced when the sink is attached."""

    newest: Newest = field(default_factory=Newest)
    figures: Figures = field(default_factory=Figures)
    controls: Controls = field(default_factory=Controls)
    size: tuple[int, int] | None = None  # width and height of the whole input, once it was seen
    last_frame_s: float | None = None  # time.monotonic()


class Server:
    """Serves until `stop`. Takes the listening socket over and closes it."""

    def __init__(self, address: Address, listening: socket.socket, stream: Stream, title: str) -> None:
        self._stream, self._title = stream, title
        self._encoder = Encoder(address.quality)
        self._guard = Guard(address)
        self._assets = {name: (files(__package__) / name).read_bytes() for name in ASSETS}
        self._listening = listening
        self._viewers: set[Viewer] = set()
        self._gone_sent = self._gone_dropped = 0
        self._ready = Event()
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, name="edgesr-web", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()
        self.check()

    def frame_came(self) -> None:
        """From any thread. Raises OutputFailed where the server has ended."""
        self.check()
        with suppress(RuntimeError):  # the loop was closed just now
            self._loop.call_soon_threadsafe(self._changed.set)

    def check(self) -> None:
        if isinstance(self._failure, EdgeSRError):
            raise self._failure
        if self._failure is not None:
            raise OutputFailed(f"the page's server broke down: {self._failure!r}") from self._failure

    def stop(self) -> None:
        """Tell the viewers, close every connection, end the thread. A second call does nothing."""
        if self._thread.is_alive():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - raised in the thread that writes
            self._failure = error
        finally:
            self._listening.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._changed = asyncio.Event(), asyncio.Event()
        self._workers = ThreadPoolExecutor(2, "edgesr-web-encoder")  # a snapshot does not hold up the stream
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=PARTING_S)
        await runner.setup()
        await web.SockSite(runner, self._listening).start()
        self._ready.set()
        jobs = [asyncio.create_task(job) for job in (self._feed(), self._tell(), self._until_stopped())]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await asyncio.gather(*(_part_from(viewer) for viewer in self._viewers))
            for connection in list(runner.server.connections) if runner.server else []:
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()
            self._workers.shutdown()

    async def _until_stopped(self) -> None:
        await self._stopping.wait()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard.middleware], client_max_size=LONGEST_WISH)
        app.on_response_prepare.append(self._guard.add_headers)
        app.router.add_get("/", self._asset("page.html"))
        for name in ASSETS:
            app.router.add_get(f"/{name}", self._asset(name))
        app.router.add_get("/watch", self._watch)
        app.router.add_get("/snapshot", self._snapshot)
        for side in SIDES:
            app.router.add_get(f"/snapshot/{side}.png", self._picture(side))
        app.router.add_get("/stats", self._stats)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        return app

    async def _feed(self) -> None:
        """Encode the newest frame once, as soon as a viewer has room for it."""
        packet = None
        while True:
            await self._changed.wait()
            self._changed.clear()
            number = self._stream.newest.number
            if not any(viewer.wants(number) for viewer in self._viewers):
                continue
            if packet is None or packet.number < number:
                packet = await self._of_newest(self._encode)
            for viewer in self._viewers:
                if packet is not None and viewer.wants(packet.number):
                    viewer.give(packet)

    def _encode(self, shown: Shown) -> Packet:
        begin = time.perf_counter_ns()
        packet = self._encoder.live(shown)
        self._stream.figures.add(ENCODE, time.perf_counter_ns() - begin)
        return packet

    async def _tell(self) -> None:
        while True:
            if self._viewers:
                figures = self._figures()
                for viewer in self._viewers:
                    viewer.tell(figures)
            await asyncio.sleep(FIGURES_EVERY_S)

    def _figures(self) -> dict[str, object]:
        region = self._stream.controls.region
        return {
            **self._stream.figures.snapshot().to_dict(),
            "source": self._title,
            "pausing": self._stream.controls.paused,
            "region": None if region is None else str(region),
            "viewers": len(self._viewers),
        }

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if len(self._viewers) >= VIEWERS:
            return web.Response(status=503, text=f"{VIEWERS} viewers watch already\n")
        channel = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=LONGEST_WISH, compress=False, timeout=PARTING_S
        )
        await channel.prepare(request)
        viewer = Viewer(channel, self._stream.newest.number)
        viewer.tell(self._figures())
        self._viewers.add(viewer)
        self._changed.set()
        sender = asyncio.create_task(viewer.send())
        try:
            async for message in channel:
                if (trouble := self._heed(viewer, message.data)) is not None:
                    viewer.complain(trouble)
        finally:
            self._viewers.discard(viewer)
            self._gone_sent += viewer.sent
            self._gone_dropped += viewer.dropped
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        return channel

    def _heed(self, viewer: Viewer, wish: object) -> str | None:
        """Do what a viewer's message says; what is wrong with it, in words."""
        verb, _, value = wish.partition(" ") if isinstance(wish, str) else ("", "", "")
        controls = self._stream.controls
        if verb in ("seen", "late") and value.isascii() and value.isdigit():
            age_ns = viewer.has_seen(int(value), late=verb == "late")
            if age_ns is not None:
                self._stream.figures.add(PAGE_AGE, age_ns)
            self._changed.set()
        elif verb == "pause" and value in ("on", "off"):
            controls.paused = value == "on"
        elif verb == "region" and value == "none":
            controls.region = None
        elif verb == "region":
            try:
                region = Region.parse(value)
                controls.region = region.within(*self._stream.size) if self._stream.size else region
            except InputError as error:
                return str(error)
        else:
            return "not understood; expected seen NUMBER, late NUMBER, pause on, pause off, region X,Y,WIDTH,HEIGHT or region none"
        return None

    async def _of_newest(self, make: Callable[[Shown], Any]) -> Any:
        """What `make` makes of the newest frame, in another thread; None before the first frame."""

        def work() -> Any:
            with self._stream.newest.borrowed() as shown:
                return None if shown is None else make(shown)

        return await self._loop.run_in_executor(self._workers, work)

    async def _snapshot(self, request: web.Request) -> web.Response:
        """Input, bicubic and result of one frame without loss, as a packet."""
        packet = await self._of_newest(self._encoder.lossless)
        if packet is None:
            return web.Response(status=503, text="no frame has come yet\n")
        return web.Response(body=packet.data, content_type="application/octet-stream")

    def _picture(self, side: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        def make(shown: Shown) -> tuple[str, bytes] | None:
            if side != "high" and shown.low is None:
                return None
            return f"edgesr-{shown.index:06}-{side}.png", self._encoder.png(shown, side)

        async def answer(request: web.Request) -> web.Response:
            made = await self._of_newest(make)
            if made is None:
                return web.Response(status=503, text=f"there is no {side} picture to show\n")
            name, data = made
            place = {"Content-Disposition": f'attachment; filename="{name}"'}
            return web.Response(body=data, content_type="image/png", headers=place)

        return answer

    def _asset(self, name: str) -> Callable[[web.Request], Coroutine[Any, Any, web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=self._assets[name], content_type=ASSETS[name], charset="utf-8")

        return answer

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response(self._figures())

    async def _metrics(self, request: web.Request) -> web.Response:
        audience = Audience(
            viewers=len(self._viewers),
            sent=self._gone_sent + sum(viewer.sent for viewer in self._viewers),
            dropped=self._gone_dropped + sum(viewer.dropped for viewer in self._viewers),
        )
        text = exposition(self._stream.figures.snapshot(), audience)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _healthz(self, request: web.Request) -> web.Response:
        last_s = self._stream.last_frame_s
        if self._stream.controls.paused:
            return web.Response(text="paused by a viewer\n")
        if last_s is None:
            return web.Response(status=503, text="no frame has come yet\n")
        since_s = time.monotonic() - last_s
        if since_s > ALIVE_S:
            return web.Response(status=503, text=f"no frame for {since_s:.1f} s\n")
        return web.Response(text="frames come\n")


async def _part_from(viewer: Viewer) -> None:
    with suppress(asyncio.TimeoutError, ConnectionError):
        await asyncio.wait_for(viewer.socket.close(code=WSCloseCode.GOING_AWAY, message=b"over"), PARTING_S)
