"""The part of `pycuda.driver` that a frame needs. A name that the real one has and this one does not act out says so."""

import builtins as _builtins
import enum as _enum
import threading as _threading
import time as _time
from functools import wraps as _wraps

import fake_nvidia as _fake
import numpy as _np

_machine = _fake.MACHINE
if not _machine.knobs.driver:
    raise ImportError(f"{_fake.DRIVER}: cannot open shared object file: No such file or directory")

_NOT_ACTED_OUT = """
    aligned_empty aligned_empty_like aligned_zeros aligned_zeros_like array3d_flags array_format address_mode Array
    ArrayDescriptor ArrayDescriptor3D ctx_flags CompileError filter_mode from_device from_device_like func_cache
    Function function_attribute In InOut initialize_profiler IPCMemoryHandle ipc_mem_flags jit_option limit Linker
    managed_empty managed_zeros mem_alloc_like mem_alloc_pitch mem_get_address_range mem_host_register_flags
    memcpy_dtod memcpy_dtod_async memcpy_peer memory_type memset_d8 memset_d8_async Memcpy2D Memcpy3D Module
    module_from_buffer module_from_file Out pagelocked_empty_like pagelocked_zeros pagelocked_zeros_like
    register_host_memory start_profiler stop_profiler to_device TextureReference
"""


def __getattr__(name):
    if name in _NOT_ACTED_OUT.split():
        raise NotImplementedError(f"pycuda.driver.{name} is real, but this fake does not act it out")
    raise AttributeError(f"module 'pycuda.driver' has no attribute '{name}'")


class Error(Exception):
    pass


class MemoryError(Error):
    pass


class LogicError(Error):
    pass


class LaunchError(Error):
    pass


class RuntimeError(Error):
    pass


def _translated(work):
    """As the wrapper's translate_cuda_error sorts them."""
    kinds = {
        _fake.OUT_OF_MEMORY: MemoryError,
        _fake.NO_DEVICE: RuntimeError,
        _fake.NOT_READY: RuntimeError,
        _fake.UNKNOWN: Error,
    }

    @_wraps(work)
    def call(*arguments, **options):
        try:
            return work(*arguments, **options)
        except _fake.CudaFailure as failure:
            raise kinds.get(failure.code, LogicError)(str(failure)) from None

    return call


class _Flags:
    def __init__(self):
        raise _builtins.RuntimeError("This class cannot be instantiated from Python")


class host_alloc_flags(_Flags):
    PORTABLE, DEVICEMAP, WRITECOMBINED = 1, 2, 4


class _Enum(_enum.IntEnum):
    __str__ = _enum.Enum.__str__


class device_attribute(_Enum):
    MAX_THREADS_PER_BLOCK = 1
    WARP_SIZE = 10
    CLOCK_RATE = 13
    MULTIPROCESSOR_COUNT = 16
    INTEGRATED = 18
    CAN_MAP_HOST_MEMORY = 19
    MEMORY_CLOCK_RATE = 36
    GLOBAL_MEMORY_BUS_WIDTH = 37
    L2_CACHE_SIZE = 38
    UNIFIED_ADDRESSING = 41
    COMPUTE_CAPABILITY_MAJOR = 75
    COMPUTE_CAPABILITY_MINOR = 76


class event_flags(_Enum):
    DEFAULT, BLOCKING_SYNC, DISABLE_TIMING, INTERPROCESS = 0, 1, 2, 4


@_translated
def init(flags=0):
    knobs = _machine.knobs
    if knobs.init or not knobs.devices:
        raise _fake.CudaFailure("cuInit", knobs.init or _fake.NO_DEVICE)
    _machine.initialised = True


def get_version():
    return (12, 6, 0)


def get_driver_version():
    return _machine.knobs.cuda


@_translated
def mem_get_info():
    _machine.need_context("cuMemGetInfo")
    return _machine.free_bytes(), _machine.knobs.total


