"""`edgesr-bench merge` and `diff`: what is done with the files that `latency --json` wrote."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from edgesr.benchmarks.arguments import Verbs, check_outputs, write
from edgesr.benchmarks.diff import Regressed, compare_runs, difference_table
from edgesr.benchmarks.html_report import results_html
from edgesr.benchmarks.merge import merged_json, merged_markdown, read_all
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.stored import read_results
from edgesr.runtime.errors import InputError

__all__ = ["VERBS", "add_to", "writer_for"]

WRITERS: dict[str, Callable[[tuple[LatencyResult, ...]], str]] = {
    ".json": merged_json,
    ".md": merged_markdown,
    ".html": results_html,
}


def add_to(verbs: Verbs) -> None:
    merge = verbs.add_parser(
        "merge",
        help="results of several machines in one file",
        description="Join files of `latency --json`, or of `merge`; what is written goes by the name's end.",
    )
    merge.add_argument("results", nargs="+", type=Path, metavar="FILE.json", help="of `edgesr-bench latency --json`")
    merge.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a .json, .md or .html file")
    merge.add_argument("--force", action="store_true", help="overwrite it")
    diff = verbs.add_parser(
        "diff",
        help="what has become slower from one run to another; exits 1 where something has",
        description="Compare two runs of the same models. Exit codes: 0 nothing is slower, 1 something is by more than "
        "the threshold and the interval excludes no change, 2 the files cannot be compared.",
    )
    diff.add_argument("old", type=Path, metavar="OLD.json")
    diff.add_argument("new", type=Path, metavar="NEW.json")
    diff.add_argument(
        "--threshold", type=float, default=1.05, metavar="TIMES", help="the old time that is allowed (default: 1.05)"
    )
    diff.add_argument(
        "--db-threshold", type=float, default=0.05, metavar="DB", help="PSNR that may be lost (default: 0.05)"
    )
    diff.add_argument(
        "--relative", action="store_true", help="compare multiples of the first model's time: other machine, other load"
    )


def writer_for(path: Path) -> Callable[[tuple[LatencyResult, ...]], str]:
    """Of several results, by the file's suffix. Raises InputError for one that says nothing."""
    if path.suffix.lower() not in WRITERS:
        raise InputError(f"{path} does not end in {', '.join(WRITERS)}, which say what is written")
    return WRITERS[path.suffix.lower()]


def run_merge(options: Namespace) -> None:
    writer = writer_for(options.output)
    check_outputs({"--output": options.output}, inputs=options.results, force=options.force)
    results = read_all(options.results)
    write(options.output, writer(results))
    machines = len({result.machine.name for result in results})
    print(f"wrote {options.output}: {_count(len(results), 'run')} of {_count(machines, 'machine')}")


def run_diff(options: Namespace) -> None:
    old, new = (_single(path) for path in (options.old, options.new))
    found = compare_runs(
        old, new, threshold=options.threshold, db_threshold=options.db_threshold, relative=options.relative
    )
    Console(highlight=False).print(difference_table(found))
    if lines := list(found.regressions()):
        raise Regressed("; ".join(lines))


def _single(path: Path) -> LatencyResult:
    results = read_results(path)
    if len(results) > 1:
        raise InputError(
            f"{path} holds {len(results)} runs; diff compares one with one: give it the files before merging"
        )
    return results[0]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")


VERBS = {"merge": run_merge, "diff": run_diff}
