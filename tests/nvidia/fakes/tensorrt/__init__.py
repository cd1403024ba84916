"""A TensorRT made from what the recorded surface says of one version, named by EDGESR_FAKE_TENSORRT (a key of surface.json).

Names that the version lacks are AttributeErrors, as in the real module; names that it has and that are not acted out here
raise NotImplementedError. Engines run on ONNX Runtime; every call that fails returns None or False and says why in the log.
"""

import ctypes as _ctypes
import os as _os
import sys as _sys
from pathlib import Path as _Path

import fake_nvidia as _fake

if not _fake.MACHINE.knobs.tensorrt:
    raise ModuleNotFoundError("No module named 'tensorrt'", name="tensorrt")

import numpy as _np

from . import _binding, _build, _run

__version__ = _os.environ["EDGESR_FAKE_TENSORRT"]

_FOLDER = _Path(__file__).parents[2]


def _recorded():
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("_edgesr_surface", _FOLDER / "surface.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_surface_module = _recorded()
_surface = _surface_module.surface(__version__)
_DTYPES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16"}


class IHostMemory:
    """Bytes through the buffer protocol, and no more than the real one shows."""

    __len__ = __getitem__ = __setitem__ = __iter__ = None

    @property
    def nbytes(self):
        return _ctypes.sizeof(self)

    @property
    def dtype(self):
        return DataType.UINT8  # noqa: F821 - made below


def _host_memory(data):
    kind = type("IHostMemory", (IHostMemory, _ctypes.c_ubyte * len(data)), {})
    return kind.from_buffer_copy(data)


def volume(iterable):
    product = 1
    for size in iterable:
        product *= size
    return product


def nptype(trt_type):
    names = {"FLOAT": "float32", "HALF": "float16", "BOOL": "bool"}
    if trt_type.name in ("BF16", "FP8", "INT4", "FP4", "E8M0"):
        raise TypeError(f"Could not resolve TensorRT datatype to an equivalent numpy datatype: {trt_type}")
    return _np.dtype(names.get(trt_type.name, trt_type.name.lower())).type


def get_nv_onnx_parser_version():
    return int(__version__.split(".")[0]) * 10000


def _not_acted_out(name):
    def function(*_, **__):
        raise NotImplementedError(f"tensorrt.{name} is real, but this fake does not act it out")

    function.__name__ = name
    return function


def _fill():
    module = _sys.modules[__name__]
    own = {"volume", "nptype", "get_nv_onnx_parser_version"}
    for name in _surface["functions"]:
        if name not in own:
            setattr(module, name, _not_acted_out(name))
    for name, members in _surface["enums"].items():
        setattr(module, name, _binding.enumeration(name, members, __version__))
    for name in _surface["enums"]["DataType"]:
        setattr(module, _DTYPES.get(name, name.lower()), getattr(module.DataType, name))
    acted = {kind.__name__: kind for part in (_build, _run) for kind in vars(part).values() if isinstance(kind, type)}
    severities = ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"]
    severity = _binding.enumeration("Severity", severities, __version__)
    classes = {**_surface["classes"], **_surface_module.later(__version__)}
    for name, members in classes.items():
        if name == "IHostMemory":
            continue
        body = acted.get(name, type(name, (), {}))
        kind = _binding.bound(body, name, members, module.ILogger if name == "Logger" else None)
        kind._module = module
        if name in ("ILogger", "Logger"):
            kind.Severity = severity
            for member in severities:
                setattr(kind, member, severity[member])
        setattr(module, name, kind)


_fill()