class Device:
    @_translated
    def __init__(self, ordinal):
        if not _machine.initialised:
            raise _fake.CudaFailure("cuDeviceGet", _fake.NOT_INITIALIZED)
        if not 0 <= ordinal < _machine.knobs.devices:
            raise _fake.CudaFailure("cuDeviceGet", _fake.INVALID_VALUE)

    @staticmethod
    @_translated
    def count():
        if not _machine.initialised:
            raise _fake.CudaFailure("cuDeviceGetCount", _fake.NOT_INITIALIZED)
        return _machine.knobs.devices

    def name(self):
        return _machine.knobs.gpu

    def compute_capability(self):
        return _machine.knobs.capability

    def total_memory(self):
        return _machine.knobs.total

    def get_attribute(self, attribute):
        known = {
            device_attribute.INTEGRATED: int(_machine.knobs.integrated),
            device_attribute.MULTIPROCESSOR_COUNT: _machine.knobs.multiprocessors,
            device_attribute.CAN_MAP_HOST_MEMORY: 1,
            device_attribute.UNIFIED_ADDRESSING: 1,
            device_attribute.COMPUTE_CAPABILITY_MAJOR: _machine.knobs.capability[0],
            device_attribute.COMPUTE_CAPABILITY_MINOR: _machine.knobs.capability[1],
        }
        if attribute not in known:
            raise NotImplementedError(f"device_attribute {attribute} is real, but this fake does not act it out")
        return known[attribute]

    def make_context(self, flags=0):
        raise NotImplementedError("Device.make_context is real, but this fake has the primary context alone")

    def retain_primary_context(self):
        if _machine.retained == 0:
            _machine.generation += 1
        _machine.retained += 1
        return Context._of(_machine.generation)


class Context:
    """A handle on the primary context. Belongs to the thread that retained it."""

    def __init__(self):
        raise _builtins.RuntimeError("This class cannot be instantiated from Python")

    @classmethod
    def _of(cls, generation):
        context = object.__new__(cls)
        context.valid = True
        context._generation = generation
        context._thread = _threading.get_ident()
        return context

    @property
    def handle(self):
        return 0x1000 + self._generation

    @_translated
    def push(self):
        if not self.valid:
            raise _fake.CudaFailure("cuCtxPushCurrent", _fake.INVALID_CONTEXT, "it was detached")
        if _threading.get_ident() != self._thread:
            raise _fake.CudaFailure("cuCtxPushCurrent", _fake.INVALID_CONTEXT, "it belongs to another thread")
        _machine.stack().append(self)

    @staticmethod
    @_translated
    def pop():
        if _machine.current() is None:
            raise _fake.CudaFailure("context::pop", _fake.INVALID_CONTEXT, "cannot pop non-current context")
        _machine.stack().pop()

    @_translated
    def detach(self):
        if not self.valid:
            message = "cannot detach from invalid context"
            raise _fake.CudaFailure("context::detach", _fake.INVALID_CONTEXT, message)
        self.valid = False
        if _threading.get_ident() != self._thread:
            _machine.faults.append("a context was detached in another thread than its own: it is leaked")
            return
        _machine.retained -= 1
        _machine.current()
        if _machine.retained == 0 and (left := [m.kind for m in _machine.memory.values()]):
            _machine.faults.append(f"the last context went while memory was allocated in it: {', '.join(left)}")

    def __del__(self):
        if self.__dict__.get("valid"):
            self.detach()

    @staticmethod
    @_translated
    def synchronize():
        _machine.need_context("cuCtxSynchronize")
        for queue in list(_machine.queues.values()):
            _machine.wait(queue, "cuCtxSynchronize")

    @staticmethod
    def get_current():
        return _machine.current()

    @staticmethod
    @_translated
    def get_device():
        _machine.need_context("cuCtxGetDevice")
        return Device(0)


