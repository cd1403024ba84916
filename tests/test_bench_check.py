"""`make bench-check`'s script: its interval, its choice of a revision, and a regression that is planted."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgesr.runtime.errors import InputError

ROOT = Path(__file__).parent.parent
QUICK = ("bicubic:2", "--size", "32x16", "--rounds", "5", "--pairs", "6")


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import bench_check

    return bench_check


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """This package in a repository of its own with one commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    made = tmp_path / "made"
    for part in ("runtime", "benchmarks", "jetson"):
        shutil.copytree(ROOT / part, made / part, ignore=shutil.ignore_patterns("__pycache__"))
    (made / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bench_check.py", made / "scripts")
    (made / ".gitignore").write_text("__pycache__/\n.bench/\n")
    git(made, "init", "--quiet", "--initial-branch=main")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "--message", "first")
    return made


def checked(repository: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, str(repository / "scripts" / "bench_check.py"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def plant_sleep(repository: Path) -> None:
    file = repository / "runtime" / "backends" / "bicubic.py"
    text = file.read_text()
    slow = text.replace("time.perf_counter_ns() - ", "time.sleep(0.003) or time.perf_counter_ns() - ")
    assert slow != text
    file.write_text(slow)


@pytest.mark.slow
def test_three_milliseconds_more_a_frame_end_with_exit_code_1(repository: Path) -> None:
    plant_sleep(repository)
    done = checked(repository, *QUICK)
    assert done.returncode == 1, done.stderr
    assert "first; new: the working tree" in done.stdout
    assert "error: bicubic:2: network takes" in done.stderr and "whole frame takes" in done.stderr
    assert len(list((repository / ".bench").glob("*.json"))) == 12


@pytest.mark.slow
def test_a_sleep_that_was_taken_out_again_is_no_regression(repository: Path) -> None:
    plant_sleep(repository)
    git(repository, "commit", "--all", "--quiet", "--message", "slow")
    done = checked(repository, *QUICK, "--against", "HEAD~1")
    assert done.returncode == 1, done.stderr
    git(repository, "checkout", "--quiet", "HEAD~1", "--", "runtime")
    done = checked(repository, *QUICK, "--ruler", "own")  # against the last commit, which sleeps
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("faster") == 2


@pytest.mark.slow
def test_an_equal_pair_ends_with_exit_code_0(repository: Path) -> None:
    done = checked(repository, *QUICK, "--against", "HEAD", "--threshold", "1.5")
    assert done.returncode == 0, done.stderr
    assert "runtime is the same in both" in done.stdout


def test_a_revision_that_cannot_run_is_told_apart_from_a_slow_one(repository: Path) -> None:
    (repository / "runtime" / "pipeline.py").write_text("raise RuntimeError('broken')\n")
    git(repository, "commit", "--all", "--quiet", "--message", "broken")
    git(repository, "checkout", "--quiet", "HEAD~1", "--", "runtime")
    done = checked(repository, *QUICK, "--seed", "2")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the old revision cannot be measured: RuntimeError: broken (")


@pytest.mark.slow
def test_a_ruler_that_asks_for_what_the_old_revision_has_not_gives_way_to_the_old_one(repository: Path) -> None:
    for part, line in (
        ("runtime/timing.py", "NEW = 1"),
        ("benchmarks/clip.py", "from edgesr.runtime.timing import NEW"),
    ):
        file = repository / part
        file.write_text(f"{file.read_text()}\n{line}\n")
    done = checked(repository, *QUICK)
    assert done.returncode == 2
    assert "the old revision cannot be measured: ImportError: cannot import name 'NEW'" in done.stderr
    assert "--ruler old" in done.stderr
    done = checked(repository, *QUICK, "--ruler", "old", "--threshold", "1.5")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--against", "v9"), "there is no revision v9 here"),
        ((), "there is no revision HEAD~1 here"),
        (("--pairs", "5"), "expected 6 or more"),
        (("--threshold", "nan"), "expected 1 or more"),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_exit_code_2(
    repository: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = checked(repository, *arguments)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_the_usual_revision(repository: Path, check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ROOT", repository)
    first = check.commit_of("HEAD")
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    assert check.usual_revision() == "HEAD~1"  # at main itself
    for message in ("second", "third"):
        git(repository, "commit", "--allow-empty", "--quiet", "--message", message)
    assert check.usual_revision() == first  # where the branch began
    (repository / "runtime" / "new.py").touch()
    assert check.usual_revision() == "HEAD"


def test_a_copy_that_is_not_imported_is_refused(tmp_path: Path, check: ModuleType) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"edgesr\.runtime comes from .* and not from"):
        check.check_seen(empty)


def test_the_interval_of_signed_ranks(check: ModuleType) -> None:
    six = (1.2, 1.1, 1.3, 1.15, 1.25, 1.05)
    found = check.over_pairs(six)
    assert (found.low, found.high) == pytest.approx((1.05, 1.3))  # of six pairs, the least and the largest
    assert 1.05 < found.value < 1.3
    with pytest.raises(InputError, match="5 pairs give no interval"):
        check.over_pairs(six[:5])


def test_the_interval_holds_the_truth_as_often_as_it_says(check: ModuleType) -> None:
    """Pairs that scatter by 5 %, one in five by 50 %: an equal pair is called slower in 2.5 % of cases."""
    random = np.random.default_rng(0)
    spread = np.where(random.random((2000, 8)) < 0.2, 0.5, 0.05)
    found = [check.over_pairs(ratios) for ratios in np.exp(spread * random.standard_normal((2000, 8)))]
    assert 0.94 <= np.mean([each.low <= 1 <= each.high for each in found]) <= 0.98
    assert np.mean([each.low > 1 for each in found]) <= 0.035
