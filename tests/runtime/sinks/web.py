"""The page's server as a viewer sees it: what its tests share."""

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.resize import upscale
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sources.base import StreamInfo

aiohttp = pytest.importorskip("aiohttp", reason="the page needs pip install 'edgesr[web]'")
pytest.importorskip("prometheus_client", reason="the page needs pip install 'edgesr[web]'")
cv2 = pytest.importorskip("cv2", reason="the page needs OpenCV")

from tests.runtime.sinks.feeder import LIMIT_S

INFO = StreamInfo(title="camera:0")
TOKEN = "a-token-that-is-long-enough"


def picture(width: int = 24, height: int = 16, seed: int = 0) -> Pixels:
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def frame(index: int = 0, low: Pixels | None = None) -> Frame:
    low = picture(seed=index) if low is None else low
    return Frame(upscale(low, 2), index, time.perf_counter_ns(), low=low)


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
        async def hear() -> None:
            while not true():
                self._hear(await self.channel.receive())

        await asyncio.wait_for(hear(), LIMIT_S)

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