def _alive(owner, call):
    """The context something was made in must be the current one."""
    context = _machine.need_context(call)
    if context._generation != owner._context._generation or not owner._context.valid:
        raise _fake.CudaFailure(call, _fake.INVALID_CONTEXT, "its own context is gone")


def _can_clean_up(owner):
    """PyCUDA gives nothing back, and says little or nothing, where the context is dead or of another thread."""
    context = owner._context
    if context.valid and context._thread == _threading.get_ident():
        return True
    _machine.faults.append(f"a {type(owner).__name__} outlived its context or went in another thread: it is leaked")
    return False


class Stream:
    @_translated
    def __init__(self, flags=0):
        self._context = _machine.need_context("cuStreamCreate")
        self._queue = _fake.Queue(_machine.number())
        _machine.queues[self._queue.handle] = self._queue

    @property
    def handle(self):
        return self._queue.handle

    @_translated
    def synchronize(self):
        _alive(self, "cuStreamSynchronize")
        _machine.wait(self._queue)

    @_translated
    def is_done(self):
        _alive(self, "cuStreamQuery")
        return not self._queue.pending

    @_translated
    def wait_for_event(self, event):
        _alive(self, "cuStreamWaitEvent")
        _machine.submit(self._queue, ("wait",), lambda: None)

    def __del__(self):
        if "_queue" in self.__dict__ and _can_clean_up(self):
            del _machine.queues[self._queue.handle]


def _queue_of(stream, call):
    if stream is None:
        return _machine.queue(call, 0)
    _alive(stream, call)
    return stream._queue


class Event:
    @_translated
    def __init__(self, flags=0):
        self._context = _machine.need_context("cuEventCreate")
        self._timed = not int(flags) & int(event_flags.DISABLE_TIMING)
        self._at = None
        self.reached = False
        _machine.events += 1
        _machine.ops.append(("event",))

    @_translated
    def record(self, stream=None):
        _alive(self, "cuEventRecord")
        queue = _queue_of(stream, "cuEventRecord")
        self._at, self.reached = None, False
        if queue.captured is not None:
            _machine.submit(queue, ("mark",), lambda: None)  # tells no time: it is part of a graph
            return self

        def mark():
            self._at = _time.perf_counter_ns()
            queue.pending.append(self)

        _machine.submit(queue, ("mark",), mark)
        return self

    @_translated
    def synchronize(self):
        _alive(self, "cuEventSynchronize")
        self.reached = True
        _machine.ops.append(("synchronize",))
        if _machine.sticky:
            raise _fake.CudaFailure("cuEventSynchronize", _machine.sticky)
        return self

    @_translated
    def query(self):
        _alive(self, "cuEventQuery")
        return self.reached

    @_translated
    def time_since(self, start):
        return _elapsed_ms(start, self)

    @_translated
    def time_till(self, end):
        return _elapsed_ms(self, end)

    def __del__(self):
        if "_at" in self.__dict__ and _can_clean_up(self):
            _machine.events -= 1


def _elapsed_ms(start, end):
    for event in (start, end):
        _alive(event, "cuEventElapsedTime")
        if event._at is None or not event._timed:
            raise _fake.CudaFailure("cuEventElapsedTime", _fake.INVALID_HANDLE)
        if not event.reached:
            raise _fake.CudaFailure("cuEventElapsedTime", _fake.NOT_READY)
    return (end._at - start._at) / 1e6


class DeviceAllocation:
    def __init__(self):
        raise _builtins.RuntimeError("This class cannot be instantiated from Python")

    @classmethod
    def _of(cls, memory):
        allocation = object.__new__(cls)
        allocation._context = _machine.current()
        allocation._memory = memory
        return allocation

    def __int__(self):
        if self._memory is None:
            raise LogicError("device_allocation was freed")
        return self._memory.address

    __index__ = __int__

    @_translated
    def free(self):
        if self._memory is None:
            raise _fake.CudaFailure("device_allocation::free", _fake.INVALID_HANDLE)
        memory, self._memory = self._memory, None
        if _can_clean_up(self):
            _machine.give_back(memory)

    def __del__(self):
        if self.__dict__.get("_memory") is not None:
            self.free()


