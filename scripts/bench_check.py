"""`make bench-check`: is the working tree slower than an earlier revision? Exits 1 where it is, 2 where that cannot be told.

Times of another day or machine are no yardstick, and multiples of one model's time change with the processor as well. So
both revisions are measured here, in turns:

- What is compared is `runtime`, the models that it ships included. The ruler, `benchmarks` and `jetson`, is the working
  tree's for both. Where that asks for what the old `runtime` has not, --ruler old measures both by the old one; --ruler own
  each by its own, and then a change of the ruler shows as well. All is copied first, so that edits meanwhile change nothing.
- Every measuring is a process of its own, a short `edgesr-bench latency` that sees one of the two copies alone. Two versions
  of a package do not fit into one process; and a process has its own luck with memory and threads, which must be drawn anew.
- Old and new make a pair, one right after the other, the seed says which first. What drifts slowly meets both.
- A pair gives one ratio for each model and stage, new over old, of the medians. Over the pairs stand Hodges and Lehmann's
  estimate and the interval of Wilcoxon's signed ranks. It counts pairs and not rounds, since those of one process resemble
  each other, and supposes nothing of the noise but that it meets both sides alike; one disturbed pair moves it little.
- A regression is what `edgesr-bench diff` calls one: beyond the threshold, and the interval excludes "unchanged".
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from edgesr.benchmarks.contenders import NETWORK, WHOLE_FRAME
from edgesr.benchmarks.diff import Change, Difference, Incomparable, Regressed, difference_table
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.statistics import CONFIDENCE, Ratio
from edgesr.benchmarks.stored import read_results
from edgesr.runtime.command import Parser, command, size
from edgesr.runtime.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
MEASURED, RULER = ("runtime",), ("benchmarks", "jetson")
RULERS = {"new": ("new", "new"), "old": ("old", "old"), "own": ("old", "new")}
"""Whose ruler measures old and new."""

MODELS = ("bicubic:4", "default:2", "default:3", "default:4")
LEAST_PAIRS = 6
"""With fewer no interval of CONFIDENCE exists."""

EXAMPLES = """examples:
  python scripts/bench_check.py                              # against the last commit, or main
  python scripts/bench_check.py --against v0.1.0 --pairs 16 default:4
