from dataclasses import replace
from pathlib import Path

import pytest

from edgesr.benchmarks.__main__ import run
from edgesr.benchmarks.machine import Machine
from edgesr.benchmarks.merge import letters, merged_markdown
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.report import latency_json
from edgesr.benchmarks.stored import read_results
from edgesr.runtime.command import command


@pytest.fixture
def other(result: LatencyResult) -> LatencyResult:
    """Of another machine, at another size."""
    settings = replace(result.settings, width=64, height=32)
    return replace(result, machine=Machine("a board", 6, (), {"edgesr": "0"}, {}), settings=settings)


def test_files_are_joined_and_can_be_joined_again(
    result: LatencyResult, other: LatencyResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    third = replace(other, started="2026-02-02T00:00:00+00:00")
    a, b, c, both, every = (tmp_path / f"{name}.json" for name in ("a", "b", "c", "both", "every"))
    for path, each in ((a, result), (b, other), (c, third)):
        path.write_text(latency_json(each))
    assert command(run, ["merge", str(a), str(b), "-o", str(both)]) == 0
    assert "2 runs of 2 machines" in capsys.readouterr().out
    assert command(run, ["merge", str(both), str(c), "-o", str(every)]) == 0
    assert read_results(every) == (result, other, third)


def test_markdown_has_one_table_and_says_what_each_run_is(result: LatencyResult, other: LatencyResult) -> None:
    text = merged_markdown((result, other))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert [line.split(" | ")[:3] for line in table[2:]] == [
        ["| A", "32x16", "fast"], ["| A", "32x16", "slow\\|one (untrained)"], ["| A", "32x16", "floats"],
        ["| B", "64x32", "fast"], ["| B", "64x32", "slow\\|one (untrained)"], ["| B", "64x32", "floats"],
    ]  # fmt: skip
    assert "- **A**: latency at 32x16" in text and "- **B**: latency at 64x32" in text and "a board, 6 cores" in text
    assert text.count("random weights, for timing only") == 1  # what holds of both is said once


def test_invalid_runs_stay_marked(result: LatencyResult, other: LatencyResult) -> None:
    text = merged_markdown((result, replace(other, invalid="GPU x moved")))
    assert "- **B**: INVALID: GPU x moved" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.json", "a.json", "-o", "x.json"], "a.json holds a run that a.json holds as well"),
        (["a.json", "-o", "x.txt"], "x.txt does not end in .json, .md, .html"),
        (["a.json", "-o", "a.json", "--force"], "a.json is one of the files that are read"),
        (["none.json", "-o", "x.json"], "none.json does not exist"),
        (["junk.json", "-o", "x.json"], "junk.json is no result"),
        (["a.json", "-o", "junk.json"], "exists already"),
        (["a.json"], "-o/--output"),
    ],
)
def test_one_clear_line(
    arguments: list[str],
    words: str,
    result: LatencyResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(latency_json(result))
    Path("junk.json").write_text("junk")
    assert command(run, ["merge", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "junk.json"]


def test_letters_do_not_end() -> None:
    found = [name for name, _ in zip(letters(), range(703), strict=False)]
    assert (found[0], found[25], found[26], found[27], found[701], found[702]) == ("A", "Z", "AA", "AB", "ZZ", "AAA")
