"""Figures as text, and rows of them as a Markdown table: one manner for every report."""

from collections.abc import Iterable, Sequence

__all__ = ["NONE", "figure", "markdown_table"]

NONE = "–"


def figure(value: float) -> str:
    """About three significant digits, never an exponent for what is worth measuring."""
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> list[str]:
    """Lines; the first `left` columns are words, the others figures."""
    return [_line(names), _line(["---"] * left + ["---:"] * (len(names) - left)), *(_line(cells) for cells in rows)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
