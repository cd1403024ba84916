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
    """A network, or a variant of one, at its usual scale: x4 where it has that. claim: of its paper at that scale."""

    title: str
    kind: type[Network]
    spec: ModelSpec
    claim: Claim | None

    @property
    def multiply_adds(self) -> float:
        width, height = FRAME
        return self.spec.multiply_adds(width // self.spec.scale, height // self.spec.scale)

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
            claim = next((c for c in kind.claims if c.scale == scale and c.variant in named), None)
            yield Row(title, kind, build_network(title, scale).spec(), claim)


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
            " / ".join(text for text in _claimed(row.claim) if text),
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
        parameters, multiply_adds = _claimed(row.claim)
        if row.claim and row.claim.why:
            notes.append(f"- **{row.title}**: {row.claim.why}")
        measured = scores.get(f"{row.title} x{spec.scale}", {}).get("Set5")
        cells = [
            f"`{row.title}` x{spec.scale}",
            f"[{paper.venue} {paper.year}]({paper.link})",
            ", ".join(f"x{scale}" for scale in row.kind.scales),
            row.kind.colour,
            f"{spec.parameters:,}; {parameters or '–'}",
            f"{row.multiply_adds / 1e9:,.2f}; {multiply_adds.removesuffix(' G') or '–'}",
            f"{_db(row.claim.psnr_db if row.claim else None)}; {_db(measured)}",
            "whole frame" if spec.receptive_field is None else f"±{spec.receptive_field}",
            f"{row.least_ms:.2f}",
            row.suits,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Where our count and the source's differ by more than 2 %:", "", *notes, ""])


def _claimed(claim: Claim | None) -> tuple[str, str]:
    """Parameters and multiply-adds in the units that papers use; empty where the source does not say."""
    if claim is None:
        return "", ""
    parameters = "" if claim.parameters is None else f"{claim.parameters / 1e6:.3g} M"
    return parameters, "" if claim.multiply_adds is None else f"{claim.multiply_adds / 1e9:,.5g} G"


def _db(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
