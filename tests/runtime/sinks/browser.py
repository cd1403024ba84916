"""A headless Chromium, driven by the DevTools protocol over a WebSocket."""

import asyncio
import base64
import itertools
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium")
START_LIMIT_S, LIMIT_S = 60.0, 30.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # containers, where tests run as root
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-extensions",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",  # WebGL without a GPU
    "--remote-debugging-port=0",
    "--window-size=1440,1000",
)


class Tab:
    """One page. `problems`: what its console said of errors, and exceptions that nobody caught."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.problems: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        answer = await asyncio.wait_for(self._answers[number], LIMIT_S)
        del self._answers[number]
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression gives; a promise is waited for."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, expression: str, limit_s: float = LIMIT_S) -> Any:
        """Ask until it is true."""
        end = time.monotonic() + limit_s
        while not (found := await self.value(expression)):
            assert time.monotonic() < end, (
                f"never true: {expression}; {self.problems}; {await self.value('document.body.innerText')}"
            )
            await asyncio.sleep(0.05)
        return found

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """kind: Pressed, Moved, Released or Wheel."""
        button = {"button": "left", "clickCount": 1, "buttons": 1} if kind != "Wheel" else {}
        await self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **button, **more)

    async def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        await self.mouse("Pressed", *start)
        for share in (0.5, 1.0):
            await self.mouse("Moved", *(a + (b - a) * share for a, b in zip(start, end, strict=True)))
        await self.mouse("Released", *end)

    async def key(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def box(self, selector: str) -> tuple[float, float, float, float]:
        """x, y, width and height of an element in the window."""
        box = await self.value(
            f"(r => [r.x, r.y, r.width, r.height])(document.querySelector('{selector}').getBoundingClientRect())"
        )
        return tuple(box)

    async def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                if (answer := self._answers.get(told["id"])) is not None and not answer.done():
                    answer.set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(told["params"]["exceptionDetails"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.problems.append(told["params"]["entry"]["text"])

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


@asynccontextmanager
async def opened_tab(profile: Path) -> AsyncIterator[Tab]:
    """Chromium with an empty profile, and its one page."""
    assert CHROMIUM is not None
    log = (profile / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank", stdout=log, stderr=log
    )
    try:
        port = await _port(profile)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                pages = await answer.json()
            url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await tab.call(f"{domain}.enable")
                try:
                    yield tab
                finally:
                    with suppress(Exception):
                        await tab.call("Browser.close")
                    await tab.close()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), LIMIT_S)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
        log.close()


async def _port(profile: Path) -> int:
    end = time.monotonic() + START_LIMIT_S
    file = profile / "DevToolsActivePort"
    while not (file.exists() and file.read_text().count("\n")):
        assert time.monotonic() < end, f"Chromium did not start: {(profile / 'log').read_text()[-2000:]}"
        await asyncio.sleep(0.1)
    return int(file.read_text().splitlines()[0])
