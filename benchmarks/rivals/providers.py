"""ONNX Runtime's own providers for NVIDIA GPUs, on the same .onnx files. Not tried on a GPU yet.

Input and output lie in the GPU's memory, so that the network's time has no copies in it, as with our TensorRT backend; it is the
host's clock from a still GPU to a still GPU, launches included. ONNX Runtime hands single nodes to the CPU without a word: the
first run is profiled, and what ran where is told.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from edgesr.benchmarks.rivals.base import Array, Graph
from edgesr.runtime.errors import NoDevice
from edgesr.runtime.onnx_profile import profiled_runs

__all__ = ["CudaProvider", "TensorRTProvider", "nodes_by_provider"]

CPU = "CPUExecutionProvider"
KINDS = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
OPERATORS_NAMED = 4


class CudaProvider(Graph):
    """FP32 without TF32; an FP16 file runs in the FP16 that is in its graph."""

    title, module = "ONNX Runtime CUDA", "onnxruntime"
    precisions: tuple[str, ...] = ("fp32", "fp16")
    provider = "CUDAExecutionProvider"
    device = "cuda"
    package = "pip install onnxruntime-gpu in place of onnxruntime; on a Jetson, NVIDIA's wheel"

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        if why := self._absent():
            raise NoDevice(f"{self.title} cannot run {path.name}: {why}")
        self.settings = {"gpu": "device 0", "provider": self.provider, "cuda_graph": "off"}
        self._session: Any = None

    @classmethod
    def lacks(cls, precision: str) -> str | None:
        absent = cls._absent()
        return super().lacks(precision) or (absent and f"cannot run: {absent}")

    @classmethod
    def _absent(cls) -> str | None:
        import onnxruntime

        there = onnxruntime.get_available_providers()
        if cls.provider in there:
            return None
        return f"onnxruntime {onnxruntime.__version__} here has only {', '.join(there)} ({cls.package})"

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        if self._session is not None:
            self._bind(name, shape)
            return
        with tempfile.TemporaryDirectory(prefix="edgesr-profile-") as folder:
            session = self._opened(Path(folder) / "first")
            if self.provider not in session.get_providers():  # a library that it needs could not be loaded
                raise NoDevice(
                    f"ONNX Runtime could not start {self.provider} and has {', '.join(session.get_providers())}; what it "
                    "missed (CUDA, cuDNN or TensorRT of the version that it was built for) it has told above"
                )
            self._session = session
            self._bind(name, shape)
            self._tell_nodes(Path(session.end_profiling()))

    def run(self, array: Array) -> Array:
        self._input.update_inplace(array)
        self._binding.synchronize_inputs()
        start = time.perf_counter_ns()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        self.network_ns = time.perf_counter_ns() - start
        made: Array = self._output.numpy()
        return made

    def _opened(self, profile: Path) -> Any:
        options = self._module.SessionOptions()
        options.log_severity_level = 3
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
        return self._module.InferenceSession(
            str(self.path),
            options,
            providers=self._providers(),
            enable_fallback=0,  # else a provider that fails is left out, with a line on the screen
        )

    def _providers(self) -> list[Any]:
        return [(self.provider, {"device_id": "0", "use_tf32": "0"})]

    def _bind(self, name: str, shape: tuple[int, ...]) -> None:
        """The first run finds out how large the output is; the later ones are given its memory."""
        session, values = self._session, self._module.OrtValue
        start, end = session.get_inputs()[0], session.get_outputs()[0]
        self._input = values.ortvalue_from_numpy(np.zeros(shape, KINDS[start.type]), self.device, 0)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(name, self._input)
        self._binding.bind_output(end.name, self.device, 0)
        session.run_with_iobinding(self._binding)
        made = self._binding.get_outputs()[0].shape()
        self._output = values.ortvalue_from_shape_and_type(made, KINDS[end.type], self.device, 0)
        self._binding.bind_ortvalue_output(end.name, self._output)

    def _tell_nodes(self, profile: Path) -> None:
        nodes = nodes_by_provider(profile)
        if not nodes.get(self.provider):
            raise NoDevice(f"{self.provider} took none of the nodes of {self.path}: {_counted(nodes)}")
        self.settings["nodes"] = _counted(nodes)
        if fallen := nodes.get(CPU):
            self.settings["nodes_on_cpu"] = _operators(fallen)


class TensorRTProvider(CudaProvider):
    """What TensorRT does not take runs on CUDA, and is counted. TensorRT may compute FP32 in TF32, which ONNX Runtime cannot turn
    off; other precisions come from the file. The engine is built in the first frame of a size."""

    title = "ONNX Runtime TensorRT"
    precisions = ("fp32", "fp16", "int8")
    provider = "TensorrtExecutionProvider"

    def _providers(self) -> list[Any]:
        precision = self.metadata(self.path).get("edgesr.precision", "fp32")
        own = {
            "device_id": "0",
            "trt_fp16_enable": str(precision == "fp16"),
            "trt_int8_enable": str(precision == "int8"),
        }
        return [(self.provider, own), ("CUDAExecutionProvider", {"device_id": "0", "use_tf32": "0"})]


def nodes_by_provider(profile: Path) -> dict[str, Counter[str]]:
    """Provider -> operators that it ran, from ONNX Runtime's profile. Raises BackendFailed: nobody knows then what ran on the CPU."""
    found: dict[str, Counter[str]] = {}
    for nodes in profiled_runs(profile):
        for node in nodes:
            if node.provider:
                found.setdefault(node.provider, Counter())[node.kind] += 1
    return found


def _counted(nodes: dict[str, Counter[str]]) -> str:
    """`41 CUDA, 6 CPU`."""
    each = (f"{counts.total()} {name.removesuffix('ExecutionProvider')}" for name, counts in sorted(nodes.items()))
    return ", ".join(each) or "none ran"


def _operators(counts: Counter[str]) -> str:
    """`9 (4 Shape, 2 Slice, …)`."""
    most = counts.most_common(OPERATORS_NAMED)
    more = ["…"] if len(counts) > len(most) else []
    return f"{counts.total()} ({', '.join([*(f'{count} {name}' for name, count in most), *more])})"
