"""The machine's state beside a stream: found by entry point, played, and on a made board."""

import json
import sys
import time
from collections.abc import Mapping
from importlib.metadata import EntryPoints
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.jetson.orin_tree import write_orin

from edgesr.jetson.machine_log import BoardLog
from edgesr.runtime.__main__ import main_run, recorded
from edgesr.runtime.command import command
from edgesr.runtime.errors import EdgeSRError, InputError, MissingDependency
from edgesr.runtime.streaming.log import Log
from edgesr.runtime.streaming.machine import Machine, MachineLog, find_recorder


class Played:
    """A recorder that says what a test wants, or fails where it wants."""

    def __init__(self, *broken: str, age_s: float = 0.0) -> None:
        self.notes = ["this machine does not tell power"]
        self.did: list[str] = []
        self._broken, self._age_ns = broken, int(age_s * 1e9)

    def _does(self, what: str) -> None:
        self.did.append(what)
        if what in self._broken:
            raise OSError(f"{what}: the sensor\nis gone")

    def start(self) -> None:
        self._does("start")

    def stop(self) -> None:
        self._does("stop")

    def latest(self) -> Mapping[str, Any] | None:
        self._does("latest")
        return {"at_ns": time.perf_counter_ns() - self._age_ns, "watts": 7.5}

    def summary(self, frames: int) -> Mapping[str, Any]:
        self._does("summary")
        return {"frames": frames}

    def describe(self, frames: int) -> list[str]:
        return [f"7.50 W, {frames} frames"]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install a distribution that declares a recorder; what is really installed is out of sight."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    real = sys.modules["importlib.metadata"].entry_points

    def entry_points(**wanted: str) -> EntryPoints:
        return EntryPoints(entry for entry in real(**wanted) if "made_recorder" in entry.value)

    monkeypatch.setattr("edgesr.runtime.streaming.machine.entry_points", entry_points)

    def put(code: str, name: str = "board") -> None:
        (site / "made_recorder.py").write_text(code)
        (site / "made-1.dist-info").mkdir()
        (site / "made-1.dist-info" / "METADATA").write_text("Name: made\nVersion: 1\n")
        declared = f"[edgesr.recorders]\n{name} = made_recorder:Made\n"
        (site / "made-1.dist-info" / "entry_points.txt").write_text(declared)

    yield put
    sys.modules.pop("made_recorder", None)


BOARD = """
from pathlib import Path
from edgesr.jetson.machine_log import BoardLog
def Made():
    return BoardLog(Path({root!r}), interval_s=0.01)
"""


@pytest.fixture
def board(tmp_path: Path, install: Any) -> Path:
    """An Orin Nano's tree, installed as what edgesr-run asks."""
    root = tmp_path / "orin"

    def write(path: str, content: str) -> None:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    write_orin(write)
    install(BOARD.format(root=str(root)))
    return root


def run(*arguments: str) -> int:
    return command(main_run, [*arguments, "--model", "bicubic:2"])


