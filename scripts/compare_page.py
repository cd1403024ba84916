"""What `make compare` found, from its JSON alone: the table, and what becomes of the sources' own claims.

    python scripts/compare_page.py --keep compare/report.json    this run is kept, and shown from now on
    python scripts/compare_page.py                               the pages anew, from the run that is kept

The pages are README.md and docs/benchmarks.md, between their marks.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from edgesr.benchmarks.contenders import NETWORK, WHOLE_FRAME
from edgesr.benchmarks.outcome import LatencyResult, ModelResult
from edgesr.benchmarks.report import columns, figure, headline, latency_json, markdown_table, remarks, rows
from edgesr.benchmarks.statistics import Ratio, ratio_of_medians
from edgesr.benchmarks.stored import read_results
from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import replaced

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "compare.json"
README, BENCHMARKS = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- made by make compare-page: begin -->\n", "<!-- made by make compare-page: end -->\n"

CLAIMED_MS = {"rdsrn": 8.2, "carn": 10.8, "rdn": 17.2}
"""The sources' own figures at x4, fastest first. They were taken on CLAIMED_ON, by a protocol that they do not tell."""

CLAIMED_ON = "an RTX 3090"
CLAIMED_SCALE = 4
OUTPUT = (1280, 720)  # for which the field counts multiply-adds


def claimed_models(result: LatencyResult) -> dict[str, ModelResult]:
    """In the order of the claims. Raises InputError where the run lacks one of them."""
    found = {model.spec.name: model for model in reversed(result.models) if model.spec.scale == CLAIMED_SCALE}
    if missing := [name for name in CLAIMED_MS if name not in found]:
        raise InputError(f"the run has no {', '.join(missing)} at x{CLAIMED_SCALE}; expected one of `make compare`")
    return {name: found[name] for name in CLAIMED_MS}


def markdown(result: LatencyResult, *, with_method: bool = False) -> str:
    """For a README; `with_method` adds how to read the table."""
    settings = result.settings
    budget = "" if settings.budget_s is None else f" --budget {settings.budget_s:g}s"
    about = (
        f"`python scripts/compare.py --size {settings.width}x{settings.height}{budget}`: {'; '.join(headline(result))}."
    )
    below = [f"- {line}" for line in (remarks(result) if with_method else result.notes)]
    table = markdown_table(columns(result), rows(result), left=2)
    return "\n".join([about, "", *table, "", *below, "", *verdict(result), ""])


def verdict(result: LatencyResult) -> list[str]:
    """Lines of Markdown: claims and figures side by side, which of the claimed orders hold, and what our own networks do."""
    found = claimed_models(result)
    base = next(iter(CLAIMED_MS))
    names = (
        f"x{CLAIMED_SCALE}",
        "claimed, ms",
        f"claimed, times {base.upper()}",
        "here, network",
        "here, whole frame",
        f"multiply-adds at {OUTPUT[0]}x{OUTPUT[1]}, G",
    )
    lines = []
    for name, model in found.items():
        ratios = [
            "1" if name == base else ratio_text(ratio_between(result, model, found[base], stage))
            for stage in (NETWORK, WHOLE_FRAME)
        ]
        claim = CLAIMED_MS[name]
        times = "1" if name == base else f"{claim / CLAIMED_MS[base]:.2f}"
        lines.append([name.upper(), f"{claim:g}", times, *ratios, figure(billions(model))])
    backends = ", ".join(dict.fromkeys(str(model.settings.get("backend", "")) for model in found.values()))
    orders = {
        "by the sources": sorted(found, key=CLAIMED_MS.__getitem__),
        "here": sorted(found, key=lambda name: median_ms(found[name], NETWORK)),
        "by multiply-adds": sorted(found, key=lambda name: billions(found[name])),
    }
    told = "; ".join(f"{title} {', '.join(order).upper()}" for title, order in orders.items())
    pairs = list(judged(result, found))
    held = sum(holds for _, holds in pairs)
    return [
        (
            f"The claims are the sources' own, on {CLAIMED_ON} by an unknown protocol; here is {backends} on "
            f"{result.machine.name}. Milliseconds of the two say nothing about each other; orders and ratios may be compared."
        ),
        "",
        *markdown_table(names, lines, left=1),
        "",
        f"Fastest first: {told}. **Of {len(pairs)} claims of which is the faster, here hold {held}:**",
        "",
        *(f"- {line}" for line, _ in pairs),
        *(f"- {line}" for line in beside(result, found[base])),
    ]


