"""Sinks: the table, images, folders and null. Videos are in test_video.py, windows and streams in sinks/."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest

from edgesr.runtime.errors import InputError, OutputExists, OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.images import read_image
from edgesr.runtime.sinks import SINKS, Sink, open_sink
from edgesr.runtime.sinks.null import NullSink
from edgesr.runtime.sources import StreamInfo, open_source

INFO = StreamInfo(title="some stream", frame_rate=Fraction(25))


def frame(index: int = 0, name: str = "", value: int = 0) -> Frame:
    return Frame(np.full((16, 16, 3), value, np.uint8), index, 0, name=name)


TARGETS = {"image": "out.png", "folder": "out/", "video": "out.mp4", "null": "null:"}
"""The others need a screen or a network, and have tests of their own."""


def uri_of(kind: str, folder: Path) -> str:
    return TARGETS[kind] if ":" in TARGETS[kind] else f"{folder}/{TARGETS[kind]}"


@pytest.mark.parametrize("kind", TARGETS)
def test_every_sink_keeps_what_it_was_given_when_closed(kind: str, tmp_path: Path) -> None:
    with open_sink(uri_of(kind, tmp_path), INFO) as sink:
        assert isinstance(sink, Sink) and sink.title and sink.notes == []
        assert sink.wants_more
        sink.write(frame())
    for again in (sink.close, sink.discard, sink.close):
        again()
    assert [path.name for path in tmp_path.iterdir()] == ([] if kind == "null" else [TARGETS[kind].rstrip("/")])


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("written", [0, 1])
def test_every_sink_leaves_nothing_when_it_is_interrupted(kind: str, written: int, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_sink(uri_of(kind, tmp_path), INFO) as sink:
        for index in range(written):
            sink.write(frame(index))
        raise KeyboardInterrupt
    sink.discard()
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["image", "folder", "video"])
def test_an_existing_output_is_refused_before_any_work(kind: str, tmp_path: Path) -> None:
    with open_sink(uri_of(kind, tmp_path), INFO) as sink:
        sink.write(frame(value=40))
    with pytest.raises(OutputExists, match="--force"):
        open_sink(uri_of(kind, tmp_path), INFO)
    with open_sink(uri_of(kind, tmp_path), INFO, force=True) as sink:
        sink.write(frame(value=200))
    written = next(path for path in tmp_path.rglob("*") if path.is_file())
    with open_source(str(written)) as source:
        assert abs(next(iter(source)).pixels.mean() - 200) < 3


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_missing_folder_is_said_before_any_work(kind: str, tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="make it first"):
        open_sink(f"{tmp_path}/nowhere/{TARGETS[kind]}", INFO)


def test_every_entry_of_the_table_can_be_loaded() -> None:
    assert all(callable(resolve_name(entry)) for entry in SINKS.values())
    assert set(TARGETS) | {"window", "rtsp", "udp", "gst", "http"} == set(SINKS)


@pytest.mark.parametrize("uri", ["out.gif", "out.avi", "rtmp://host/live", "", "null:5", "window:5"])
def test_what_cannot_be_opened_is_refused_in_one_line(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        open_sink(uri, INFO)
    assert "expected" in str(caught.value) and "\n" not in str(caught.value)


def test_the_input_is_no_output_even_with_force(tmp_path: Path) -> None:
    with open_sink(f"{tmp_path}/a.png", INFO) as sink:
        sink.write(frame())
    for origin, target in (("a.png", "a.png"), ("", ""), ("a.png", "")):
        with open_source(f"{tmp_path}/{origin}") as source, pytest.raises(InputError, match="is the input"):
            open_sink(f"{tmp_path}/{target}", source.info, force=True)


def test_a_second_frame_is_no_matter_for_an_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"write to the folder .*out/"), open_sink(f"{tmp_path}/out.png", INFO) as sink:
        sink.write(frame(0))
        sink.write(frame(1))
    assert list(tmp_path.iterdir()) == []


def test_an_image_for_a_stream_of_many_frames_is_refused_at_once(tmp_path: Path) -> None:
    pattern = "pattern:natural?size=16x12&frames=5"
    with open_source(pattern) as source, pytest.raises(InputError, match="has 5 frames"):
        open_sink(f"{tmp_path}/out.png", source.info)
    with open_source(pattern, frames=1) as source, open_sink(f"{tmp_path}/out.png", source.info) as sink:
        for one in source:
            sink.write(one)
    assert read_image(tmp_path / "out.png")[0].shape == (12, 16, 3)


def test_a_folder_names_files_after_frames_or_their_index(tmp_path: Path) -> None:
    with open_sink(f"{tmp_path}/out", INFO) as sink:
        sink.write(frame(0, "cat"))
        sink.write(frame(7))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000007.png", "cat.png"]


def test_two_frames_of_one_name_are_refused_by_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two frames are called cat"), open_sink(f"{tmp_path}/out", INFO) as sink:
        sink.write(frame(0, "cat"))
        sink.write(frame(1, "cat"))
    assert list(tmp_path.iterdir()) == []


def test_a_discarded_folder_loses_only_what_was_written_into_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RuntimeError), open_sink(str(tmp_path), INFO, force=True) as sink:
        sink.write(frame(0))
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputExists, match="is a file"):
        open_sink(str(tmp_path / "out"), INFO, force=True)


def test_null_counts_and_can_have_enough() -> None:
    sink = NullSink(enough=2)
    for index in range(2):
        assert sink.wants_more
        sink.write(frame(index))
    assert sink.count == 2 and not sink.wants_more


FULL_DISK = """
import resource, sys
import numpy as np
from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
try:
    with open_sink(sys.argv[1], StreamInfo(title="x")) as sink:
        sink.write(Frame(pixels, 0, 0))
except OutputFailed as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("kind", ["image", "folder"])
def test_a_full_disk_is_one_line_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", FULL_DISK, uri_of(kind, tmp_path)]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr and ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
