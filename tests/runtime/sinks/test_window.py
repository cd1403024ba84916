"""The window: with a fake screen, and a real one where Xvfb is installed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest

from edgesr.runtime.errors import EdgeSRError, MissingDependency
from edgesr.runtime.frame import Frame
from edgesr.runtime.region import Region
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sinks import window as window_module
from edgesr.runtime.sinks.window import WindowSink
from edgesr.runtime.sources import StreamInfo
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import Figures

INFO = StreamInfo(title="some stream")
ROOT = Path(__file__).parents[3]
LIMIT_S = 60


def frame(index: int = 0) -> Frame:
    return Frame(np.zeros((16, 16, 3), np.uint8), index, 0)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_without_a_display_a_window_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MissingDependency, match="needs a screen") as caught:
        open_sink("window:", INFO)
    assert isinstance(caught.value, EdgeSRError) and "\n" not in str(caught.value)


def test_a_display_that_does_not_answer_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt would end this very process: the window is tried in another."""
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MissingDependency, match="no window can be opened here") as caught:
        open_sink("window:", INFO)
    assert "\n" not in str(caught.value)


class Screen:
    """What WindowSink asks of cv2: a fake that answers with the given key and visibility."""

    WINDOW_NORMAL = WINDOW_KEEPRATIO = WINDOW_GUI_NORMAL = WND_PROP_VISIBLE = 0
    EVENT_MOUSEMOVE, EVENT_LBUTTONDOWN, EVENT_LBUTTONUP = 0, 1, 4

    def __init__(self) -> None:
        self.key, self.visible, self.shown, self.open = -1, 1.0, 0, False

    def setMouseCallback(self, name: str, callback: Any) -> None:
        self.drag = lambda a, b: [callback(event, *at, 0, None) for event, at in ((1, a), (0, b), (4, b))]

    def namedWindow(self, name: str, flags: int) -> None:
        self.open = True

    def resizeWindow(self, name: str, width: int, height: int) -> None:
        self.size = width, height

    def imshow(self, name: str, pixels: np.ndarray) -> None:
        self.shown += 1

    def waitKey(self, delay: int) -> int:
        return self.key

    def getWindowProperty(self, name: str, which: int) -> float:
        return self.visible

    def destroyAllWindows(self) -> None:
        self.open = False


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    fake = Screen()
    monkeypatch.setattr(window_module, "opencv", lambda: fake)
    monkeypatch.setattr(window_module, "_probe", lambda: None)
    return fake


@pytest.mark.parametrize("end", [{"key": 27}, {"key": ord("q")}, {"visible": 0.0}])
def test_a_key_or_closing_the_window_ends_it(end: dict[str, Any], screen: Screen) -> None:
    with WindowSink() as sink:
        sink.write(frame())
        assert sink.wants_more and screen.size == (16, 16)
        for name, value in end.items():
            setattr(screen, name, value)
        sink.write(frame(1))
        assert not sink.wants_more
        sink.write(frame(2))
        assert screen.shown == 2
    assert not screen.open


def test_the_mouse_marks_a_region_of_the_input_again_and_again(screen: Screen) -> None:
    controls, sink = Controls(), WindowSink()
    sink.attach(Figures(), controls)
    whole = np.zeros((400, 640, 3), np.uint8)
    sink.write(Frame(whole, 0, 0, low=whole[::4, ::4]))
    screen.drag((200, 120), (520, 280))
    assert controls.region == Region(50, 30, 80, 40)
    part = np.zeros((160, 320, 3), np.uint8)
    sink.write(Frame(part, 1, 0, low=part[::4, ::4]))
    screen.drag((320, 160), (160, -20))  # from any corner, and out of the picture
    assert controls.region == Region(50 + 40, 30, 40, 40)
    screen.drag((10, 10), (12, 11))
    assert controls.region == Region(90, 30, 40, 40)  # a click changes nothing
    screen.key = ord("r")
    sink.idle()
    assert controls.region is None


def test_keys_pause_and_end_the_stream_also_while_no_frame_comes(screen: Screen) -> None:
    controls, sink = Controls(), WindowSink()
    sink.attach(Figures(), controls)
    sink.write(frame())
    for key, paused, stopping in ((" ", True, False), ("\x00", True, False), (" ", False, False), ("q", False, True)):
        screen.key = ord(key)
        sink.idle()
        assert controls.paused is paused and controls.stopping.is_set() is stopping
    assert not sink.wants_more


WATCHED = """
import sys, threading, time
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import open_source
from edgesr.runtime.backends import open_backend
from edgesr.runtime.streaming.loop import run
from edgesr.runtime.streaming.network import Network
from edgesr.runtime.streaming.stream import Stream
source = open_source("pattern:natural?size=160x100&live=1&fps=20&scale=1")
stream = Stream(source, [open_sink("window:", source.info)], "newest")
begun = False
def tick():
    global begun
    if not begun and stream.figures.count("shown") > 3:
        begun = True
        print("shown", flush=True)
    if stream.controls.region is not None:
        print("region", stream.controls.region, flush=True)
with Network(lambda: [open_backend("bicubic:2")]) as network:
    run(network, [stream], on_tick=tick)
stream.sinks[0].close()
print("over", flush=True)
"""


@pytest.mark.skipif(not (which("Xvfb") and which("xdotool")), reason="a real window needs apt install xvfb xdotool")
def test_a_real_window_shows_frames_and_heeds_mouse_and_keys(tmp_path: Path) -> None:
    display = ":" + str(os.getpid() % 20000 + 100)
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "WAYLAND_DISPLAY": ""}
    told, failed = tmp_path / "told", tmp_path / "failed"
    server = subprocess.Popen(["Xvfb", display, "-screen", "0", "800x600x24"], stderr=subprocess.DEVNULL)
    watched = None

    def do(*what: str) -> "subprocess.CompletedProcess[str]":
        command = ["xdotool", *what]
        return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=LIMIT_S)

    def has_told(line: str) -> bool:
        assert watched is not None
        assert watched.poll() is None or line in told.read_text(), failed.read_text()
        return line in told.read_text()

    def drag(window: str) -> bool:
        for step in (
            ("mousemove", "40", "60"),
            ("mousedown",),
            ("mousemove", "100", "100"),
            ("mousemove", "200", "160"),
            ("mouseup",),
        ):
            do(step[0], *(("--window", window, *step[1:]) if step[1:] else ("1",)))
            time.sleep(0.2)
        return has_told("region 20,30,80,50")

    def press_q() -> bool:
        do("key", "q")
        return watched is not None and watched.poll() is not None

    try:
        wait_for(lambda: do("getmouselocation").returncode == 0)
        with told.open("w") as out, failed.open("w") as err:
            watched = subprocess.Popen(
                [sys.executable, "-c", WATCHED], env=environment, cwd=ROOT, stdout=out, stderr=err
            )
        wait_for(lambda: "not implemented" in failed.read_text() or has_told("shown"))
        if "not implemented" in failed.read_text():
            pytest.skip("this OpenCV is built without windows")
        wait_for(lambda: bool(do("search", "--name", "edgesr").stdout.split()))
        (window, *_) = do("search", "--name", "edgesr").stdout.split()
        wait_for(lambda: drag(window))
        wait_for(press_q)
        assert watched.returncode == 0 and told.read_text().endswith("over\n"), failed.read_text()
    finally:
        for process in (watched, server):
            if process is not None:
                process.kill()
                process.wait()
