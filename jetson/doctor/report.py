"""The doctor's page, and the same for programs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgesr.jetson.doctor.check import Check, Verdict, worst
from edgesr.jetson.doctor.findings import Findings
from edgesr.jetson.report import verdict

__all__ = ["SCHEMA", "as_json", "page", "summary"]

SCHEMA = 1
"""Rises when a key of the JSON goes or changes its meaning."""

STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red", Verdict.NOT_HERE: "dim"}


def page(findings: Findings, checks: Sequence[Check]) -> RenderableType:
    """Checks that apply first, those that do not last."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for check in sorted(checks, key=lambda check: check.verdict is Verdict.NOT_HERE):
        style = STYLES[check.verdict]
        said: RenderableType = Text(check.reason, "dim" if check.verdict is Verdict.NOT_HERE else "")
        if check.fix:
            said = Group(said, Padding(Text(f"→ {check.fix}", style), (0, 0, 0, 2)))
        table.add_row(Text(check.verdict.value, style), Text(check.name, style if check.fix else ""), said)
    return Group(Text(verdict(findings.machine), "bold"), table, Text(summary(checks), STYLES[worst(checks)]))


def summary(checks: Sequence[Check]) -> str:
    counts = Counter(check.verdict for check in checks)
    told = [f"{counts[one]} {one.value}" for one in (Verdict.FAIL, Verdict.WARN, Verdict.OK) if counts[one]]
    return ", ".join(told) + (f"; {counts[Verdict.NOT_HERE]} do not apply" if counts[Verdict.NOT_HERE] else "")


def as_json(findings: Findings, checks: Sequence[Check]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "machine": verdict(findings.machine),
        "recorded_root": findings.machine.recorded_root,
        "verdict": worst(checks).value,
        "checks": [
            {"name": check.name, "verdict": check.verdict.value, "reason": check.reason, "fix": check.fix}
            for check in checks
        ],
    }
