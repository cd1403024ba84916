"""One page that shows a run, or several: table, plots, method, machine, and every sample to take away.

It asks nothing of the network: style, script, plots and data are inside.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from edgesr.benchmarks.contenders import NETWORK, WHOLE_FRAME
from edgesr.benchmarks.layer_report import (
    LAYER_COLUMNS,
    LAYER_METHOD,
    all_layer_rows,
    layer_lines,
    most_layers,
    profiled,
)
from edgesr.benchmarks.merge import letters
from edgesr.benchmarks.outcome import LatencyResult, ModelResult
from edgesr.benchmarks.pictures import clock_plot, histogram, layer_plot, pareto_plot, points, series_plot
from edgesr.benchmarks.report import (
    DRIFT_COLUMNS,
    as_document,
    columns,
    drift_line,
    drift_rows,
    finite,
    headline,
    remarks,
    rows,
)
from edgesr.benchmarks.stored import merged_document

__all__ = ["results_html"]

PARTS = Path(__file__).parent / "page"


def results_html(results: Sequence[LatencyResult]) -> str:
    """The whole page, as UTF-8 text."""
    names = [name for name, _ in zip(letters(), results, strict=False)]
    several = len(results) > 1
    document = merged_document(tuple(results)) if several else as_document(results[0])
    sections = [
        *(_banner(name, result, several) for name, result in zip(names, results, strict=True) if result.invalid),
        _table(names, results),
        *_pareto(names, results),
        *(part for name, result in zip(names, results, strict=True) for part in _run(name if several else "", result)),
    ]
    values = {
        "title": _title(results),
        "style": (PARTS / "report.css").read_text("utf-8"),
        "script": (PARTS / "report.js").read_text("utf-8"),
        "body": "\n".join(sections),
        # "</script" in a name would end the element that holds the data
        "data": json.dumps(finite(document), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
    }
    page = (PARTS / "report.html").read_text("utf-8")
    return "".join(values[part] if place % 2 else part for place, part in enumerate(page.split("@@")))


def _title(results: Sequence[LatencyResult]) -> str:
    sizes = dict.fromkeys(f"{result.settings.width}x{result.settings.height}" for result in results)
    machines = dict.fromkeys(result.machine.name for result in results)
    return escape(f"Latency at {', '.join(sizes)} on {', '.join(machines)}")


def _banner(name: str, result: LatencyResult, several: bool) -> str:
    which = f"Run {name} is" if several else "This run is"
    return f'<p class="invalid"><strong>{which} invalid.</strong> {escape(result.invalid or "")}</p>'


def _table(names: Sequence[str], results: Sequence[LatencyResult]) -> str:
    """One row a model; with several runs, their letter and size before it."""
    several = len(results) > 1
    heads = ["run", "size"] if several else []
    words = len(heads) + 2
    for result in results:
        heads += [head for head in columns(result) if head not in heads]
    lines = []
    for name, result in zip(names, results, strict=True):
        for cells in rows(result):
            row = dict(zip(columns(result), cells, strict=True))
            row |= {"run": name, "size": f"{result.settings.width}x{result.settings.height}"}
            lines.append([row.get(head, "–") for head in heads])
    return "<h2>All models</h2>" + _grid(heads, lines, words=words)


def _grid(heads: Sequence[str], lines: Sequence[Sequence[str]], *, words: int) -> str:
    """A table that the page's script sorts by a click on a head; after `words` columns come figures."""
    kinds = ["word" if place < words else "figure" for place in range(len(heads))]
    head = "".join(
        f'<th class="{kind}"><button>{escape(name)}</button></th>' for kind, name in zip(kinds, heads, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f'<td class="{k}">{escape(c)}</td>' for k, c in zip(kinds, cells, strict=True)) + "</tr>"
        for cells in lines
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _pareto(names: Sequence[str], results: Sequence[LatencyResult]) -> Iterator[str]:
    sets = dict.fromkeys(score.data for result in results for model in result.models for score in model.quality)
    if sets:
        yield (
            "<h2>Quality against time</h2><p>Up and to the left is better. The line joins those that no other model here "
            "beats in both.</p>"
        )
    for data in sets:
        if found := points(results, data, names):
            yield f"<figure>{pareto_plot(found, data)}</figure>"


def _run(name: str, result: LatencyResult) -> Iterator[str]:
    first, *others = headline(result)[1 if result.invalid else 0 :]
    yield f"<h2>{escape(f'Run {name}: {first}' if name else first)}</h2>"
    yield _list([*others, *remarks(result)])
    if drifts := list(drift_rows(result)):
        yield "<h3>First against last</h3>"
        yield _grid(DRIFT_COLUMNS, drifts, words=2)
        yield f"<p>{escape(drift_line(result))}</p>"
    yield "<h3>Every sample</h3>"
    yield '<div class="small">'
    for model in result.models:
        yield _model_plots(model, result)
    yield "</div>"
    yield from _layers(result)
    if result.clocks:
        yield "<h3>Clocks</h3>"
        yield '<div class="small">'
        for domain in dict.fromkeys(clock.domain for clock in result.clocks):
            own = [clock for clock in result.clocks if clock.domain == domain]
            yield f"<figure>{clock_plot(domain, own)}</figure>"
        yield "</div>"
    yield "<h3>What was measured</h3>"
    yield _identities(result)
    yield _details("Settings of the run", asdict(result.settings))
    yield _details("The machine", {"before": asdict(result.before), "after": asdict(result.after)})


def _model_plots(model: ModelResult, result: LatencyResult) -> str:
    stages = result.summaries(result.models.index(model))
    stage = WHOLE_FRAME if WHOLE_FRAME in stages else NETWORK
    pictures = (histogram(model, stage, stages[stage]), series_plot(model))
    return "".join(f"<figure><figcaption>{escape(model.label)}</figcaption>{picture}</figure>" for picture in pictures)


def _layers(result: LatencyResult) -> Iterator[str]:
    if any(profiled(result)):
        yield f"<h3>The slowest layers</h3><p>{escape(LAYER_METHOD)} Blue: convolutions.</p>"
    for model, profile in profiled(result):
        bars = layer_plot(model.label, profile, most_layers(result))
        yield f"<figure><figcaption>{escape(model.label)}</figcaption>{bars}</figure>"
        yield _list(layer_lines(model, profile))
        title = f"All {len(profile.layers)} layers of {model.label}, in the order in which they ran"
        rows = _grid(LAYER_COLUMNS, list(all_layer_rows(profile)), words=2)
        yield f"<details><summary>{escape(title)}</summary>{rows}</details>"


def _identities(result: LatencyResult) -> str:
    heads = ("model", "given as", "SHA-256", "network", "runs on", "warm", "parameters", "multiply-adds, G")
    lines = [
        (
            model.label,
            model.model,
            model.sha256 or "–",
            model.spec.title,
            ", ".join(f"{name} {value}" for name, value in model.settings.items()),
            "yes" if model.is_warm else "no",
            f"{model.spec.parameters}",
            f"{model.spec.multiply_adds(result.settings.width, result.settings.height) / 1e9:.2f}",
        )
        for model in result.models
    ]
    return _grid(heads, lines, words=6)


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _details(title: str, values: Mapping[str, Any]) -> str:
    """Folded: everything, for those who want to see it."""
    text = json.dumps(finite(values), indent=1, ensure_ascii=False)
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
