"""The GPU as one thread uses it: its context, a stream, buffers for frames, clocks. PyCUDA stands behind this, and nowhere else.

On a board the GPU shares the CPU's memory: buffers are mapped there and nothing is copied. Elsewhere they are
pinned and copied on the stream.
"""

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.cuda_graph import CudaGraph
from edgesr.runtime.errors import BackendFailed, InputError, MissingDependency, NoDevice
from edgesr.runtime.installed import pip_install
from edgesr.runtime.nvidia import check_driver, driver_version

__all__ = ["Buffer", "CudaDevice", "DeviceFacts", "device_facts"]

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no waiting for the default stream


@dataclass(frozen=True)
class DeviceFacts:
    """name: with the count of its multiprocessors, since every Jetson Orin calls its GPU the same, whether it has 4 or 16.
    compute_capability: such as `8.7`. integrated: the GPU shares the CPU's memory. driver: the CUDA version it serves.
    free_bytes: at the time of asking."""

    name: str
    compute_capability: str
    integrated: bool
    driver: str
    total_bytes: int
    free_bytes: int


@dataclass
class Buffer:
    """Bytes that both sides see. host: uint8, pinned. address: for the GPU. device: its own memory; None where mapped."""

    host: NDArray[np.uint8]
    address: int
    device: Any


def device_facts(index: int = 0) -> DeviceFacts:
    """What GPU is here. Raises NoDevice, MissingDependency."""
    with CudaDevice(index) as device:
        return device.facts


class CudaDevice:
    """The GPU's primary context, which PyTorch and TensorRT share, retained until `close`.

    Belongs to the thread that opens it; between calls no context is left current there. Raises NoDevice, MissingDependency.
    """

    def __init__(self, index: int = 0) -> None:
        check_driver()
        self._cuda = _pycuda()
        self._thread = threading.get_ident()
        self._buffers: list[Buffer] = []
        self._marks: dict[str, Any] = {}
        self._graphs: list[CudaGraph] = []
        try:
            self._cuda.init()
            device = self._cuda.Device(index)
            self._context = device.retain_primary_context()
        except self._cuda.Error as error:
            raise NoDevice(f"GPU {index} cannot be used: {_line(error)}") from error
        try:
            with self.current():
                self.facts = self._ask(device)
                self._stream = self._cuda.Stream(NON_BLOCKING)
        except BaseException:
            self.close()
            raise

    def _ask(self, device: Any) -> DeviceFacts:
        free, total = self._cuda.mem_get_info()
        attribute = self._cuda.device_attribute
        return DeviceFacts(
            name=f"{device.name()} ({device.get_attribute(attribute.MULTIPROCESSOR_COUNT)} SMs)",
            compute_capability="{}.{}".format(*device.compute_capability()),
            integrated=bool(device.get_attribute(attribute.INTEGRATED)),
            driver=driver_version(),
            total_bytes=int(total),
            free_bytes=int(free),
        )

    @property
    def stream(self) -> int:
        """The stream's handle, for TensorRT."""
        return int(self._stream.handle)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Within it this thread may use the GPU. CUDA's errors come out as BackendFailed."""
        if threading.get_ident() != self._thread:
            raise InputError("a GPU backend belongs to the thread that opened it; open one in this thread too")
        try:
            self._context.push()
            try:
                yield
            except BaseException as error:
                # What the frames below hold of the GPU must go while the context is there, not with the error.
                traceback.clear_frames(error.__traceback__)
                raise
            finally:
                self._context.pop()
        except self._cuda.MemoryError as error:
            raise BackendFailed(
                f"the GPU is out of memory ({_line(error)}): use a smaller --size, or close what else uses it"
            ) from error
        except self._cuda.Error as error:
            raise BackendFailed(f"CUDA failed: {_line(error)}") from error

    def buffer(self, shape: tuple[int, ...]) -> Buffer:
        """A new one, which `release` or `close` gives back."""
        cuda = self._cuda
        if self.facts.integrated:
            host = cuda.pagelocked_empty(shape, np.uint8, mem_flags=cuda.host_alloc_flags.DEVICEMAP)
            made = Buffer(host, int(host.base.get_device_pointer()), None)
        else:
            host = cuda.pagelocked_empty(shape, np.uint8)
            device = cuda.mem_alloc(host.nbytes)
            made = Buffer(host, int(device), device)
        self._buffers.append(made)
        return made

    def upload(self, buffer: Buffer) -> None:
        if buffer.device is not None:
            self._cuda.memcpy_htod_async(buffer.device, buffer.host, self._stream)

    def download(self, buffer: Buffer) -> None:
        if buffer.device is not None:
            self._cuda.memcpy_dtoh_async(buffer.host, buffer.device, self._stream)

    def mark(self, name: str) -> None:
        """Note on the stream when the work so far is done; a mark of the same name is overwritten."""
        if name not in self._marks:
            self._marks[name] = self._cuda.Event()
        self._marks[name].record(self._stream)

    def elapsed_ns(self, start: str, end: str) -> int:
        """Between two marks; both must have been reached, as they are after `synchronize`."""
        return int(self._marks[start].time_till(self._marks[end]) * 1e6)

    def synchronize(self) -> None:
        self._stream.synchronize()

    def capture(self, launch: Callable[[], None]) -> CudaGraph:
        """What `launch` puts on the stream, to be launched again. Raises CaptureFailed."""
        graph = CudaGraph(self.stream, launch)
        self._graphs.append(graph)
        return graph

    def release(self) -> None:
        """Give back graphs and buffers. Pinned memory goes with the last array that shows it: a result stays readable."""
        while self._graphs:
            self._graphs.pop().close()
        while self._buffers:
            device = self._buffers.pop().device
            if device is not None:
                device.free()

    def close(self) -> None:
        """Give everything back; a second call does nothing. After a fault of the GPU, which was told when it came,
        the driver gives back what is left."""
        if "_context" not in self.__dict__:
            return
        with contextlib.suppress(BackendFailed), self.current():
            self._marks.clear()
            self.__dict__.pop("_stream", None)
            self.release()
        with contextlib.suppress(self._cuda.Error):
            self._context.detach()
        del self._context

    def __enter__(self) -> "CudaDevice":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pycuda() -> ModuleType:
    try:
        return import_module("pycuda.driver")
    except ImportError as error:
        raise MissingDependency(
            f"PyCUDA is missing ({error}): {pip_install('engine')} (with /usr/local/cuda/bin on PATH, it is compiled)"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
