"""`edgesr-bench sizes`: how one model's time and memory grow with its input."""

from argparse import Namespace
from pathlib import Path

from rich.console import Console

from edgesr.benchmarks.arguments import Verbs, check_outputs, duration, write
from edgesr.benchmarks.rivals import split_rival
from edgesr.benchmarks.sizes import SizesSettings, measure_sizes
from edgesr.benchmarks.sizes_report import sizes_json, sizes_table
from edgesr.runtime.command import size

__all__ = ["VERBS", "add_to"]


def add_to(verbs: Verbs) -> None:
    sizes = verbs.add_parser(
        "sizes",
        help="how time and memory grow with the input",
        description="Time one model's network at several sizes of one aspect, interleaved, each in a process of its own "
        "whose memory is told.",
    )
    sizes.add_argument("model", metavar="MODEL", help="as for `latency`")
    sizes.add_argument("--from", type=size, default=(160, 90), dest="first", metavar="WxH", help="default: 160x90")
    sizes.add_argument("--to", type=size, default=(1920, 1080), dest="last", metavar="WxH", help="default: 1920x1080")
    sizes.add_argument("--count", type=int, default=6, help="of sizes, both ends included (default: 6)")
    sizes.add_argument("--threads", type=int, help="of the network on the CPU (default: all cores)")
    sizes.add_argument("--rounds", type=int, help="how many (default: 10, or what the budget holds)")
    sizes.add_argument("--budget", type=duration, metavar="TIME", help="for warm-up and rounds: 90s, 5m, 1h")
    sizes.add_argument("--seed", type=int, default=0, help="of the order in each round and of the interval")
    sizes.add_argument("--json", type=Path, metavar="FILE", help="write everything, every sample included")
    sizes.add_argument("--force", action="store_true", help="overwrite the file")


def run_sizes(options: Namespace) -> None:
    outputs = check_outputs({"--json": options.json}, inputs=[split_rival(options.model)[1]], force=options.force)
    settings = SizesSettings(
        model=options.model,
        first=options.first,
        last=options.last,
        count=options.count,
        threads=options.threads,
        rounds=options.rounds,
        budget_s=options.budget,
        seed=options.seed,
    )
    with Console(stderr=True).status("opening the model") as status:
        result = measure_sizes(settings, tell=lambda line: status.update(line))
    if options.json is not None:
        write(options.json, sizes_json(result))
    Console(highlight=False).print(sizes_table(result))
    for path in outputs:
        print(f"wrote {path}")


VERBS = {"sizes": run_sizes}
