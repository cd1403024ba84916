"""edgesr-run as a user types it: what it makes, and what it says to a mistake."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgesr.runtime.__main__ import main_run
from edgesr.runtime.command import command
from edgesr.runtime.images import read_image, write_image
from edgesr.runtime.options import seconds

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a picture, a folder of pictures and a short video."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    write_image(tmp_path / "photo.png", rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        write_image(tmp_path / "photos" / f"{name}.png", rng.integers(0, 256, (10, 14, 3), dtype=np.uint8))
    return tmp_path


def run(*arguments: str) -> int:
    return command(main_run, arguments)


def test_an_image_becomes_an_image(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photo.png", "out.png") == 0
    assert read_image(place / "out.png")[0].shape == (48, 64, 3)
    table = capsys.readouterr().out
    assert all(stage in table for stage in ("read", "network", "infer", "write", "whole frame", "p95", "p99", "max"))


def test_a_folder_becomes_a_folder_and_the_report_holds_every_sample(place: Path) -> None:
    assert run("photos", "sharp", "null:", "--model", "bicubic:2", "--report", "r.json", "--quiet") == 0
    assert sorted(file.name for file in (place / "sharp").iterdir()) == ["a.png", "b.png"]
    report = json.loads((place / "r.json").read_text())
    assert report["schema"] == 1 and report["model"]["name"] == "bicubic" and report["sinks"] == ["sharp", "null:"]
    assert [len(report["samples_ns"][stage]) for stage in ("read", "network", "infer", "write", "whole frame")] == [
        2
    ] * 5
    assert set(report["stages"]["read"]) == {"count", "median_ms", "p95_ms", "p99_ms", "max_ms"}


def test_pattern_becomes_a_video_that_can_be_read_again(place: Path) -> None:
    assert run("pattern:natural?size=16x12&frames=5", "a.mp4", "--model", "bicubic:2", "--quiet") == 0
    assert run("a.mp4", "frames", "--model", "bicubic:2", "--frames", "3", "--quiet") == 0
    assert len(list((place / "frames").iterdir())) == 3


def test_compare_and_fit_arrange_what_is_written(place: Path) -> None:
    assert run("photo.png", "out.png", "--model", "bicubic:2", "--compare", "--fit", "16x100", "--quiet") == 0
    assert read_image(place / "out.png")[0].shape == (12, 16, 3)


def test_nothing_is_overwritten_without_force(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "out.png").write_bytes(b"precious")
    assert run("photo.png", "out.png") == 2
    assert "exists already" in capsys.readouterr().err and (place / "out.png").read_bytes() == b"precious"
    assert run("photo.png", "out.png", "--force", "--quiet") == 0
    assert read_image(place / "out.png")[0].shape == (48, 64, 3)


def test_json_is_all_that_is_printed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photo.png", "null:", "--json") == 0
    assert json.loads(capsys.readouterr().out)["source"]


MISTAKES = [
    (["nowhere.png", "out.png"], "does not exist"),
    (["text.png", "out.png"], "no image"),
    (["cut.mp4", "out.mp4"], "cut.mp4"),
    (["photo.png", "out.png", "--model", "nowhere.onnx"], "does not exist"),
    (["photo.png", "out.png", "--model", "text.png"], "no model"),
    (["photo.png", "out.png", "--model", "text.onnx"], "cannot be loaded as ONNX"),
    (["photo.png", "nowhere/out.png"], "is no folder"),
    (["photo.png", "out.xyz"], "cannot be written"),
    (["photo.png", "out.png", "--fit", "3"], "is no size"),
    (["photo.png", "out.png", "--start", "noon"], "is no time"),
    (["photo.png", "out.png", "--start", "5"], "start"),
    (["photo.png", "photo.png", "--force"], "is the input"),
    (["nosuch:0", "out.png"], "no known source"),
    (["photo.png"], "has no sink"),
    (["photo.png", "null:", "--report", "nowhere/r.json"], "is no folder"),
    (["photo.png", "null:", "--threads", "0"], "threads is 0"),
    (["/dev/video77", "null:"], "/dev/video77"),
    (["photo.png", "null:", "--also", "photo.png"], "has no sink"),
    ([], "no source and no sink"),
    (["photo.png", "null:", "--model", "bicubic", "--model", "default"], "add --deadline-ms"),
    (["photo.png", "null:", "--model", "bicubic", "--model", "bicubic:2", "--deadline-ms", "30"], "several scales"),
    (["photo.png", "null:", "--deadline-ms", "0"], "expected more than 0"),
    (["photo.png", "null:", "--roi", "10,10,10,10"], "does not lie within"),
    (["photo.png", "null:", "--roi", "1,2,3"], "is no region"),
    (["photo.png", "null:", "--every", "0"], "every is 0"),
    (["photo.png", "null:", "--log", "nowhere/log"], "is no folder"),
    (["photo.png", "null:", "--frozen-s", "-1"], "expected more than 0"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_told_in_one_line_and_leaves_nothing(
    place: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("text.png", "text.onnx"):
        (place / name).write_text("no picture, no model")
    (place / "cut.mp4").write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41\0\0\0\x08free")
    before = sorted(place.iterdir())
    assert run(*arguments) in (1, 2)
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and message in told, told
    assert sorted(place.iterdir()) == before


def start(arguments: list[str], place: Path, limit: int | None = None) -> "subprocess.Popen[str]":
    def limited() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, and all below them, ignore it
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".links")}
    command = [sys.executable, "-m", "edgesr.runtime", *arguments]
    return subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limited,  # noqa: PLW1509 - no thread runs yet when it is called
    )


@pytest.mark.parametrize("sink", ["out.png", "out.mp4", "frames"])
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(place: Path, sink: str) -> None:
    source = "photo.png" if sink == "out.png" else "pattern:natural?size=64x48&frames=30"
    before = sorted(place.iterdir())
    process = start([source, sink, "--model", "bicubic", "--quiet"], place, limit=2000)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1, told
    assert told.startswith("error: ") and told.count("\n") == 1 and sink.split(".")[0] in told
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly(place: Path, number: signal.Signals, code: int) -> None:
    before = sorted(place.iterdir())
    process = start(["pattern:natural?size=64x48&frames=100000", "out.mp4", "--model", "bicubic"], place)
    deadline = time.monotonic() + 60
    while len(list(place.iterdir())) == len(before) and time.monotonic() < deadline:
        time.sleep(0.05)  # until the video has been begun beside its name
    time.sleep(0.3)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert "Traceback" not in told and sorted(place.iterdir()) == before


@pytest.mark.parametrize(("text", "value"), [("12.5", 12.5), ("1:02", 62), ("1:02:03.5", 3723.5)])
def test_times_are_seconds_or_clock(text: str, value: float) -> None:
    assert seconds(text) == value


LIVE = "pattern:natural?live=1&fps=60&size=72x24&scale=1&timecode=1"


def test_a_live_stream_tells_ages_by_stamp_and_by_time_code(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [LIVE, "null:", "--model", "bicubic:2", "--frames", "20", "--time-code", "--log", "log.jsonl", "--json"]
    assert run(*arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["shown"] >= 15 and report["state"] == "over"
    age, by_code = (report["run"][stage] for stage in ("age", "age by time code"))
    assert by_code["count"] == age["count"] and by_code["median_ms"] == pytest.approx(age["median_ms"], abs=2)
    lines = [json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()]
    assert sum("frame" in line for line in lines) == report["shown"]
    assert sum(line.get("count", 0) for line in lines if "dropped" in line) == sum(report["drops"].values())


def test_two_streams_share_a_model_and_are_reported_apart(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["photo.png", "a.png", "--also", "photos", "b", "null:", "--model", "bicubic:2", "--json"]
    assert run(*arguments) == 0
    first, second = json.loads(capsys.readouterr().out)["streams"]
    assert first["sinks"] == ["a.png"] and second["sinks"] == ["b", "null:"]
    assert first["stages"]["write"]["count"] == 1 and second["stages"]["write"]["count"] == 2


def test_a_region_alone_is_super_resolved(place: Path) -> None:
    assert run("photo.png", "part.png", "--model", "bicubic:2", "--roi", "4,2,8,6", "--quiet") == 0
    assert run("photo.png", "whole.png", "--model", "bicubic:2", "--quiet") == 0
    part = read_image(place / "part.png")[0]
    whole = read_image(place / "whole.png")[0]
    assert part.shape == (12, 16, 3) and (part[4:-4, 4:-4] == whole[4:16, 8:24][4:-4, 4:-4]).all()


def test_tiles_give_the_same_picture(place: Path) -> None:
    write_image(place / "wide.png", np.random.default_rng(1).integers(0, 256, (40, 90, 3), dtype=np.uint8))
    assert run("wide.png", "whole.png", "--quiet") == 0
    assert run("wide.png", "tiled.png", "--tile", "64x40", "--quiet") == 0
    assert (read_image(place / "whole.png")[0] == read_image(place / "tiled.png")[0]).all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_live_recording_that_is_stopped_is_whole(number: int, place: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgesr.runtime", LIVE, "out.mp4", "--model", "bicubic:2", "--log", "log.jsonl"],
        cwd=place,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not ((place / "log.jsonl").exists() and (place / "log.jsonl").read_text().count('"frame"') > 10):
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in told
    assert run("out.mp4", "null:", "--model", "bicubic:2", "--quiet") == 0
