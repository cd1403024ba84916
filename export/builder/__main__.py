"""The build's own process: `python -m edgesr.export.builder FOLDER`. Its caller is `edgesr.export.builder.process`.

FOLDER holds graph.onnx and job.json; the plan is written there as `plan`. Events go to standard output as lines of JSON, the last of
them {"built": ...} or {"error": class, "message": ...}; whatever libraries print goes to standard error.
Ends when its standard input does, so that it never outlives its caller.
"""

import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgesr.export.builder.build import build
from edgesr.export.builder.job import BuildJob
from edgesr.export.builder.needs import build_needs, check_build_fits, default_workspace, swap_free
from edgesr.runtime.cuda import device_facts
from edgesr.runtime.errors import EdgeSRError
from edgesr.runtime.memory import available_bytes
from edgesr.runtime.nvidia import load_tensorrt

__all__ = ["GRAPH", "JOB", "PLAN"]

GRAPH, JOB, PLAN = "graph.onnx", "job.json", "plan"


def main(folder: Path) -> int:
    threading.Thread(target=_end_with_caller, daemon=True).start()
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")

    try:
        job = BuildJob.from_json((folder / JOB).read_text())
        onnx = (folder / GRAPH).read_bytes()
        trt = load_tensorrt()
        facts = device_facts()
        settings = job.settings
        if settings.workspace_bytes is None:
            settings = replace(settings, workspace_bytes=default_workspace(facts.free_bytes))
        needs = build_needs(len(onnx), job.peak_bytes, settings, integrated=facts.integrated)
        check_build_fits(
            needs,
            free_host=available_bytes(),
            free_swap=swap_free(),
            free_gpu=facts.free_bytes,
            integrated=facts.integrated,
        )
        built, plan = build(trt, facts, onnx, replace(job, settings=settings), tell)
        (folder / PLAN).write_bytes(plan)
        events.write(json.dumps({"built": json.loads(built.to_json())}) + "\n")
    except EdgeSRError as error:
        tell({"error": type(error).__name__, "message": str(error)})
        return 1
    return 0


def _end_with_caller() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # not by the interpreter's end: the thread that waits on standard input would hold it
