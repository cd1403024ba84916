"""A live stream into a file: its times, and that it is playable whatever ends the run."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from tests.runtime.sinks.live import COLOURS, LIVE, bars_shift, colour_bars, grey, wait_for

from edgesr.runtime.errors import InputError, OutputExists
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import ColourTags, open_source

SUFFIXES = [".mp4", ".mov", ".mkv"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

RECORDER = """
import sys, time
import numpy as np
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo
rng = np.random.default_rng(0)
with open_sink(sys.argv[1], StreamInfo(title="x", live=True)) as sink:
    for index in range(300):  # ten seconds, written as fast as they can be
        sink.write(Frame(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), index, index * 10**9 // 30))
    print("written", flush=True)
    time.sleep(60)
"""


def times_of(file: Path) -> list[float]:
    with av.open(str(file)) as container:
        return [frame.time for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_keep_the_times_of_their_capture(suffix: str, tmp_path: Path) -> None:
    captured_ms = [5000, 5033, 5100, 6400, 6401, 9000]
    with open_sink(f"{tmp_path}/out{suffix}", LIVE) as sink:
        for index, at_ms in enumerate(captured_ms):
            sink.write(Frame(grey(index), index, at_ms * 1_000_000, time_s=77.0))
        assert sink.notes == []
    assert times_of(tmp_path / f"out{suffix}") == pytest.approx([(at - 5000) / 1000 for at in captured_ms], abs=1e-3)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("tags", COLOURS)
def test_colour_bars_come_back_within_two_code_values(suffix: str, tags: ColourTags, tmp_path: Path) -> None:
    file = f"{tmp_path}/out{suffix}"
    with open_sink(file, replace(LIVE, colour=tags)) as sink:
        for index in range(6):
            sink.write(Frame(colour_bars(), index, index * 10**9 // 30))
    with open_source(file) as source:
        *_rest, last = list(source)
        assert source.info.colour == tags
    assert bars_shift(last.pixels) <= 2


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_recording_is_playable_however_the_run_ends(suffix: str, how: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / f"out{suffix}"
    recorder = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(file)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with recorder:
        assert recorder.stdout is not None and recorder.stdout.readline() == "written\n"
        recorder.send_signal(how)
        recorder.wait(20)
    times = times_of(file)
    lost_s = 10 - 1 / 30 - times[-1]
    assert lost_s < (1.5 if how == signal.SIGKILL else 0.01)
    assert np.allclose(np.diff(times), 1 / 30, atol=2e-3)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_what_was_recorded_stays_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_sink(f"{tmp_path}/out.mp4", LIVE) as sink:
        sink.write(Frame(grey(0), 0, 0))
        sink.write(Frame(grey(1), 1, 10**9))
        raise RuntimeError("the camera burnt")
    assert times_of(tmp_path / "out.mp4") == [0.0, 1.0]


@pytest.mark.parametrize("end", ["close", "discard"])
def test_a_recording_without_a_frame_leaves_no_file(end: str, tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/out.mp4", LIVE)
    getattr(sink, end)()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_recording_is_kept_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("precious")
    with pytest.raises(OutputExists):
        open_sink(f"{tmp_path}/out.mp4", LIVE)
    assert (tmp_path / "out.mp4").read_text() == "precious"
    with open_sink(f"{tmp_path}/out.mp4", LIVE, force=True) as sink:
        sink.write(Frame(grey(0), 0, 0))
    assert times_of(tmp_path / "out.mp4") == [0.0]


def test_an_older_recording_stays_where_no_frame_came(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("precious")
    with open_sink(f"{tmp_path}/out.mp4", LIVE, force=True):
        pass
    assert (tmp_path / "out.mp4").read_text() == "precious"


def test_another_size_is_refused_and_what_was_recorded_stays(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a video has one size"), open_sink(f"{tmp_path}/out.mp4", LIVE) as sink:
        sink.write(Frame(grey(0), 0, 0))
        sink.write(Frame(grey(1, 32, 32), 1, 10**8))
    assert times_of(tmp_path / "out.mp4") == [0.0]


FULL_DISK = """
import resource, sys
import numpy as np
from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
rng = np.random.default_rng(0)
try:
    with open_sink(sys.argv[1], StreamInfo(title="x", live=True)) as sink:
        for index in range(600):
            sink.write(Frame(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8), index, index * 10**9 // 30))
except OutputFailed as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_one_line_and_leaves_a_playable_file(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"out{suffix}"
    command = [sys.executable, "-c", FULL_DISK, str(file)]
    ended = subprocess.run(command, env=ENVIRONMENT, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr and ended.stderr.count("\n") == 1
    readable = []
    with av.open(str(file)) as container:
        try:
            for frame in container.decode(video=0):
                readable.append(frame.time)
        except av.FFmpegError:  # the last fragment is cut
            pass
    assert len(readable) > 30


def test_a_recording_grows_while_it_is_made(tmp_path: Path) -> None:
    file = tmp_path / "out.mp4"
    with open_sink(str(file), LIVE) as sink:
        for index in range(70):
            sink.write(Frame(grey(index), index, index * 10**9 // 30))
        wait_for(lambda: file.stat().st_size > 1000, "the first seconds in the file")
        assert times_of(file)[-1] > 0.9
