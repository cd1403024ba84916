"""The table of networks as people read it: what each costs, counted, beside what its paper says. Nothing here is typed in."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from edgesr.runtime.spec import ModelSpec
from edgesr.train.networks import NETWORKS, Claim, Network, build_network

__all__ = ["FRAME", "Row", "as_markdown", "as_table", "published_scores", "rows"]

FRAME = (1280, 720)
"""The output that the field counts multiply-adds for."""
BOARD_FLOPS = 16.7e12
"""FP16, dense: Orin Nano 8 GB in its Super mode, tensor cores times clock; real networks reach a third to a half of it."""
REACHED = 1 / 3
DEADLINE_MS = 1000 / 30


@dataclass(frozen=True)
class Row:
    """A network, or a variant of one, at its usual scale: x4 where it has that. claims: of its sources at that scale."""

    title: str
    kind: type[Network]
    spec: ModelSpec
    claims: tuple[Claim, ...]

    @property
    def multiply_adds(self) -> float:
        """For an output of FRAME, or the one size that the network makes."""
        width, height = (side // self.spec.scale for side in FRAME)
        side = self.spec.fixed_size
        return self.spec.multiply_adds(side or width, side or height)

    @property
    def least_ms(self) -> float:
        """By arithmetic alone, at the board's peak."""
        return 2 * self.multiply_adds / BOARD_FLOPS * 1000

    @property
    def suits(self) -> str:
        """Whether 30 frames a second are in reach on that board: an estimate, no measurement."""
        return "yes" if self.least_ms / REACHED <= DEADLINE_MS else "no"


def rows() -> Iterator[Row]:
    for name, kind in NETWORKS.items():
        alike = [variant for variant, options in kind.variants.items() if _is_default(kind, options)]
        for variant in ("", *(v for v in kind.variants if v not in alike)):
            title = f"{name}:{variant}" if variant else name
            scale = 4 if 4 in kind.scales else max(kind.scales)
            named = ("", *alike) if not variant else (variant,)
            claims = tuple(c for c in kind.claims if c.scale == scale and c.variant in named)
            yield Row(title, kind, build_network(title, scale).spec(), claims)


def _is_default(kind: type[Network], options: Mapping[str, Any]) -> bool:
    """Whether a variant is what is built without one."""
    defaults: Mapping[str, Any] = kind.__init__.__kwdefaults__ or {}
    return all(name in defaults and defaults[name] == value for name, value in options.items())


def published_scores(file: Path) -> dict[str, dict[str, float]]:
    """Network and scale (`imdn x4`) -> data set -> PSNR, as `scripts/score_published.py` measured them."""
    scores: dict[str, dict[str, float]] = json.loads(file.read_text())["psnr_db"]
    return scores


def as_table(listed: Sequence[Row]) -> Table:
    title = f"Counted on the deployed form; multiply-adds for an output of {FRAME[0]}x{FRAME[1]}"
    table = Table(
        "network", "scales", "colour", "parameters", "multiply-adds", "paper says", "reach", "paper", title=title
    )
    for row in listed:
        spec, paper = row.spec, row.kind.paper
        table.add_row(
            f"{row.title} x{spec.scale}",
            " ".join(f"x{scale}" for scale in row.kind.scales),
            row.kind.colour,
            f"{spec.parameters:,}",
            f"{row.multiply_adds / 1e9:,.2f} G",
            " / ".join(text for text in _claimed(row.claims)[:2] if text),
            "whole frame" if spec.receptive_field is None else f"±{spec.receptive_field}",
            f"{paper.title}, {paper.venue} {paper.year}",
        )
    return table


def as_markdown(listed: Sequence[Row], scores: Mapping[str, Mapping[str, float]]) -> str:
    """The table of docs/networks.md; `scores` as `published_scores` reads them."""
    head = (
        "| network | source | scales | colour | parameters: ours, paper | multiply-adds, G: ours, paper | Set5, dB: paper, measured | reach "
        "| ms at peak | 30 fps |"
    )
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    notes = []
    for row in listed:
        spec, paper = row.spec, row.kind.paper
        parameters, multiply_adds, decibels = _claimed(row.claims)
        notes += [f"- **{row.title}**, {claim.source}: {claim.why}" for claim in row.claims if claim.why]
        measured = scores.get(f"{row.title} x{spec.scale}", {}).get("Set5")
        cells = [
            f"`{row.title}` x{spec.scale}",
            f"[{paper.venue} {paper.year}]({paper.link})",
            ", ".join(f"x{scale}" for scale in row.kind.scales),
            row.kind.colour,
            f"{spec.parameters:,}; {parameters or '–'}",
            f"{row.multiply_adds / 1e9:,.2f}; {multiply_adds.removesuffix(' G') or '–'}",
            f"{decibels or '–'}; {_db(measured)}",
            "whole frame" if spec.receptive_field is None else f"±{spec.receptive_field}",
            f"{row.least_ms:.2f}",
            row.suits,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Where our count and the source's differ by more than 2 %:", "", *notes, ""])


def _claimed(claims: Sequence[Claim]) -> tuple[str, str, str]:
    """Parameters, multiply-adds and PSNR in the units that papers use, of the first source that says it; empty where none does."""
    parameters = next((f"{c.parameters / 1e6:.3g} M" for c in claims if c.parameters is not None), "")
    multiply_adds = next((f"{c.multiply_adds / 1e9:,.5g} G" for c in claims if c.multiply_adds is not None), "")
    return parameters, multiply_adds, next((_db(c.psnr_db) for c in claims if c.psnr_db is not None), "")


def _db(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
