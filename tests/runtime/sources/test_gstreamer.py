"""Streams out of GStreamer as sources: their colours, their ends, and being interrupted."""

import subprocess
import time
from fractions import Fraction
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

from edgesr.runtime.errors import EdgeSRError, InputError, MissingDependency, SourceFailed
from edgesr.runtime.libgstreamer import has_element, is_installed
from edgesr.runtime.sources.base import ColourTags
from edgesr.runtime.sources.gstreamer import GStreamerSource, open_csi, open_gst
from edgesr.runtime.sources.network import open_network
from edgesr.runtime.sources.part import WHOLE, Part
from edgesr.runtime.sources.yuv import YUVFromBGR

pytestmark = pytest.mark.skipif(not is_installed(), reason="no GStreamer: apt install gstreamer1.0-plugins-good")

LIVE = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1"
BARS = np.array(
    [
        *[
            (255, 255, 255),
            (0, 255, 255),
            (255, 255, 0),
            (0, 255, 0),
            (255, 0, 255),
            (0, 0, 255),
            (255, 0, 0),
            (0, 0, 0),
        ],
        *[(30, 60, 90), (200, 120, 40), (10, 10, 10), (128, 128, 128)],
    ],
    np.uint8,
)
BAR = 32


def bars() -> np.ndarray:
    return np.repeat(np.tile(BARS, (64, 1, 1)), BAR, axis=1)


def write_bars(path: Path, tags: ColourTags) -> None:
    picture = bars()
    height, width = picture.shape[:2]
    convert = YUVFromBGR(width, height, tags)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        codec = stream.codec_context
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.colorspace, codec.color_range = tags.matrix, 2 if tags.full_range else 1
        codec.color_primaries, codec.color_trc = tags.primaries, tags.transfer
        for number in range(5):
            frame = convert(picture)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 6], ids=["bt709", "bt601"])
def test_colour_bars_come_out_unshifted(matrix: int, full_range: bool, tmp_path: Path) -> None:
    if not has_element("avdec_h264"):
        pytest.skip("no avdec_h264: apt install gstreamer1.0-libav")
    file = tmp_path / "bars.ts"
    write_bars(file, ColourTags(matrix, full_range, matrix, matrix))
    with open_gst(f"filesrc location={file} ! tsdemux ! h264 ! appsink drop=false", WHOLE) as source:
        frames = [frame.pixels.copy() for frame in source]
    assert len(frames) == 5
    middles = frames[2][32, BAR // 2 :: BAR].astype(int)
    off = np.abs(middles - BARS)
    assert off.max() <= 2, f"off by up to {off.max()}:\n{middles}\n{BARS}"


def test_a_live_pipeline_gives_its_newest_frame_with_its_age() -> None:
    with open_gst(LIVE, WHOLE) as source:
        assert source.info.live and source.info.frame_count is None
        assert (source.info.width, source.info.height, source.info.frame_rate) == (64, 48, Fraction(30))
        first = source.read()
        time.sleep(0.5)  # frames pile up nowhere
        source.read()
        newest = source.read()
        assert first is not None and newest is not None
        assert newest.captured_ns - first.captured_ns > 0.4e9
        assert newest.captured_ns <= newest.decoded_ns <= time.perf_counter_ns()
        assert [first.index, newest.index] == [0, 2]


def test_a_pipeline_that_drops_nothing_is_no_live_one_and_gives_every_frame() -> None:
    text = "videotestsrc num-buffers=7 ! video/x-raw,width=64,height=48 ! appsink drop=false"
    with open_gst(text, WHOLE) as source:
        assert not source.info.live
        assert [frame.index for frame in source] == list(range(7))
        assert source.read() is None
    with open_gst(text, Part(frames=2)) as source:
        assert len(list(source)) == 2


def test_an_interrupt_ends_a_read_that_waits() -> None:
    source = open_gst("videotestsrc is-live=true ! video/x-raw,framerate=1/10 ! appsink", WHOLE)
    results: list[object] = []
    waiting = Thread(target=lambda: results.append(source.read()))
    waiting.start()
    time.sleep(0.2)
    began = time.monotonic()
    source.interrupt()
    waiting.join(20)
    assert results == [None] and time.monotonic() - began < 5  # far less than the ten seconds to the next frame
    assert source.read() is None
    source.close()
    source.close()


def test_a_stream_that_breaks_off_says_why() -> None:
    with (
        open_gst(f"{LIVE} ! identity error-after=3", WHOLE) as source,
        pytest.raises(SourceFailed, match="gst:videotestsrc"),
    ):
        for _ in range(200):
            source.read()


def test_a_live_stream_that_ends_is_lost() -> None:
    with (
        open_gst(LIVE.replace("true", "true num-buffers=9"), WHOLE) as source,
        pytest.raises(SourceFailed, match="ended"),
    ):
        for _ in range(200):
            source.read()


def test_an_rtsp_stream_comes_through_the_builder_and_its_server_s_death_is_noticed() -> None:
    if not (has_element("rtspsrc") and has_element("avdec_h264") and has_element("x264enc")):
        pytest.skip("no rtspsrc, avdec_h264 or x264enc: apt install gstreamer1.0-{rtsp,libav,plugins-ugly}")
    launch = f"{LIVE} ! x264enc tune=zerolatency key-int-max=15 ! rtph264pay name=pay0"
    command = ["/usr/bin/python3", str(Path(__file__).parents[1] / "rtsp_server.py"), launch, "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        port = server.stdout.readline().strip()
        if not port:
            pytest.skip("no RTSP server for tests: apt install gir1.2-gst-rtsp-server-1.0 python3-gi")
        with open_network(f"rtsp://127.0.0.1:{port}/sr#gstreamer=h264", Part()) as source:
            assert isinstance(source, GStreamerSource)
            assert source.info.live and (source.info.width, source.info.height) == (64, 48)
            assert [frame.index for _ in range(5) if (frame := source.read())] == list(range(5))
            server.kill()
            with pytest.raises(SourceFailed, match=r"rtsp://127\.0\.0\.1"):
                for _ in range(500):
                    source.read()


@pytest.mark.parametrize(
    ("target", "error", "says"),
    [
        ("", InputError, "gst: is empty"),
        ("videotestsrc ! nosuchelement", MissingDependency, "nosuchelement"),
        ("filesrc location=/nowhere/at.all ! decodebin", SourceFailed, "No such file"),
        ("rtspsrc location=rtsp://me:hunter2@127.0.0.1:9/x ! rtph264depay ! h264", EdgeSRError, "gst:rtspsrc"),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_line(target: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        open_gst(target, WHOLE)
    assert says in str(caught.value) and "\n" not in str(caught.value) and "hunter2" not in str(caught.value)


def test_a_live_stream_has_no_start_and_no_end() -> None:
    with pytest.raises(InputError, match="no time"):
        open_gst(LIVE, Part(start_s=1))


@pytest.mark.skipif(has_element("nvarguscamerasrc"), reason="this is a Jetson")
def test_csi_on_a_machine_without_argus_says_what_is_missing() -> None:
    with pytest.raises(MissingDependency, match=r"nvarguscamerasrc.*nvidia-l4t-gstreamer.*camera:0"):
        open_csi("//0?width=1280&height=720&fps=30&flip=2", WHOLE)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("zero", "csi:zero is no camera"),
        ("//0?speed=3", "no option 'speed'"),
        ("//0?flip=9", "flip=9"),
        ("//0?fps=x", "fps=x"),
        ("//0?width=0", "width=0"),
    ],
)
def test_a_csi_camera_that_is_asked_wrongly_is_refused(target: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_csi(target, WHOLE)
