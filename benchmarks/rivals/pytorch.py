"""PyTorch on a .pt2 program of edgesr-export: FP32 on the CPU; on an NVIDIA GPU what is in the file, in one CUDA graph.

The GPU's half is what `scripts/gpu_check` times as "cuda graph": weights channels-last, cuDNN's search, pinned memory, events
around the network. Here it has not run on a GPU yet. torch is imported when a program is opened.
"""

import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from edgesr.benchmarks.rivals.base import Array, Graph, calm_module, error_line
from edgesr.runtime.errors import ForeignModel, InputError, NoDevice
from edgesr.runtime.program_card import read_program_card

__all__ = ["PyTorch", "PyTorchOnCpu"]

SETTLING_CALLS = 3
"""Before a capture: cuDNN's search and PyTorch's allocations must not be captured."""


class PyTorch(Graph):
    """On the GPU where PyTorch finds one.

    Raises NoDevice for an FP16 program on the CPU, which would compute it in FP16 at a tenth of the speed.
    """

    title, module, extra, suffix = "PyTorch", "torch", "export", ".pt2"
    precisions = ("fp32", "fp16")
    takes_gpu = True

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        torch = self._module
        self._card = read_program_card(path)
        self._device = "cuda" if self.takes_gpu and torch.cuda.is_available() else "cpu"
        if self._device == "cpu" and self._card.precision == "fp16":
            raise NoDevice(
                f"{path} is FP16, which is for a GPU, and here it would run on the CPU: export it with --precision fp32"
            )
        _refuse_pickles(torch, path)
        torch.set_num_threads(threads)  # of the process: torch knows no other
        try:
            program = torch.export.load(path)
        except Exception as error:  # PyTorch raises whatever its JSON and pickle readers do
            raise ForeignModel(
                f"{path} was written by PyTorch {self._card.torch}; {self.version} cannot read it ({error_line(error)})"
            ) from error
        self._network = program.module().to(self._device).to(memory_format=torch.channels_last)
        if self._device == "cpu":
            self.settings["device"] = "cpu"
        else:
            self.settings = {"device": self._device, "gpu": torch.cuda.get_device_name()}
        self.settings["layout"] = "channels-last"

    @classmethod
    def metadata(cls, path: Path) -> Mapping[str, str]:
        card = read_program_card(path)
        return {
            "edgesr.spec": card.spec.to_json(),
            "edgesr.form": "program",
            "edgesr.precision": card.precision,
            "edgesr.weights_sha256": card.weights_sha256,
            "edgesr.memory_bytes_per_pixel": "0",  # not known
        }

    @classmethod
    def lacks(cls, precision: str) -> str | None:
        why = super().lacks(precision)
        if why is None and precision == "fp16" and not calm_module(cls.module).cuda.is_available():
            return "at fp16 needs a GPU, and PyTorch finds none"
        return why

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        width, height = self._card.size
        if shape != (1, height, width, 3):
            given = f"{shape[2]}x{shape[1]}"
            raise InputError(
                f"the frame is {given}; {self.path} takes {width}x{height} alone: export it with --size {given}"
            )
        run = _OnCpu if self._device == "cpu" else _OnGpu
        with self._module.inference_mode():
            self._runner: _OnCpu | _OnGpu = run(self._module, self._network, shape, self._device)
        self.settings |= self._runner.settings

    def run(self, array: Array) -> Array:
        with self._module.inference_mode():
            made, self.network_ns = self._runner.run(array)
        return made


class PyTorchOnCpu(PyTorch):
    """For references, which must not hang on what a GPU does."""

    takes_gpu = False


class _OnCpu:
    def __init__(self, torch: Any, network: Callable[[Any], Any], shape: tuple[int, ...], device: str) -> None:
        self.settings: dict[str, str | int] = {}
        self._network, self._frame = network, torch.empty(shape, dtype=torch.uint8)
        self._pixels: Array = self._frame.numpy()

    def run(self, array: Array) -> tuple[Array, int]:
        """The bytes of the result, and how long the network took."""
        self._pixels[...] = array
        start = time.perf_counter_ns()
        made = self._network(self._frame)
        elapsed_ns = time.perf_counter_ns() - start
        return made.numpy(), elapsed_ns


class _OnGpu:
    """Buffers that are used again for every frame, and the network captured once."""

    def __init__(self, torch: Any, network: Callable[[Any], Any], shape: tuple[int, ...], device: str) -> None:
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False  # FP32 is to be FP32
        self._cuda = torch.cuda
        self._pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._frame = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._replay, self._made = self._captured(network)
        self.settings: dict[str, str | int] = {"cuda_graph": "on"}
        self._result = torch.empty(self._made.shape, dtype=torch.uint8, pin_memory=True)
        self._start, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def run(self, array: Array) -> tuple[Array, int]:
        """As on the CPU; the network's time is that between events around it."""
        self._pinned.numpy()[...] = array
        self._frame.copy_(self._pinned, non_blocking=True)
        self._start.record()
        self._replay()
        self._end.record()
        self._result.copy_(self._made, non_blocking=True)
        self._cuda.synchronize()
        return self._result.numpy(), round(self._start.elapsed_time(self._end) * 1e6)

    def _captured(self, network: Callable[[Any], Any]) -> tuple[Callable[[], None], Any]:
        """What runs the network, and where its result then lies."""
        side = self._cuda.Stream()
        side.wait_stream(self._cuda.current_stream())
        with self._cuda.stream(side):
            for _ in range(SETTLING_CALLS):
                network(self._frame)
        self._cuda.current_stream().wait_stream(side)
        graph = self._cuda.CUDAGraph()
        with self._cuda.graph(graph):
            made = network(self._frame)
        return graph.replay, made


def _refuse_pickles(torch: Any, path: Path) -> None:
    """PyTorch reads parts of a program by unpickling, at first tensors alone and then, in silence, anything. Such a file is refused
    before. That is no sandbox: the graph itself is still PyTorch's to read."""
    with ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("_config.json"):
                unsafe = b'"use_pickle":true' in b"".join(archive.read(name).split())
            elif name.endswith(".pt"):
                unsafe = _holds_objects(torch, archive.read(name))
            else:
                unsafe = name.endswith((".pkl", ".so"))
            if unsafe:
                raise ForeignModel(
                    f"{path} holds code or pickled objects beside its tensors ({name.rpartition('/')[2]}), which "
                    "edgesr-export does not write: it was not opened"
                )


def _holds_objects(torch: Any, pickled: bytes) -> bool:
    try:
        torch.load(BytesIO(pickled), weights_only=True)
    except Exception:  # noqa: BLE001 - what cannot be read as tensors is what is asked for
        return True
    return False
