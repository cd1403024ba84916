"""CUDA graphs by the driver's own functions: PyCUDA has none.

Work that was captured from a stream once is launched again with one call, which saves the launch of every kernel: most
for small frames and many layers. CUDA driver API, "Stream Management" and "Graph Management".
"""

import ctypes
from collections.abc import Callable

from edgesr.runtime.nvidia import DRIVER

__all__ = ["CaptureFailed", "CudaGraph"]

THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile


class CaptureFailed(Exception):
    """The work cannot be captured; the message says why. It can still be launched the plain way."""


class CudaGraph:
    """What `launch` put on a stream, ready to run again. For the thread and the context it was captured in.

    Raises CaptureFailed; the stream is then usable as before.
    """

    def __init__(self, stream: int, launch: Callable[[], None]) -> None:
        self._driver = ctypes.CDLL(DRIVER)
        self._stream = ctypes.c_void_p(stream)
        self._executable = ctypes.c_void_p()
        graph = ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, ctypes.c_int(THREAD_LOCAL))
        try:
            launch()
        except BaseException as error:
            self._driver.cuStreamEndCapture(self._stream, ctypes.byref(graph))
            self._driver.cuGraphDestroy(graph)
            if isinstance(error, Exception):
                raise CaptureFailed(str(error)) from error
            raise
        self._call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, ctypes.c_ulonglong(0))
        finally:
            self._driver.cuGraphDestroy(graph)

    def launch(self) -> None:
        self._call("cuGraphLaunch", self._executable, self._stream)

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        if self._executable:
            self._driver.cuGraphExecDestroy(self._executable)
            self._executable = ctypes.c_void_p()

    def _call(self, name: str, *arguments: object) -> None:
        try:
            code = getattr(self._driver, name)(*arguments)
        except AttributeError as error:
            raise CaptureFailed(f"the driver is too old: it has no {name}") from error
        if code:
            raise CaptureFailed(f"{name}: CUDA error {code}")
