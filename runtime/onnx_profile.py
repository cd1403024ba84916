"""ONNX Runtime's profiler: it writes down every node that ran, in a file that is read when all is over."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime

from edgesr.runtime.errors import BackendFailed
from edgesr.runtime.layer_times import Layer, ProfiledFrames, profiled_frames

__all__ = ["profile_session"]

NODE_END = "_kernel_time"


def profile_session(
    options: onnxruntime.SessionOptions,
    reopen: Callable[[onnxruntime.SessionOptions], onnxruntime.InferenceSession],
    infer: Callable[[], int],
    frames: int,
) -> ProfiledFrames:
    """reopen: gives a session with these options, which `infer` runs from then on; `infer`: nanoseconds of its one run.

    The session is as any other afterwards. Raises BackendFailed where what the profiler wrote cannot be read.
    """
    with TemporaryDirectory(prefix="edgesr-profile-") as folder:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "layers")
        session = reopen(options)
        network_ns = [infer() for _ in range(frames)]
        try:
            runs = _runs(json.loads(Path(session.end_profiling()).read_bytes()))
        except (OSError, ValueError, LookupError, TypeError) as error:  # 1.23 does not escape a quote in a node's name
            raise BackendFailed(f"what ONNX Runtime's profiler wrote cannot be read ({error})") from error
    if len(runs) != frames:
        raise BackendFailed(f"ONNX Runtime's profiler wrote down {len(runs)} runs of {frames}")
    return profiled_frames(network_ns, runs)


def _runs(events: list[dict[str, Any]]) -> list[dict[Layer, int]]:
    """For each run its nodes' nanoseconds; the entry of a run comes after those of its nodes."""
    runs: list[dict[Layer, int]] = []
    nodes: dict[Layer, int] = {}
    for event in events:
        name = event["name"]
        if event.get("cat") == "Node" and name.endswith(NODE_END):
            about = event["args"]
            layer = (name.removesuffix(NODE_END), about["op_name"], int(about["node_index"]))
            nodes[layer] = nodes.get(layer, 0) + 1000 * int(event["dur"])  # from microseconds
        elif name == "model_run":
            runs.append(nodes)
            nodes = {}
    return runs