"""

Run = list[LatencyResult]
"""One for each process, in the order of the pairs."""


def parser() -> Parser:
    make = Parser("bench_check.py", "Compare the working tree's speed with an earlier revision's.", EXAMPLES)
    make.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=f"(default: {' '.join(MODELS)})")
    make.add_argument(
        "--against",
        metavar="REVISION",
        help="the old one (default: HEAD where something is not committed, else where this branch left origin/main, "
        "else the commit before)",
    )
    make.add_argument("--size", type=size, default=(320, 180), metavar="WxH", help="of the input (default: 320x180)")
    make.add_argument("--pairs", type=int, default=8, metavar="N", help="processes of each revision (default: 8)")
    make.add_argument("--rounds", type=int, default=15, metavar="N", help="in each process (default: 15)")
    make.add_argument("--threads", type=int, metavar="N", help="of the networks (default: all cores)")
    make.add_argument("--seed", type=int, default=0, help="of who is first in a pair, and of the rounds' order")
    make.add_argument(
        "--threshold", type=float, default=1.05, metavar="TIMES", help="the old time that is allowed (default: 1.05)"
    )
    make.add_argument(
        "--ruler", choices=tuple(RULERS), default="new", help="whose benchmarks measure (default: new, for both)"
    )
    make.add_argument(
        "--folder", type=Path, default=ROOT / ".bench", help="for every process's result (default: .bench)"
    )
    return make


def git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise InputError("git is not installed; it is needed to get the old revision") from error
    if done.returncode:
        said = (done.stderr.strip() or "nothing").splitlines()[-1]
        raise InputError(f"git {' '.join(arguments)} failed: {said}")
    return done.stdout.strip()


def commit_of(revision: str) -> str:
    try:
        return git("rev-parse", "--verify", f"{revision}^{{commit}}")
    except InputError as error:
        raise InputError(f"there is no revision {revision} here; name another with --against ({error})") from error


def usual_revision() -> str:
    """What a developer means who names none."""
    if git("status", "--porcelain", "--", *MEASURED):
        return "HEAD"
    if git("for-each-ref", "refs/remotes/origin/main"):
        base = git("merge-base", "HEAD", "origin/main")
        if base != commit_of("HEAD"):
            return base
    return "HEAD~1"


def copy_new(folder: Path, parts: Sequence[str]) -> None:
    for part in parts:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))


def copy_old(commit: str, folder: Path, parts: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "old.tar"
    git("archive", "--format=tar", f"--output={archive}", commit, *parts)
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    archive.unlink()


def python(side: Path, *arguments: str) -> str:
    """What a process that sees that copy of `edgesr` prints. Raises Incomparable where it fails."""
    before = os.environ.get("PYTHONPATH")
    seen = {**os.environ, "PYTHONPATH": f"{side}{os.pathsep}{before}" if before else str(side)}
    line = [sys.executable, *arguments]
    done = subprocess.run(line, env=seen, cwd=side, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1].removeprefix("error: ")
        raise Incomparable(
            f"the {side.name} revision cannot be measured: {said} (where runtime and benchmarks do not fit each other, try "
            "--ruler old, or --ruler own)"
        )
    return done.stdout.strip()


def check_seen(side: Path) -> None:
    """A process that is pointed at `side` imports that copy, not the installed one, and the ruler fits."""
    for part in (*MEASURED, *RULER):
        found = python(side, "-c", f"import edgesr.{part} as part; print(part.__file__)")
        if Path(found) != side / "edgesr" / part / "__init__.py":
            raise InputError(f"edgesr.{part} comes from {found} and not from {side}")
    python(side, "-m", "edgesr.benchmarks", "--version")


def measure(side: Path, output: Path, arguments: Sequence[str]) -> LatencyResult:
    python(side, "-m", "edgesr.benchmarks", "latency", *arguments, "--json", str(output), "--force")
    (result,) = read_results(output)
    if result.invalid:
        raise Incomparable(f"a process of the {side.name} revision is invalid: {result.invalid}")
    return result


def measure_pairs(sides: tuple[Path, Path], folder: Path, pairs: int, seed: int, arguments: list[str]) -> list[Run]:
    """Of old and new, which is first drawn for each pair."""
    runs: list[Run] = [[], []]
    first = np.random.default_rng(seed).integers(0, 2, pairs)
    with Console(stderr=True).status("") as status:
        for pair in range(pairs):
            for place in (first[pair], 1 - first[pair]):
                side = sides[place]
                status.update(f"pair {pair + 1} of {pairs}: {side.name}")
                output = folder / f"{side.name}-{pair + 1:02}.json"
                runs[place].append(measure(side, output, [*arguments, "--seed", str(seed + pair)]))
    return runs


def over_pairs(ratios: Sequence[float]) -> Ratio:
    """Hodges and Lehmann's estimate, and the interval of Wilcoxon's signed ranks at CONFIDENCE or just above."""
    logs = np.log(ratios)
    counts = np.ones(1)  # of sign patterns, by their sum of ranks
    for rank in range(1, logs.size + 1):
        counts = np.pad(counts, (0, rank)) + np.pad(counts, (rank, 0))
    tail = np.cumsum(counts) / 2**logs.size
    dropped = int(np.sum(tail <= (1 - CONFIDENCE) / 2))
    if not dropped:
        raise InputError(f"{logs.size} pairs give no interval; expected {LEAST_PAIRS} or more")
    upper = np.triu_indices(logs.size)
    means = np.sort(np.add.outer(logs, logs)[upper] / 2)
    value, low, high = (float(np.exp(each)) for each in (np.median(means), means[dropped - 1], means[-dropped]))
    return Ratio(value, low, high)


def medians_ms(run: Run, place: int, stage: str) -> list[float]:
    return [float(np.median(result.models[place].samples_ns[stage])) / 1e6 for result in run]


def changes(old: Run, new: Run) -> Iterator[Change]:
    for place, model in enumerate(old[0].models):
        for stage in (NETWORK, WHOLE_FRAME):
            if stage in model.samples_ns:  # a bare graph has no whole frame
                before, after = medians_ms(old, place, stage), medians_ms(new, place, stage)
                ratio = over_pairs([b / a for a, b in zip(before, after, strict=True)])
                yield Change(model.label, stage, float(np.median(before)), float(np.median(after)), ratio)


def difference(old: Run, new: Run, threshold: float) -> Difference:
    found = tuple(changes(old, new))
    notes = [
        f"{len(old)} pairs of processes; ratio: Hodges and Lehmann's estimate over them, interval of signed ranks",
    ]
    for before, after in zip(old[0].models, new[0].models, strict=True):
        if before.spec != after.spec:
            notes.append(f"{before.label}: another network than in the old revision")
        elif before.sha256 != after.sha256:
            notes.append(f"{before.label}: the file is another one than in the old revision")
    unsure = [
        f"{change.label} {change.stage}"
        for change in found
        if change.ratio.high > threshold and not change.is_regression(threshold)
    ]
    if unsure:
        notes.append(f"noise leaves open whether {threshold:g} is kept, more --pairs would tell: {', '.join(unsure)}")
    return Difference(
        old=old[0],
        new=new[0],
        threshold=threshold,
        db_threshold=0.0,
        relative=False,
        changes=found,
        quality=(),
        notes=tuple(notes),
    )


def run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    if options.pairs < LEAST_PAIRS:
        raise InputError(f"--pairs is {options.pairs}; expected {LEAST_PAIRS} or more: fewer give no interval")
    if not options.threshold >= 1:
        raise InputError(f"--threshold is {options.threshold:g}; expected 1 or more: 1.05 allows 5 % more time")
    commit = commit_of(options.against or usual_revision())
    width, height = options.size
    models = [str(Path(model).resolve()) if Path(model).is_file() else model for model in options.models]
    wanted = [*models, "--size", f"{width}x{height}", "--rounds", str(options.rounds)]
    wanted += ["--threads", str(options.threads)] if options.threads is not None else []
    print(f"old: {git('log', '-1', '--format=%h %s', commit)}; new: the working tree", flush=True)
    if not git("status", "--porcelain", "--", *MEASURED) and not git("diff", "--name-only", commit, "--", *MEASURED):
        print(f"{', '.join(MEASURED)} is the same in both: what follows shows the noise alone", flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    for stale in (*options.folder.glob("old-[0-9]*.json"), *options.folder.glob("new-[0-9]*.json")):
        stale.unlink()
    with tempfile.TemporaryDirectory(prefix="edgesr-bench-check-") as place:
        old, new = sides = Path(place).resolve() / "old", Path(place).resolve() / "new"
        copy_new(new / "edgesr", MEASURED)
        copy_old(commit, old / "edgesr", MEASURED)
        for side, ruler in zip(sides, RULERS[options.ruler], strict=True):
            if ruler == "old":
                copy_old(commit, side / "edgesr", RULER)
            else:
                copy_new(side / "edgesr", RULER)
            check_seen(side)
        before, after = measure_pairs(sides, options.folder.resolve(), options.pairs, options.seed, wanted)
    found = difference(before, after, options.threshold)
    Console(highlight=False).print(difference_table(found))
    print(f"every sample: {options.folder}")
    if lines := list(found.regressions()):
        raise Regressed("; ".join(lines))


if __name__ == "__main__":
    sys.exit(command(run))
