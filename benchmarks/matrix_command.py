"""`edgesr-bench run`: a whole matrix from one file."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from edgesr.benchmarks.arguments import Verbs, check_outputs, duration, write
from edgesr.benchmarks.matrix import read_matrix
from edgesr.benchmarks.matrix_run import measure_matrix
from edgesr.benchmarks.report import latency_table
from edgesr.benchmarks.results_command import writer_for

__all__ = ["VERBS", "add_to"]


def add_to(verbs: Verbs) -> None:
    run = verbs.add_parser(
        "run",
        help="a matrix of networks, backends, precisions and sizes from a file",
        description="Each size is a run of its own, all its models interleaved round by round.",
    )
    run.add_argument("matrix", type=Path, metavar="MATRIX.yaml", help="such as benchmarks/matrices/cpu.yaml")
    run.add_argument(
        "--models", type=Path, default=Path(), metavar="FOLDER", help="of the files (default: this folder)"
    )
    run.add_argument("--rounds", type=int, help="instead of the file's")
    run.add_argument("--budget", type=duration, metavar="TIME", help="for each size, instead of the file's")
    run.add_argument("--data", action="append", metavar="FOLDER", help="full-size images, instead of the file's")
    run.add_argument("-o", "--output", type=Path, action="append", default=[], metavar="FILE", help=".json, .md, .html")
    run.add_argument("--force", action="store_true", help="overwrite these files")


def run_matrix(options: Namespace) -> None:
    writers = {path: writer_for(path) for path in options.output}
    check_outputs({f"-o {path}": path for path in options.output}, inputs=[options.matrix], force=options.force)
    given = {
        "rounds": options.rounds,
        "budget_s": options.budget,
        "data": None if options.data is None else tuple(options.data),
    }
    matrix = replace(read_matrix(options.matrix), **{name: value for name, value in given.items() if value is not None})
    with Console(stderr=True).status("opening the models") as status:
        results = measure_matrix(matrix, options.models, tell=lambda line: status.update(line))
    for path, writer in writers.items():
        write(path, writer(results))
    console = Console(highlight=False)
    for result in results:
        console.print(latency_table(result))
        console.print()
    for path in writers:
        print(f"wrote {path}")


VERBS = {"run": run_matrix}
