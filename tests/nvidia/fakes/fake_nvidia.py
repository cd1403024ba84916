"""A machine with an NVIDIA GPU, played on the CPU: its memory, streams, contexts and driver library. The fakes of PyCUDA
and TensorRT stand on it.

EDGESR_FAKE_NVIDIA holds the knobs as JSON, so that child processes play the same machine. What real hardware would punish
with undefined behaviour is refused here, or noted in `faults`.
"""

import ctypes
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

__all__ = ["MACHINE", "CudaFailure", "FakeDriver", "Knobs", "Machine", "Memory", "Queue", "use_fake_driver"]

VARIABLE = "EDGESR_FAKE_NVIDIA"
DRIVER = "libcuda.so.1"

INVALID_VALUE, OUT_OF_MEMORY, NOT_INITIALIZED, NO_DEVICE = 1, 2, 3, 100
INVALID_CONTEXT, INVALID_HANDLE, NOT_READY, ILLEGAL_ADDRESS = 201, 400, 600, 700
CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED, UNKNOWN = 900, 901, 999

MESSAGES = {
    INVALID_VALUE: ("CUDA_ERROR_INVALID_VALUE", "invalid argument"),
    OUT_OF_MEMORY: ("CUDA_ERROR_OUT_OF_MEMORY", "out of memory"),
    NOT_INITIALIZED: ("CUDA_ERROR_NOT_INITIALIZED", "initialization error"),
    NO_DEVICE: ("CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"),
    INVALID_CONTEXT: ("CUDA_ERROR_INVALID_CONTEXT", "invalid device context"),
    INVALID_HANDLE: ("CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"),
    NOT_READY: ("CUDA_ERROR_NOT_READY", "device not ready"),
    ILLEGAL_ADDRESS: ("CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"),
    CAPTURE_UNSUPPORTED: (
        "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        "operation not permitted when stream is capturing",
    ),
    CAPTURE_INVALIDATED: (
        "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
        "operation failed due to a previous error during capture",
    ),
    UNKNOWN: ("CUDA_ERROR_UNKNOWN", "unknown error"),
}