def judged(result: LatencyResult, found: dict[str, ModelResult]) -> Iterator[tuple[str, bool]]:
    """A sentence for each two, and whether the first, said to be the faster, is."""
    for faster, slower in combinations(found, 2):
        claim = CLAIMED_MS[slower] / CLAIMED_MS[faster]
        ratio = ratio_between(result, found[slower], found[faster], NETWORK)
        whole = ratio_between(result, found[slower], found[faster], WHOLE_FRAME)
        held = outcome(ratio)
        also = "" if outcome(whole) == held else f"; its whole frame {ratio_text(whole)} times: {outcome(whole)}"
        line = f"{slower.upper()} takes {ratio_text(ratio)} times as long as {faster.upper()}, claimed {claim:.2f}: {held}{also}."
        yield line, held == HOLDS


HOLDS = "the order holds"


def outcome(ratio: Ratio) -> str:
    """Of "the second takes longer than the first"."""
    if ratio.low > 1:
        return HOLDS
    return "the order is the other way round" if ratio.high < 1 else "no difference seen"


def beside(result: LatencyResult, base: ModelResult) -> Iterator[str]:
    """What networks without a claim take of the base's time, and lose of its quality."""
    for model in result.models:
        if model.spec.name in CLAIMED_MS or not model.spec.trained or not model.spec.parameters:
            continue
        network, whole = (ratio_text(ratio_between(result, model, base, stage)) for stage in (NETWORK, WHOLE_FRAME))
        line = (
            f"`{model.label}` ({model.spec.parameters:,} parameters, {figure(billions(model))} G) takes {network} times "
            f"{base.spec.name.upper()}'s network time, {whole} times its whole frame"
        )
        scores = {score.data: score.psnr_db for score in base.quality}
        gaps = [(score.psnr_db - scores[score.data], score.data) for score in model.quality if score.data in scores]
        yield (
            ", ".join([line, *(f"{abs(gap):.2f} dB {'more' if gap > 0 else 'less'} on {data}" for gap, data in gaps)])
            + "."
        )


def ratio_between(result: LatencyResult, model: ModelResult, base: ModelResult, stage: str) -> Ratio:
    return ratio_of_medians(model.samples_ns[stage], base.samples_ns[stage], seed=result.settings.seed)


def ratio_text(ratio: Ratio) -> str:
    return f"{figure(ratio.value)} ({figure(ratio.low)}–{figure(ratio.high)})"


def median_ms(model: ModelResult, stage: str) -> float:
    timed = model.summary(stage)
    assert timed is not None  # none of these is a bare graph
    return timed.median_ms


def billions(model: ModelResult) -> float:
    width, height = (side // CLAIMED_SCALE for side in OUTPUT)
    return model.spec.multiply_adds(width, height) / 1e9


def page(text: str, made: str, path: Path) -> str:
    """The page's text with what stands between its marks made anew."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InputError(f"{path} lacks its marks; expected one {BEGIN.strip()} and one {END.strip()} after it")
    before, rest = text.split(BEGIN)
    return before + BEGIN + made + END + rest.split(END)[1]


def run_of(path: Path) -> LatencyResult:
    """The one run in that file. Raises InputError for one that must not be shown."""
    results = read_results(path)
    if len(results) > 1:
        raise InputError(f"{path} holds {len(results)} runs; expected one of `make compare`")
    if results[0].invalid:
        raise InputError(f"{path} is not shown: {results[0].invalid}")
    return results[0]


def run(arguments: Sequence[str]) -> None:
    make = Parser("compare_page.py", "Show what `make compare` found in README.md and docs/benchmarks.md.")
    make.add_argument(
        "--keep", type=Path, metavar="FILE.json", help=f"of make compare; copied to {KEPT.relative_to(ROOT)}"
    )
    options = make.parse_args(arguments)
    result = run_of(options.keep or KEPT)
    pages = {
        path: page(path.read_text(), markdown(result, with_method=path == BENCHMARKS), path)
        for path in (README, BENCHMARKS)
    }
    if options.keep:
        pages[KEPT] = latency_json(result)
    for path, text in pages.items():
        with replaced(path) as beside_it:
            beside_it.write_text(text)
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(command(run))
