"""Results of several machines, or of several sizes on one, side by side."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.report import as_json, columns, headline, markdown_table, remarks, rows
from edgesr.benchmarks.stored import merged_document, read_results
from edgesr.runtime.errors import InputError

__all__ = ["letters", "merged_json", "merged_markdown", "read_all"]


def read_all(paths: Sequence[Path]) -> tuple[LatencyResult, ...]:
    """Every result of every file, in the order given. Raises what `read_results` raises, and InputError for a run that
    comes twice: it would count double in every reader's eyes."""
    results: list[LatencyResult] = []
    found: list[Path] = []
    for path in paths:
        for result in read_results(path):
            if result in results:
                raise InputError(f"{path} holds a run that {found[results.index(result)]} holds as well; leave one out")
            results.append(result)
            found.append(path)
    return tuple(results)


def merged_json(results: tuple[LatencyResult, ...]) -> str:
    return as_json(merged_document(results))


def merged_markdown(results: Sequence[LatencyResult]) -> str:
    """One table; a letter says which run a row is of. Ratios stay within a run: they are to that run's first model."""
    names = ["run", "size"]
    for result in results:
        names += [name for name in columns(result) if name not in names]
    lines = [f"{len(results)} runs; a ratio is to the first model of the same run.", ""]
    for letter, result in zip(letters(), results, strict=False):
        lines += [f"- **{letter}**: {'; '.join(headline(result))}"]
    table = markdown_table(names, _rows(names, results), left=4)
    return "\n".join([*lines, "", *table, "", *_remarks(results), ""])


def _rows(names: Sequence[str], results: Sequence[LatencyResult]) -> Iterator[list[str]]:
    for letter, result in zip(letters(), results, strict=False):
        own = columns(result)
        for cells in rows(result):
            row = dict(zip(own, cells, strict=True))
            row |= {"run": letter, "size": f"{result.settings.width}x{result.settings.height}"}
            yield [row.get(name, "–") for name in names]


def _remarks(results: Sequence[LatencyResult]) -> Iterator[str]:
    """What holds of several runs is said once."""
    told: dict[str, list[str]] = {}
    for letter, result in zip(letters(), results, strict=False):
        for line in remarks(result):
            told.setdefault(line, []).append(letter)
    for line, runs in told.items():
        yield f"- {line}" if len(runs) == len(results) else f"- {', '.join(runs)}: {line}"


def letters() -> Iterator[str]:
    """A … Z, AA, AB, …"""
    number = 0
    while True:
        number += 1
        name, rest = "", number
        while rest:
            rest, place = divmod(rest - 1, 26)
            name = chr(ord("A") + place) + name
        yield name