@dataclass(frozen=True)
class Knobs:
    """What the machine is, and what goes wrong on it.

    driver: False: no driver library. init: what cuInit answers. devices: GPUs that the driver finds. missing: functions that
    the driver is too old for. pycuda, tensorrt: False: not installed.
    unsupported: an operator that the parser does not take. build_fails: TensorRT's reason; the build gives None.
    steps, step_seconds: of the build. crash: `segfault` or `kill` in the middle of the build.
    out_of_memory: at `build`, `context` (of execution), `enqueue`, or `alloc` (device memory for frames).
    offset: added to every output byte. black: the output is all zeros, as NaN becomes.
    fp32_anyway: reduced precision is accepted and not used. capture_fails: at `begin`, `enqueue`, `end`, `instantiate` or
    `launch`. fault_after: launches until one ends in an illegal access, which shows when the host waits; 0: never.
    report: a file that each child process leaves what it did not give back in, as JSON.
    """

    gpu: str = "Orin"
    capability: tuple[int, int] = (8, 7)
    multiprocessors: int = 8
    integrated: bool = True
    total: int = 8 << 30
    free: int = 6 << 30
    cuda: int = 12060
    driver: bool = True
    init: int = 0
    devices: int = 1
    missing: tuple[str, ...] = ()
    pycuda: bool = True
    tensorrt: bool = True
    unsupported: str = ""
    build_fails: str = ""
    steps: int = 3
    step_seconds: float = 0.0
    crash: str = ""
    out_of_memory: str = ""
    offset: int = 0
    black: bool = False
    fp32_anyway: bool = False
    capture_fails: str = ""
    fault_after: int = 0
    report: str = ""

    @classmethod
    def from_environment(cls) -> "Knobs":
        values = json.loads(os.environ.get(VARIABLE) or "{}")
        for name in ("capability", "missing"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


class CudaFailure(Exception):
    """A call that CUDA refuses; `code` is its error number."""

    def __init__(self, call: str, code: int, more: str = "") -> None:
        super().__init__(f"{call} failed: {MESSAGES[code][1]}" + (f" - {more}" if more else ""))
        self.code = code


@dataclass
class Memory:
    """One allocation. kind: `device` or `pinned`. mapped: a pinned one that the GPU sees."""

    kind: str
    array: "np.ndarray[Any, Any]"
    mapped: bool = False

    @property
    def address(self) -> int:
        return int(self.array.ctypes.data)


@dataclass
class Queue:
    """A stream. captured: what was put on it since a capture began; None while work is done at once."""

    handle: int
    captured: "list[Callable[[], None]] | None" = None
    invalidated: bool = False
    pending: list[Any] = field(default_factory=list)


@dataclass
class Graph:
    work: list[Callable[[], None]]


class Machine:
    """All that one process knows of the GPU. ops: what was done with it, in order."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.initialised = False
        self.ops: list[tuple[Any, ...]] = []
        self.faults: list[str] = []
        self.memory: dict[int, Memory] = {}
        self.allocations = 0
        self.engine_bytes = 0
        self.queues: dict[int, Queue] = {}
        self.graphs: dict[int, Graph] = {}
        self.executables: dict[int, Graph] = {}
        self.events = 0
        self.objects: dict[str, int] = {}
        self.retained = 0
        self.generation = 0
        self.stacks: dict[int, list[Any]] = {}
        self.launches = 0
        self.sticky = 0
        self._numbers = 0x5000

    def change(self, **knobs: Any) -> None:
        """Turn knobs while the machine runs; in this process only."""
        self.knobs = replace(self.knobs, **knobs)

    def number(self) -> int:
        self._numbers += 16
        return self._numbers

    # contexts

    def stack(self) -> list[Any]:
        """PyCUDA's contexts of the calling thread, the current one last."""
        return self.stacks.setdefault(threading.get_ident(), [])

    def current(self) -> Any:
        stack = self.stack()
        while stack and not stack[-1].valid:
            stack.pop()
        return stack[-1] if stack else None

    def need_context(self, call: str) -> Any:
        context = self.current()
        if context is None:
            raise CudaFailure(call, INVALID_CONTEXT, "no currently active context?")
        if self.sticky:
            raise CudaFailure(call, self.sticky)
        return context

    # memory

    def free_bytes(self) -> int:
        taken = sum(memory.array.nbytes for memory in self.memory.values()) + self.engine_bytes
        return self.knobs.free - taken

    def allocate(self, kind: str, nbytes: int, *, mapped: bool = False) -> Memory:
        call = "cuMemAlloc" if kind == "device" else "cuMemHostAlloc"
        self.need_context(call)
        if nbytes <= 0:
            raise CudaFailure(call, INVALID_VALUE)
        if self.knobs.out_of_memory == "alloc" or nbytes > self.free_bytes():
            raise CudaFailure(call, OUT_OF_MEMORY)
        memory = Memory(kind, np.full(nbytes, 0xA5, np.uint8), mapped)
        self.memory[memory.address] = memory
        self.allocations += 1
        self.ops.append(("allocate", kind, nbytes))
        return memory

    def give_back(self, memory: Memory) -> None:
        if self.memory.pop(memory.address, None) is None:
            raise CudaFailure("cuMemFree", INVALID_VALUE, "it was freed before")
        memory.array[:] = 0xDD  # whoever still looks at it sees that
        self.ops.append(("free", memory.kind, memory.array.nbytes))

    def seen_by_gpu(self, address: int, nbytes: int) -> "np.ndarray[Any, Any] | None":
        """Bytes at an address of the GPU; None where it sees nothing there."""
        for start, memory in self.memory.items():
            if start <= address and address + nbytes <= start + memory.array.nbytes:
                if memory.kind == "pinned" and not memory.mapped:
                    return None
                return memory.array[address - start : address - start + nbytes]
        return None

    # streams

    def queue(self, call: str, handle: int) -> Queue:
        if handle == 0:
            return self.queues.setdefault(0, Queue(0))
        if handle not in self.queues:
            raise CudaFailure(call, INVALID_HANDLE, f"{handle:#x} is no stream")
        return self.queues[handle]

    def submit(self, queue: Queue, op: tuple[Any, ...], work: Callable[[], None]) -> None:
        """Do it at once and note it, or keep it where the stream is being captured."""

        def noted() -> None:
            self.ops.append(op)
            work()

        if queue.captured is None:
            noted()
        else:
            queue.captured.append(noted)

    def wait(self, queue: Queue, call: str = "cuStreamSynchronize") -> None:
        if queue.captured is not None:
            queue.invalidated = True
            raise CudaFailure(call, CAPTURE_UNSUPPORTED)
        self.ops.append(("synchronize",))
        for event in queue.pending:
            event.reached = True
        queue.pending.clear()
        if self.sticky:
            raise CudaFailure(call, self.sticky)

    def touch_illegally(self) -> None:
        self.sticky = ILLEGAL_ADDRESS

    # what is left

    def count(self, kind: str, change: int) -> None:
        self.objects[kind] = self.objects.get(kind, 0) + change

    def left(self) -> dict[str, int]:
        """All that was not given back, and by how much; empty after a clean end."""
        kinds = [memory.kind for memory in self.memory.values()]
        found = {
            "device memory": kinds.count("device"),
            "pinned memory": kinds.count("pinned"),
            "streams": sum(handle != 0 for handle in self.queues),
            "events": self.events,
            "graphs": len(self.graphs),
            "executable graphs": len(self.executables),
            "contexts retained": self.retained,
            "contexts pushed": sum(len(stack) for stack in self.stacks.values()),
            **self.objects,
        }
        return {name: count for name, count in found.items() if count}


class FakeDriver:
    """What `ctypes.CDLL("libcuda.so.1")` gives. A function that it does not know is an AttributeError, as in a real one."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        functions = _Functions(machine)
        for name in dir(functions):
            if name.startswith("cu") and name not in machine.knobs.missing:
                setattr(self, name, _Function(getattr(functions, name)))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{DRIVER}: undefined symbol: {name}")

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


class _Function:
    """May be given `argtypes` and `restype` like a real one."""

    def __init__(self, work: Callable[..., int]) -> None:
        self._work = work
        self.argtypes: Any = None
        self.restype: Any = ctypes.c_int

    def __call__(self, *arguments: Any) -> int:
        try:
            return self._work(*arguments)
        except CudaFailure as failure:
            return failure.code


def _value(argument: Any) -> int:
    return int(getattr(argument, "value", argument) or 0)


def _store(reference: Any, value: Any) -> None:
    target = reference._obj if hasattr(reference, "_obj") else reference.contents
    target.value = value


class _Functions:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def cuInit(self, flags: Any) -> int:
        knobs = self.machine.knobs
        if knobs.init or not knobs.devices:
            return knobs.init or NO_DEVICE
        self.machine.initialised = True
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        if not self.machine.initialised:
            return NOT_INITIALIZED
        _store(count, self.machine.knobs.devices)
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:
        _store(version, self.machine.knobs.cuda)
        return 0

    def cuGetErrorString(self, code: Any, text: Any) -> int:
        return self._text(_value(code), text, 1)

    def cuGetErrorName(self, code: Any, text: Any) -> int:
        return self._text(_value(code), text, 0)

    def _text(self, code: int, text: Any, which: int) -> int:
        if code not in MESSAGES:
            _store(text, None)
            return INVALID_VALUE
        _store(text, MESSAGES[code][which].encode())
        return 0

    def _failing(self, stage: str) -> bool:
        return self.machine.knobs.capture_fails == stage

    def cuStreamBeginCapture_v2(self, stream: Any, mode: Any) -> int:
        self.machine.need_context("cuStreamBeginCapture")
        queue = self.machine.queue("cuStreamBeginCapture", _value(stream))
        if queue.handle == 0 or queue.captured is not None or self._failing("begin"):
            return CAPTURE_UNSUPPORTED
        queue.captured, queue.invalidated = [], False
        return 0

    def cuStreamEndCapture(self, stream: Any, graph: Any) -> int:
        queue = self.machine.queue("cuStreamEndCapture", _value(stream))
        if queue.captured is None:
            return INVALID_VALUE
        work, queue.captured = queue.captured, None
        if queue.invalidated or self._failing("end"):
            _store(graph, None)
            return CAPTURE_INVALIDATED
        number = self.machine.number()
        self.machine.graphs[number] = Graph(work)
        _store(graph, number)
        return 0

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: Any, flags: Any) -> int:
        self.machine.need_context("cuGraphInstantiate")
        if _value(graph) not in self.machine.graphs:
            return INVALID_VALUE
        if self._failing("instantiate"):
            return OUT_OF_MEMORY
        number = self.machine.number()
        self.machine.executables[number] = self.machine.graphs[_value(graph)]
        _store(executable, number)
        return 0

    def cuGraphLaunch(self, executable: Any, stream: Any) -> int:
        self.machine.need_context("cuGraphLaunch")
        queue = self.machine.queue("cuGraphLaunch", _value(stream))
        graph = self.machine.executables.get(_value(executable))
        if graph is None:
            return INVALID_HANDLE
        if self._failing("launch"):
            return UNKNOWN

        def replay() -> None:
            for work in graph.work:
                work()

        self.machine.submit(queue, ("replay", len(graph.work)), replay)
        return 0

    def cuGraphDestroy(self, graph: Any) -> int:
        return 0 if self.machine.graphs.pop(_value(graph), None) else INVALID_VALUE

    def cuGraphExecDestroy(self, executable: Any) -> int:
        if self.machine.current() is None:
            self.machine.faults.append("an executable graph was destroyed without a current context")
        return 0 if self.machine.executables.pop(_value(executable), None) else INVALID_VALUE


def use_fake_driver(machine: Machine) -> Callable[[], None]:
    """Make `ctypes.CDLL` open the fake driver; what is returned puts the real one back."""
    real = ctypes.CDLL

    class CDLL(real):
        def __new__(cls, name: Any = None, *arguments: Any, **options: Any) -> Any:
            if name != DRIVER:
                return real(name, *arguments, **options)
            if not machine.knobs.driver:
                raise OSError(f"{DRIVER}: cannot open shared object file: No such file or directory")
            return FakeDriver(machine)

    ctypes.CDLL = CDLL

    def undo() -> None:
        ctypes.CDLL = real

    return undo


MACHINE = Machine(Knobs.from_environment())