@_translated
def mem_alloc(nbytes):
    return DeviceAllocation._of(_machine.allocate("device", nbytes))


class HostPointer:
    def __init__(self):
        raise _builtins.RuntimeError("This class cannot be instantiated from Python")

    @_translated
    def get_device_pointer(self):
        _alive(self, "cuMemHostGetDevicePointer")
        if self._memory is None or not self._memory.mapped:
            raise _fake.CudaFailure("cuMemHostGetDevicePointer", _fake.INVALID_VALUE)
        return self._memory.address


class PagelockedHostAllocation(HostPointer):
    @classmethod
    def _of(cls, memory, shape, dtype, order):
        allocation = object.__new__(cls)
        allocation._context = _machine.current()
        allocation._memory = memory
        array = _np.ndarray(shape, dtype, memory.array, order=order)
        allocation.__array_interface__ = array.__array_interface__
        return allocation

    @_translated
    def free(self):
        if self._memory is None:
            raise _fake.CudaFailure("pagelocked_host_allocation::free", _fake.INVALID_HANDLE)
        memory, self._memory = self._memory, None
        if _can_clean_up(self):
            _machine.give_back(memory)
        else:
            self._kept = memory  # never given back

    def get_flags(self):
        return host_alloc_flags.DEVICEMAP if self._memory.mapped else 0

    def __del__(self):
        if self.__dict__.get("_memory") is not None:
            self.free()


HostAllocation = PagelockedHostAllocation


@_translated
def pagelocked_empty(shape, dtype, order="C", mem_flags=0):
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    nbytes = int(_np.prod(shape)) * _np.dtype(dtype).itemsize
    memory = _machine.allocate("pinned", nbytes, mapped=bool(mem_flags & host_alloc_flags.DEVICEMAP))
    return _np.asarray(PagelockedHostAllocation._of(memory, shape, dtype, order))


def _bytes_of(buffer, *, writable):
    array = _np.asarray(buffer)
    if not (array.flags.c_contiguous or array.flags.f_contiguous) or (writable and not array.flags.writeable):
        raise ValueError("ndarray is not contiguous or not writable")
    pinned = any(m.address <= array.ctypes.data < m.address + m.array.nbytes for m in _machine.memory.values())
    return array.reshape(-1, order="A").view(_np.uint8), pinned


def _device_bytes(address, nbytes, call):
    found = _machine.seen_by_gpu(int(address), nbytes)
    if found is None:
        raise _fake.CudaFailure(call, _fake.INVALID_VALUE, f"{nbytes} bytes at {int(address):#x} are not the GPU's")
    return found


def _copy(name, call, host, device, stream, *, up):
    _machine.need_context(call)
    data, pinned = _bytes_of(host, writable=not up)
    memory = _device_bytes(device, data.nbytes, call)

    def copy():
        if up:
            memory[:] = data
        else:
            data[:] = memory

    _machine.submit(_queue_of(stream, call), (name, data.nbytes, "pinned" if pinned else "pageable"), copy)


@_translated
def memcpy_htod_async(dest, src, stream=None):
    _copy("upload", "cuMemcpyHtoDAsync", src, dest, stream, up=True)


@_translated
def memcpy_dtoh_async(dest, src, stream=None):
    _copy("download", "cuMemcpyDtoHAsync", dest, src, stream, up=False)


@_translated
def memcpy_htod(dest, src):
    _copy("upload", "cuMemcpyHtoD", src, dest, None, up=True)


@_translated
def memcpy_dtoh(dest, src):
    _copy("download", "cuMemcpyDtoH", dest, src, None, up=False)
