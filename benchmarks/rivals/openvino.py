"""OpenVINO on the CPU, in FP32: its own default on some CPUs is BF16."""

from collections.abc import Mapping
from pathlib import Path

from edgesr.benchmarks.rivals.base import Array, Graph
from edgesr.runtime.layer_times import Layer

__all__ = ["OpenVino"]


class OpenVino(Graph):
    """Compiled for one size, with the hint for latency."""

    title, module = "OpenVINO", "openvino"

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self._core = self._module.Core()
        self._model = self._core.read_model(str(path))

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        self._model.reshape({name: list(shape)})
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERF_COUNT": self.profiles,
        }
        compiled = self._core.compile_model(self._model, "CPU", settings)
        self._name, self._request, self._end = name, compiled.create_infer_request(), compiled.outputs[0]
        self._profiled_runs, self._spent_ns = 0, dict[Layer, int]()

    def run(self, array: Array) -> Array:
        made: Array = self._request.infer({self._name: array}, share_inputs=True, share_outputs=True)[self._end]
        return made

    def layer_times(self) -> Mapping[Layer, int]:
        """It keeps the mean of all runs, in whole microseconds (2026.4): the last run is what that grew by."""
        before, self._profiled_runs = self._spent_ns, self._profiled_runs + 1
        self._spent_ns = {
            (node.node_name, node.node_type, 0): self._profiled_runs * round(1e9 * node.real_time.total_seconds())
            for node in self._request.profiling_info
            if node.status == type(node.status).EXECUTED
        }
        return {layer: max(0, spent - before.get(layer, 0)) for layer, spent in self._spent_ns.items()}
