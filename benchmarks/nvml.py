"""Clocks and temperatures of NVIDIA's GPUs in a PC, asked of the driver's own library. Not tried on a GPU yet."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Gpu", "Nvml", "open_nvml"]

# nvml.h, the same numbers since NVML's first versions
OK, SM_CLOCK, GPU_SENSOR, NAME_BYTES = 0, 1, 0, 96


@dataclass(frozen=True)
class Gpu:
    """clock_mhz: of the multiprocessors."""

    name: str
    clock_mhz: float
    most_mhz: float | None
    temperature_c: float | None


class Nvml:
    """An open library; `library` has NVML's functions, as `ctypes.CDLL("libnvidia-ml.so.1")` does."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def gpus(self) -> Iterator[Gpu]:
        """Those whose clock the driver tells."""
        for index in range(self._number("nvmlDeviceGetCount_v2") or 0):
            device = ctypes.c_void_p()
            if self._library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)) != OK:
                continue
            sm = ctypes.c_int(SM_CLOCK)
            if clock := self._number("nvmlDeviceGetClockInfo", device, sm):
                temperature = self._number("nvmlDeviceGetTemperature", device, ctypes.c_int(GPU_SENSOR))
                most = self._number("nvmlDeviceGetMaxClockInfo", device, sm)
                yield Gpu(f"{index} {self._name(device)}".strip(), float(clock), most, temperature)

    def _number(self, function: str, *arguments: Any) -> int | None:
        value = ctypes.c_uint()
        return value.value if getattr(self._library, function)(*arguments, ctypes.byref(value)) == OK else None

    def _name(self, device: ctypes.c_void_p) -> str:
        text = ctypes.create_string_buffer(NAME_BYTES)
        found = self._library.nvmlDeviceGetName(device, text, ctypes.c_uint(NAME_BYTES)) == OK
        return text.value.decode("utf-8", "replace") if found else ""


def open_nvml() -> Nvml | None:
    """None where there is no driver, or none that answers."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        return Nvml(library) if library.nvmlInit_v2() == OK else None
    except (OSError, AttributeError):
        return None
