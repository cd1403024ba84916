"""Frames into GStreamer pipelines."""

import socket
from pathlib import Path

import av
import pytest
from tests.runtime.sinks.live import LIVE, bars_shift, colour_bars, grey

from edgesr.runtime.errors import InputError, MissingDependency, OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.libgstreamer import has_element
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo, open_source

needs_gstreamer = pytest.mark.skipif(
    not (has_element("x264enc") and has_element("h264parse") and has_element("mp4mux")),
    reason="needs gstreamer1.0-plugins-good, -bad and -ugly",
)


@needs_gstreamer
def test_colour_bars_come_back_within_two_code_values(tmp_path: Path) -> None:
    file = tmp_path / "out.mp4"
    with open_sink(f"gst:h264 bitrate=20000 ! mp4mux ! filesink location={file}", LIVE) as sink:
        assert any("encoded in" in note for note in sink.notes)
        for index in range(10):
            sink.write(Frame(colour_bars(height=128), index, 0))
    with open_source(str(file)) as source:
        *_rest, last = list(source)
        assert source.info.colour is not None and source.info.colour.matrix == 1
    assert bars_shift(last.pixels) <= 2


@needs_gstreamer
def test_another_size_starts_the_pipeline_anew() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        port = listener.getsockname()[1]
        with open_sink(f"gst:h264 ! rtph264pay ! udpsink host=127.0.0.1 port={port}", LIVE) as sink:
            sources = set()
            for size in ((64, 48), (96, 80)):
                for index in range(10):
                    sink.write(Frame(grey(index, *size), index, 0))
            while len(sources) < 2:
                sources.add(listener.recv(2000)[8:12])


@needs_gstreamer
def test_a_pipeline_that_writes_a_file_refuses_another_size(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="filesink would begin its file anew"),
        open_sink(f"gst:h264 ! filesink location={tmp_path}/out.h264", LIVE) as sink,
    ):
        sink.write(Frame(grey(0), 0, 0))
        sink.write(Frame(grey(1, 32, 32), 1, 0))


@needs_gstreamer
@pytest.mark.parametrize(
    ("tail", "kind", "says"),
    [
        ("", InputError, "is empty"),
        ("appsrc ! fakesink", InputError, "leave it out"),
        ("videoconvert !! fakesink", InputError, "no pipeline"),
        ("nosuchelement ! fakesink", MissingDependency, "needs GStreamer's element nosuchelement"),
        ("fakesink nosuchproperty=1", InputError, "no pipeline"),
    ],
)
def test_what_is_no_pipeline_is_refused_at_once_in_one_line(tail: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        open_sink(f"gst:{tail}", LIVE)
    assert "\n" not in str(caught.value)


@needs_gstreamer
def test_a_pipeline_that_fails_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputFailed, match="nowhere"),
        open_sink(f"gst:h264 ! filesink location={tmp_path}/nowhere/out.h264", LIVE) as sink,
    ):
        for index in range(100):
            sink.write(Frame(grey(index), index, 0))


@needs_gstreamer
def test_it_may_be_closed_and_discarded_twice() -> None:
    sink = open_sink("gst:fakesink", StreamInfo(title="x", live=True))
    sink.write(Frame(grey(0), 0, 0))
    for again in (sink.close, sink.discard, sink.close):
        again()
    open_sink("gst:fakesink", LIVE).discard()


@needs_gstreamer
def test_all_frames_of_a_file_arrive(tmp_path: Path) -> None:
    file = tmp_path / "out.mkv"
    with open_sink(f"gst:h264 ! matroskamux ! filesink location={file}", StreamInfo(title="x")) as sink:
        for index in range(40):
            sink.write(Frame(grey(index), index, 0))
    with av.open(str(file)) as container:
        assert len(list(container.decode(video=0))) == 40
