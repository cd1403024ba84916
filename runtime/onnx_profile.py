"""ONNX Runtime's profiler: it writes down every node that ran, in a file that is read when all is over."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime

from edgesr.runtime.errors import BackendFailed
from edgesr.runtime.layer_times import Layer, ProfiledFrames, profiled_frames

__all__ = ["NodeRun", "profile_session", "profiled_runs"]

NODE_END = "_kernel_time"


@dataclass(frozen=True)
class NodeRun:
    """A node in one run. place: in the graph as it is run. provider: such as CPUExecutionProvider; empty
    where it is not told."""

    name: str
    kind: str
    place: int
    provider: str
    duration_ns: int


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
        runs = profiled_runs(Path(session.end_profiling()))
    if len(runs) != frames:
        raise BackendFailed(f"ONNX Runtime's profiler wrote down {len(runs)} runs of {frames}")
    return profiled_frames(network_ns, [_by_layer(nodes) for nodes in runs])


def profiled_runs(profile: Path) -> list[list[NodeRun]]:
    """The nodes of each run, in the order in which they ran. Raises BackendFailed."""
    runs: list[list[NodeRun]] = []
    nodes: list[NodeRun] = []
    try:
        for event in json.loads(profile.read_bytes()):
            name = event["name"]
            if event.get("cat") == "Node" and name.endswith(NODE_END):
                about, duration_ns = event["args"], 1000 * int(event["dur"])  # from microseconds
                node = (
                    name.removesuffix(NODE_END),
                    about["op_name"],
                    int(about["node_index"]),
                    about.get("provider", ""),
                )
                nodes.append(NodeRun(*node, duration_ns))
            elif name == "model_run":  # after its nodes
                runs.append(nodes)
                nodes = []
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:  # 1.23 escapes no quote in a name
        raise BackendFailed(f"what ONNX Runtime's profiler wrote cannot be read ({error})") from error
    return runs


def _by_layer(nodes: Sequence[NodeRun]) -> dict[Layer, int]:
    found: dict[Layer, int] = {}
    for node in nodes:
        layer = (node.name, node.kind, node.place)
        found[layer] = found.get(layer, 0) + node.duration_ns
    return found
