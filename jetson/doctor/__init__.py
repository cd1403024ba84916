"""Is this machine set up right? One check for each known trap, each with its reason and the command that helps.

    from edgesr.jetson.doctor import examine, read_findings
    for check in examine(read_findings()):
        print(check.verdict.value, check.name, check.reason, check.fix)

A check is a pure function of the findings. A new one is a function in `board.py` or `software.py` and a line in CHECKS.
"""

from collections.abc import Callable

from edgesr.jetson.doctor import board, software
from edgesr.jetson.doctor.check import Check, Verdict, worst
from edgesr.jetson.doctor.findings import Findings, read_findings

__all__ = ["CHECKS", "Check", "Findings", "Verdict", "examine", "read_findings", "worst"]

CHECKS: tuple[Callable[[Findings], Check], ...] = (
    software.jetpack,
    software.cuda,
    software.tensorrt,
    software.python_environment,
    software.tensorrt_module,
    software.pycuda,
    software.numpy,
    software.opencv,
    software.gstreamer,
    board.power_mode,
    board.clocks,
    board.fan,
    board.throttling,
    board.memory,
    board.disk,
    board.cameras,
    board.argus,
    board.encoder,
    board.permissions,
)


def examine(findings: Findings) -> tuple[Check, ...]:
    return tuple(check(findings) for check in CHECKS)
