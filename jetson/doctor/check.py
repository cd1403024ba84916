"""What a check says."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Check", "Verdict", "worst"]


class Verdict(Enum):
    """From nothing to say to something to do."""

    NOT_HERE = "does not apply"
    OK = "ok"
    WARN = "warn"
    """It works, but slower or with less than it could; or it cannot be told."""
    FAIL = "fail"
    """Something that edgesr does on this machine will not work."""


@dataclass(frozen=True)
class Check:
    """`fix`: commands, or what to do by hand; never empty where the verdict is WARN or FAIL."""

    name: str
    verdict: Verdict
    reason: str
    fix: str = ""

    def __post_init__(self) -> None:
        assert self.fix or self.verdict in (Verdict.OK, Verdict.NOT_HERE), f"{self.name}: no fix"


def worst(checks: Iterable[Check]) -> Verdict:
    order = list(Verdict)
    return max((check.verdict for check in checks), key=order.index, default=Verdict.NOT_HERE)
