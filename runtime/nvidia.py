"""The way to TensorRT: the driver is asked first, then the module is imported, then a logger keeps what it says.

TensorRT 8.6 ends the process when an object of its is made on a machine without a driver; `cuInit` says so politely.
"""

import ctypes
import sys
from collections import deque
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from edgesr.runtime.errors import EdgeSRError, MissingDependency, NoDevice
from edgesr.runtime.installed import pip_install

__all__ = ["LastLines", "check_driver", "driver_version", "import_tensorrt", "load_tensorrt"]

DRIVER = "libcuda.so.1"
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
KEPT = 12


def check_driver() -> None:
    """Raise NoDevice where there is no NVIDIA driver, or none that finds a GPU."""
    try:
        cuda = ctypes.CDLL(DRIVER)
    except OSError as error:
        raise NoDevice(
            f"no NVIDIA driver was found ({DRIVER}: {error}): engines need an NVIDIA GPU; .onnx files run without one"
        ) from error
    code, count = cuda.cuInit(0), ctypes.c_int()
    if code == 0:
        code = cuda.cuDeviceGetCount(ctypes.byref(count))
    if code == NO_DEVICE or (code == 0 and count.value == 0):
        raise NoDevice("the NVIDIA driver finds no GPU: engines need one; .onnx files run without")
    if code:
        raise NoDevice(f"the NVIDIA driver does not start (cuInit: error {code}): see nvidia-smi, or reboot the board")


def driver_version() -> str:
    """The CUDA version that the driver serves, such as `12.6`. Raises NoDevice."""
    check_driver()
    number = ctypes.c_int()
    ctypes.CDLL(DRIVER).cuDriverGetVersion(ctypes.byref(number))
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def import_tensorrt() -> ModuleType:
    """The module, without asking for a GPU: its version and enums may be read, no object may be made.

    Raises MissingDependency, with what to install where.
    """
    try:
        tensorrt = import_module("tensorrt")
    except (ImportError, OSError) as error:  # OSError: of a wheel whose libraries are damaged
        raise _no_tensorrt(" ".join(str(error).split())) from error
    if not hasattr(tensorrt, "__version__"):
        raise _no_tensorrt(f"a folder named tensorrt stands before it: {next(iter(tensorrt.__path__))}")
    return tensorrt


def _no_tensorrt(why: str) -> MissingDependency:
    return MissingDependency(
        f"TensorRT's Python module is missing ({why}): on a Jetson it comes with JetPack (python3-libnvinfer; a virtual "
        f"environment needs --system-site-packages), on a PC: {pip_install('tensorrt')}"
    )


def load_tensorrt() -> ModuleType:
    """The module, after the driver has been asked. Raises NoDevice, MissingDependency."""
    check_driver()
    return import_tensorrt()


class LastLines:
    """Keeps TensorRT's last warnings and errors: every call that fails there returns None and says why in its log only.

    `logger` goes to TensorRT and must outlive every object made with it; this object holds it.
    """

    def __init__(self, trt: ModuleType, *, echo: bool = False) -> None:
        lines: deque[tuple[bool, str]] = deque(maxlen=KEPT)
        errors = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR)
        warning = trt.ILogger.WARNING

        class Logger(trt.ILogger):  # type: ignore[misc, name-defined]  # made by the module at hand
            def log(self, severity: Any, message: str) -> None:
                if severity in errors or severity == warning:
                    lines.append((severity in errors, message.strip()))
                    if echo:
                        sys.stderr.write(f"TensorRT: {message.strip()}\n")

        self._lines = lines
        self.logger = Logger()

    def said(self) -> str:
        """The last errors, or where there is none the last warnings, in one line."""
        chosen = [text for is_error, text in self._lines if is_error] or [text for _, text in self._lines]
        return " | ".join(chosen[-3:]) or "TensorRT gave no reason"

    def made(self, what: str, factory: Callable[[], Any], failure: type[EdgeSRError]) -> Any:
        """What a factory of TensorRT makes; `failure` where it makes nothing, which the binding shows as None or TypeError."""
        try:
            thing = factory()
        except (TypeError, RuntimeError) as error:
            raise failure(f"TensorRT made no {what} ({' '.join(str(error).split())}): {self.said()}") from error
        if thing is None:
            raise failure(f"TensorRT made no {what}: {self.said()}")
        return thing

    def clear(self) -> None:
        self._lines.clear()
