"""A build in a process of its own: it can be stopped at any moment, and running out of memory ends it and not us."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesr.export.builder.__main__ import GRAPH, JOB, PLAN
from edgesr.export.builder.job import BuildJob, Built
from edgesr.runtime import errors
from edgesr.runtime.errors import BuildFailed, EdgeSRError

__all__ = ["build_in_process"]

TAIL = 2000  # characters of what TensorRT printed
KILLED = -9


def build_in_process(
    onnx: bytes, job: BuildJob, plan: Path, *, tell: Callable[[dict[str, Any]], None] = lambda event: None
) -> Built:
    """Build `onnx` and write the plan to the path `plan`. `tell` is given each event, see `edgesr.export.builder.build.Tell`.

    Raises what `build` raises, BuildTooLarge, NoDevice, MissingDependency, and BuildFailed where the process was killed or crashed.
    An exception that comes from outside, such as Ctrl-C, ends the build at once.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".edgesr-build-", dir=plan.parent) as scratch,
        tempfile.TemporaryFile() as printed,
    ):
        folder = Path(scratch)
        (folder / GRAPH).write_bytes(onnx)
        (folder / JOB).write_text(job.to_json())
        child = subprocess.Popen(
            [sys.executable, "-m", "edgesr.export.builder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            start_new_session=True,  # Ctrl-C comes to us alone, and we end the child
        )
        try:
            last = _follow(child, tell)
            code = child.wait()
        finally:
            child.kill()
            child.communicate()
        if "built" in last:
            (folder / PLAN).replace(plan)
            return Built.from_dict(last["built"])
        if "error" in last:
            raise _error(last["error"], last["message"])
        printed.seek(0)
        raise BuildFailed(_end(code, printed.read().decode(errors="replace")[-TAIL:]))


def _follow(child: "subprocess.Popen[bytes]", tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Pass its events on until it ends; the last one."""
    last: dict[str, Any] = {}
    assert child.stdout is not None
    for line in child.stdout:
        try:
            event = json.loads(line)
        except ValueError:  # cut off as the process died, or printed by something that is not ours
            continue
        if not isinstance(event, dict):
            continue
        last = event
        if "phase" in last:
            tell(last)
    return last


def _error(name: str, message: str) -> EdgeSRError:
    kind = getattr(errors, name, BuildFailed)
    made: EdgeSRError = kind(message)
    return made


def _end(code: int, printed: str) -> str:
    said = " ".join(printed.split())[-300:]
    if code == KILLED:
        return (
            "the build was killed, most likely because memory ran out: add swap, close what else runs, lower --workspace, or build for "
            "a smaller --size"
        )
    if code < 0:
        return f"TensorRT crashed (signal {-code}) while it built: {said or 'it printed nothing'}"
    return f"the build ended without an engine (exit code {code}): {said or 'it printed nothing'}"