def test_beside_each_frame_in_the_log_and_at_the_end(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, report = tmp_path / "log.jsonl", tmp_path / "report.json"
    source = "pattern:natural?size=16x12&frames=8&live=1&fps=40"
    assert run(source, "null:", "--log", str(log), "--report", str(report), "--machine") == 0
    *lines, last = [json.loads(line) for line in log.read_text().splitlines()]
    frames = [line for line in lines if "frame" in line]
    stamp = {"gpu_load": 43.7, "gpu_mhz": 305.25, "cpu_mhz": 1510.4, "hottest": 48.0, "watts": 4.83}
    assert len(frames) >= 4 and all("age" in line["stages_ms"] for line in frames)
    assert [line["machine"] for line in frames[-3:]] == [stamp] * 3
    told = json.loads(report.read_text())["machine"]
    assert told == last["summary"] and told["frames"] == len(frames)
    assert told["joules_per_frame"] == pytest.approx(4.83 * told["seconds"] / told["frames"], rel=0.05)
    said = capsys.readouterr().err
    assert "machine: 4.83 W on average, " in said and "J a frame" in said and "48.0 °C" in said


def test_two_streams_share_one_machine(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "pattern:natural?size=16x12&frames=3"
    assert run(source, "null:", "--also", source, "null:", "--machine", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["streams"]) == 2 and told["machine"]["frames"] == 6


def test_a_machine_that_tells_nothing_says_so_in_one_line(
    tmp_path: Path, install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install(BOARD.format(root=str(tmp_path / "nothing here")))
    assert run("pattern:natural?size=16x12&frames=2", "null:", "--machine", "--log", str(tmp_path / "log")) == 0
    note, *others = capsys.readouterr().err.splitlines()
    assert note == "note: this machine does not tell power, temperatures, the GPU's load, the GPU's clock"
    assert not any("machine" in line for line in others)
    assert "machine" not in json.loads((tmp_path / "log").read_text().splitlines()[0])


def test_no_recorder_is_a_clear_line_before_any_work(
    tmp_path: Path, install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install("", name="other")
    assert run("pattern:natural?frames=1", "null:", "--machine", "--log", str(tmp_path / "log")) == 2
    assert "no recorder board is installed (found: other)" in capsys.readouterr().err
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("import no_such_module", MissingDependency, "cannot be used: No module named"),
        ("Made = 1 / 0", MissingDependency, "cannot be used: division by zero"),
        ("Other = 1", MissingDependency, "cannot be used"),
        ("def Made(): raise RuntimeError", MissingDependency, "cannot be used: RuntimeError"),
        ("Made = object", InputError, "is no recorder"),
    ],
)
def test_a_recorder_that_is_none(install: Any, code: str, kind: type[EdgeSRError], message: str) -> None:
    install(code)
    with pytest.raises(kind, match=message):
        find_recorder()


def test_what_a_recorder_fails_at_is_told_and_ends_nothing() -> None:
    recorder = Played("start", "stop", "latest", "summary")
    machine = Machine(recorder, lambda: 12)
    with machine:
        assert machine.stamp() is None and machine.stamp() is None
    assert recorder.did == ["start", "latest", "latest", "stop", "summary"]
    assert machine.summary is None and machine.lines[0] == "7.50 W, 12 frames"
    assert machine.lines[1:] == [
        f"its recorder failed: {what}: the sensor is gone" for what in ("start", "latest", "stop")
    ]


def test_frames_are_counted_when_it_is_over_and_the_error_of_the_stream_goes_on() -> None:
    count, recorder = [3], Played()
    machine = Machine(recorder, lambda: count[0])
    with pytest.raises(ZeroDivisionError), machine:
        count[0] = 40
        raise ZeroDivisionError
    assert machine.summary == {"frames": 40} and recorder.did[:2] == ["start", "stop"]


def test_a_stream_that_is_broken_off_still_tells(tmp_path: Path) -> None:
    told = Console(file=StringIO(), width=200)
    with Log(tmp_path / "log") as log, pytest.raises(KeyboardInterrupt):  # noqa: SIM117
        with recorded(Machine(Played(), lambda: 5), log, told):
            raise KeyboardInterrupt
    assert told.file.getvalue() == "note: this machine does not tell power\nmachine: 7.50 W, 5 frames\n"
    assert json.loads((tmp_path / "log").read_text())["summary"] == {"frames": 5}


def test_what_was_seen_long_ago_stands_beside_no_frame() -> None:
    assert Machine(Played(age_s=4.0), lambda: 0).stamp() == {"watts": 7.5}
    assert Machine(Played(age_s=6.0), lambda: 0).stamp() is None


def test_both_recorders_are_what_a_stream_asks_for() -> None:
    assert isinstance(Played(), MachineLog) and isinstance(BoardLog(), MachineLog)
