"""The page in a real browser. One Chromium serves all tests; each test loads the page anew."""

import asyncio
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesr.runtime.region import Region
from edgesr.runtime.resize import upscale
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.web import open_web
from edgesr.runtime.sources.base import StreamInfo

pytest.importorskip("aiohttp", reason="the page needs pip install 'edgesr[web]'")
pytest.importorskip("prometheus_client", reason="the page needs pip install 'edgesr[web]'")
cv2 = pytest.importorskip("cv2", reason="the page needs OpenCV")

from tests.runtime.sinks.browser import CHROMIUM, Tab, opened_tab
from tests.runtime.sinks.feeder import LIMIT_S, Feeder

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")

INFO = StreamInfo(title="camera:0")
TOKEN = "a-token-that-is-long-enough"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
Visit = Callable[[Callable[[Tab], Coroutine[Any, Any, None]]], None]


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """Runs a coroutine with the browser's tab, in the loop that the browser belongs to."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(240)

    opened = opened_tab(tmp_path_factory.mktemp("chromium"))
    tab = wait(opened.__aenter__())

    def run(act: Callable[[Tab], Coroutine[Any, Any, None]]) -> None:
        tab.problems.clear()
        wait(act(tab))

    yield run
    wait(opened.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with open_web("//:0", INFO, False) as opened:
        yield opened


@pytest.fixture
def feeder(sink: Sink) -> Iterator[Feeder]:
    feeder = Feeder(sink, width=48, height=32, frame_rate=10)
    with feeder.running():
        yield feeder
    assert not feeder.errors


async def watch(tab: Tab, sink: Sink) -> None:
    await tab.open(sink.title)
    await tab.until("document.getElementById('stage').dataset.frame >= 0")


async def middle(tab: Tab, selector: str) -> tuple[float, float]:
    x, y, width, height = await tab.box(selector)
    return x + width / 2, y + height / 2


async def click(tab: Tab, selector: str) -> None:
    place = await middle(tab, selector)
    await tab.mouse("Pressed", *place)
    await tab.mouse("Released", *place)


async def pixels(tab: Tab, canvas: str) -> Any:
    """What a canvas holds, (H, W, 3) BGR."""
    url = await tab.value(f"document.getElementById('{canvas}').toDataURL('image/png')")
    return cv2.imdecode(np.frombuffer(b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.02)


def test_frames_change_and_figures_fill_and_nothing_is_wrong(visit: Visit, sink: Sink, feeder: Feeder) -> None:
    async def act(tab: Tab) -> None:
        await watch(tab, sink)
        first = await tab.value("document.getElementById('stage').dataset.frame")
        await tab.until(f"document.getElementById('stage').dataset.frame > {int(first) + 1}")
        await tab.until("document.getElementById('state').textContent === 'running'")
        for text in ("bicubic x4", "48×32 → 192×128", "camera:0", "newer came", "lost for 2 s"):
            await tab.until(f"document.body.innerText.includes({text!r})")  # figures come by a message of their own
        await tab.until("document.getElementById('chart').getAttribute('aria-label').includes('network')")
        colours = "new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
        await tab.until(f"(c => {colours})(document.getElementById('chart')) > 5")
        assert tab.problems == []

    feeder.figures.drop("newer came", 3)
    feeder.figures.event("lost for 2 s")
    visit(act)


def test_the_bicubic_in_the_browser_is_the_ruler(visit: Visit, sink: Sink) -> None:
    async def act(tab: Tab) -> None:
        await watch(tab, sink)
        error = np.abs((await pixels(tab, "bicubic")).astype(int) - upscale(low, 4))
        assert error.max() <= 1, f"of float32: {np.bincount(error.ravel())}"
        assert (error > 0).mean() < 0.01

    low = np.random.default_rng(1).integers(0, 256, (21, 34, 3), np.uint8)  # noise overshoots most
    feeder = Feeder(sink)
    feeder._lows = [low]
    feeder.frame()
    visit(act)


def test_the_divider_moves_by_pointer_and_by_key(visit: Visit, sink: Sink, feeder: Feeder) -> None:
    async def act(tab: Tab) -> None:
        await watch(tab, sink)
        now = "Number(document.getElementById('divider').getAttribute('aria-valuenow'))"
        assert await tab.value(now) == 50
        x, y = await middle(tab, "#divider")
        await tab.drag((x, y), (x - 150, y))
        dragged = await tab.value(now)
        assert dragged < 45
        cut = await tab.value("getComputedStyle(document.getElementById('high-pane')).clipPath")
        left, *_ = await tab.box("#stage")
        assert float(cut.rstrip("px)").split()[-1]) == pytest.approx(x - 150 - left, abs=2)
        await tab.value("document.getElementById('divider').focus()")
        await tab.key("ArrowRight")
        assert await tab.value(now) == dragged + 2
        await tab.key("End")
        assert await tab.value(now) == 100

    visit(act)


def test_zoom_by_wheel_key_and_fingers_and_moving(visit: Visit, sink: Sink, feeder: Feeder) -> None:
    async def act(tab: Tab) -> None:
        await watch(tab, sink)
        scale = "new DOMMatrix(getComputedStyle(document.getElementById('high')).transform)"
        whole = await tab.value(f"{scale}.a")
        x, y = await middle(tab, "#stage")
        await tab.mouse("Wheel", x + 100, y, deltaX=0, deltaY=-300)
        await tab.until(f"{scale}.a > {whole * 1.5}")
        before = await tab.value(f"{scale}.e")
        await tab.drag((x + 150, y), (x + 90, y))
        assert await tab.value(f"{scale}.e") == pytest.approx(before - 60, abs=1)
        same = "getComputedStyle(document.getElementById('bicubic')).transform"
        assert await tab.value(f"{same} === {same.replace('bicubic', 'high')}")
        await tab.key("0")
        assert await tab.value(f"{scale}.a") == pytest.approx(whole)
        await tab.key("+")
        assert await tab.value(f"{scale}.a") > whole
        await tab.key("0")
        fingers = [{"x": x - 20, "y": y, "id": 0}, {"x": x + 20, "y": y, "id": 1}]
        await tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=fingers)
        for apart in (40, 60):
            fingers = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
            await tab.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=fingers)
        await tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        await tab.until(f"Math.abs({scale}.a / {whole} - 3) < 0.2")

    visit(act)


def test_pause_holds_the_picture_and_resume_goes_on(visit: Visit, sink: Sink, feeder: Feeder) -> None:
    async def act(tab: Tab) -> None:
        await watch(tab, sink)
        await tab.key(" ")
        await until(lambda: feeder.controls.paused)
        await tab.until("document.getElementById('pause').getAttribute('aria-pressed') === 'true'")
        await tab.until("document.getElementById('state').textContent === 'paused'")
        last = feeder.count - 1
        await tab.until(f"document.getElementById('stage').dataset.frame == {last}")
        await click(tab, "#pause")
        await until(lambda: not feeder.controls.paused)
        await tab.until(f"document.getElementById('stage').dataset.frame > {last}")

    visit(act)


def test_a_snapshot_downloads_both_pictures(visit: Visit, sink: Sink, feeder: Feeder, tmp_path: Path) -> None:
    async def act(tab: Tab) -> None:
        await tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        await watch(tab, sink)
        await click(tab, "#snapshot")
        await until(lambda: len(list(tmp_path.glob("*.png"))) == 2)

    visit(act)
    bicubic, high = sorted(tmp_path.glob("*.png"))
    assert bicubic.name.endswith("-bicubic.png") and high.name == bicubic.name.replace("bicubic", "super-resolved")
    # The feeder's network is the bicubic one, so both are the same, without loss.
    np.testing.assert_array_equal(cv2.imread(str(bicubic)), cv2.imread(str(high)))


def test_a_region_is_dragged_and_dragged_within_and_cleared(visit: Visit, sink: Sink, feeder: Feeder) -> None:
    async def act(tab: Tab) -> None:
        await watch(tab, sink)
        await drag_region(tab, (0.25, 0.25), (0.75, 0.75))
        await until(lambda: feeder.controls.region is not None)
        near(feeder.controls.region, Region(12, 8, 24, 16))
        await tab.until("!document.getElementById('whole').disabled")
        await tab.until("document.getElementById('sizes').textContent.startsWith('2')")  # about 24, no more 48
        first = feeder.controls.region
        await drag_region(tab, (0.5, 0.0), (1.0, 0.5))
        await until(lambda: feeder.controls.region != first)
        near(feeder.controls.region, Region(24, 8, 12, 8))
        await click(tab, "#whole")
        await until(lambda: feeder.controls.region is None)

    async def drag_region(tab: Tab, start: tuple[float, float], end: tuple[float, float]) -> None:
        await click(tab, "#region")
        x, y, width, height = await tab.box("#high")
        await tab.drag((x + start[0] * width, y + start[1] * height), (x + end[0] * width, y + end[1] * height))

    def near(found: Region | None, wanted: Region) -> None:
        assert found is not None
        pairs = zip(
            (found.x, found.y, found.width, found.height),
            (wanted.x, wanted.y, wanted.width, wanted.height),
            strict=True,
        )
        assert all(abs(a - b) <= 2 for a, b in pairs), f"{found}, not about {wanted}"

    visit(act)


def test_a_region_is_chosen_by_keys(visit: Visit, sink: Sink, feeder: Feeder) -> None:
    async def act(tab: Tab) -> None:
        await watch(tab, sink)
        await tab.key("r")
        assert not await tab.value("document.getElementById('selection').hidden")
        await tab.key("Escape")
        assert await tab.value("document.getElementById('selection').hidden") and feeder.controls.region is None
        await tab.key("r")
        await tab.key("ArrowRight")
        await tab.key("Enter")
        await until(lambda: feeder.controls.region is not None)

    visit(act)


def test_a_wrong_token_is_refused_and_the_right_one_leaves_the_address(visit: Visit) -> None:
    async def act(tab: Tab) -> None:
        await tab.open(f"{sink.title}/?token=not-the-token-that-is-right")
        assert "needs the token" in await tab.value("document.body.innerText")
        assert await tab.value("document.getElementById('stage')") is None
        await tab.open(f"{sink.title}/?token={TOKEN}")
        await tab.until("document.getElementById('stage').dataset.frame >= 0")
        assert TOKEN not in await tab.value("location.href + document.cookie")
        await tab.open(sink.title)  # by the cookie alone
        await tab.until("document.getElementById('stage').dataset.frame >= 0")

    with open_web(f"//127.0.0.1:0?token={TOKEN}", INFO, False) as sink:
        Feeder(sink).frame()
        visit(act)


def test_a_phone_shows_everything_in_its_width(visit: Visit, sink: Sink, feeder: Feeder) -> None:
    async def act(tab: Tab) -> None:
        await tab.call("Emulation.setDeviceMetricsOverride", **PHONE)
        try:
            await watch(tab, sink)
            assert await tab.value("document.documentElement.scrollWidth") == PHONE["width"]
            inside = "[...document.querySelectorAll('button, canvas.chart, .card, #divider')].every(e => "
            inside += "(r => r.left >= -1 && r.right <= innerWidth + 1)(e.getBoundingClientRect()))"
            assert await tab.value(inside)
            assert await tab.value("[...document.querySelectorAll('button')].every(e => e.offsetHeight >= 44)")
            x, y = await middle(tab, "#divider")
            for kind, points in (("Start", [(x, y)]), ("Move", [(x + 60, y)]), ("Move", [(x + 90, y)]), ("End", [])):
                touches = [{"x": a, "y": b} for a, b in points]
                await tab.call("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=touches)
            await tab.until("Number(document.getElementById('divider').getAttribute('aria-valuenow')) > 60")
        finally:
            await tab.call("Emulation.clearDeviceMetricsOverride")

    visit(act)


def test_nothing_moves_while_figures_change(visit: Visit, sink: Sink) -> None:
    async def act(tab: Tab) -> None:
        places = (
            "JSON.stringify([...document.querySelectorAll('header, #stage, .tools, .tools *, .rates, #chart')].map("
        )
        places += "e => (r => [r.x, r.y, r.width, r.height].map(Math.round))(e.getBoundingClientRect())))"
        await tab.open(sink.title)
        await tab.until("document.getElementById('state').textContent === 'running'")
        before = await tab.value(places)
        feeder.frame()
        feeder.figures.drop("newer came", 123_456)
        feeder.controls.paused = True
        await tab.until("document.getElementById('pause').getAttribute('aria-pressed') === 'true'")
        await tab.until("document.getElementById('stage').dataset.frame >= 0")
        assert await tab.value(places) == before

    feeder = Feeder(sink)
    visit(act)


def test_the_page_says_what_it_lacks_and_comes_back(visit: Visit) -> None:
    async def act(tab: Tab) -> None:
        with open_web("//:0", INFO, False) as first:
            feeder = Feeder(first)
            await watch_one(tab, first, feeder)
            feeder.figures.tell(state="source lost")
            await tab.until("document.getElementById('notice').textContent.startsWith('Source lost')")
            port = first.title.rsplit(":", 1)[1]
        await tab.until("document.getElementById('notice').textContent.startsWith('The stream is over')")
        with open_web(f"//:{port}", INFO, False) as second:
            Feeder(second)
            await tab.until("document.getElementById('state').textContent === 'running'")

    async def watch_one(tab: Tab, sink: Sink, feeder: Feeder) -> None:
        feeder.frame()
        await watch(tab, sink)

    visit(act)
