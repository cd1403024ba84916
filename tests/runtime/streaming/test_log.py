"""The log: a JSON line for whatever happens."""

import json
from pathlib import Path

import pytest

from edgesr.runtime.errors import OutputExists, OutputFailed
from edgesr.runtime.streaming.figures import Figures
from edgesr.runtime.streaming.log import Log


def test_frames_drops_and_events_become_lines_of_their_stream(tmp_path: Path) -> None:
    streams = Figures(), Figures()
    with Log(tmp_path / "log.jsonl", clock=lambda: 12.5) as log:
        for number, figures in enumerate(streams):
            log.follow(figures, number)
        streams[0].shown(4, 9, "ecbsr x4", {"network": 2_500_000, "age": 9_000_000})
        streams[1].drop("newer came", 3)
        streams[1].event("source lost")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [
        {"time_s": 12.5, "stream": 0, "frame": 4, "model": "ecbsr x4", "stages_ms": {"network": 2.5, "age": 9.0}},
        {"time_s": 12.5, "stream": 1, "dropped": "newer came", "count": 3},
        {"time_s": 12.5, "stream": 1, "event": "source lost"},
    ]


def test_a_line_is_on_disk_a_second_later_even_where_the_clock_was_set_back(tmp_path: Path) -> None:
    now = [1000.0]
    figures = Figures()
    with Log(tmp_path / "log.jsonl", clock=lambda: now[0]) as log:
        log.follow(figures)
        for now_s in (1000.0, 1001.5, 200.0, 202.0):
            now[0] = now_s
            figures.drop("newer came")
            assert f'"time_s": {now_s}' in (tmp_path / "log.jsonl").read_text()


def test_an_existing_log_is_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("precious")
    with pytest.raises(OutputExists):
        Log(tmp_path / "log.jsonl")
    Log(tmp_path / "log.jsonl", force=True).close()


def test_a_full_disk_is_one_clear_error() -> None:
    figures = Figures()
    log = Log(Path("/dev/full"), force=True, clock=lambda: 0.0)
    log._flushed_s = -10.0
    log.follow(figures)
    with pytest.raises(OutputFailed, match="is the disk full"):
        figures.drop("newer came")
    with pytest.raises(OutputFailed):
        log.close()
