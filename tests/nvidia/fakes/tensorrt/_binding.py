"""Classes with exactly the names that a recorded one has: what is acted out works, the rest says that it is not."""

import enum
import sys
from typing import Any

import fake_nvidia

__all__ = ["Dims", "Log", "bound", "enumeration", "made"]

VERBOSITY = {"LAYER_NAMES_ONLY": 0, "NONE": 1, "DETAILED": 2}
VALUES = {
    "NetworkDefinitionCreationFlag": {
        "8": {"EXPLICIT_BATCH": 0, "EXPLICIT_PRECISION": 1},
        "10": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
        "11": {"STRONGLY_TYPED": 0, "PREFER_JIT_PYTHON_PLUGINS": 1, "PREFER_AOT_PYTHON_PLUGINS": 2},
    },
    "BuilderFlag": {"8": {"FP16": 0, "INT8": 1, "TF32": 6}, "10": {"FP16": 0, "INT8": 1, "TF32": 6}, "11": {"TF32": 6}},
    "ProfilingVerbosity": {"8": VERBOSITY, "10": VERBOSITY, "11": VERBOSITY},
}
"""Numbers as the real bindings of 10.3 and 11.4 have them, where our code could come to depend on them; those of 8.6 are unread and
taken to be the same."""


class _Member(enum.Enum):
    """pybind11's: it converts to int when asked, and is none."""

    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__


def enumeration(name: str, members: list[str], version: str) -> type[enum.Enum]:
    known = VALUES.get(name, {}).get(version.split(".")[0], {})
    taken = dict(known)
    for member in members:
        taken.setdefault(member, max(taken.values(), default=-1) + 1)
    return _Member(name, {member: taken[member] for member in members}, module="tensorrt")


class Dims(tuple):
    """Compares and slices like a tuple, as the real one does."""


class _Bound(type):
    """pybind11 refuses a Python subclass that does not call the constructor of its base."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        thing = super().__call__(*arguments, **options)
        if not thing.__dict__.get("_constructed"):
            raise TypeError(f"tensorrt.tensorrt.{cls._bound_name}.__init__() must be called when overriding __init__")
        return thing


class _NotActedOut:
    def __init__(self, owner: str, name: str) -> None:
        self._message = f"{owner}.{name} is real, but this fake does not act it out"

    def __get__(self, thing: Any, owner: type) -> Any:
        if thing is None:
            return self
        raise NotImplementedError(self._message)

    def __set__(self, thing: Any, value: Any) -> None:
        raise NotImplementedError(self._message)


def _set_attribute(self: Any, name: str, value: Any) -> None:
    kind = type(self)
    if name.startswith("_") or hasattr(kind, name) or kind.__name__ != kind._bound_name:
        object.__setattr__(self, name, value)
    else:
        raise AttributeError(f"'tensorrt.tensorrt.{kind.__name__}' object has no attribute '{name}'")


def _no_constructor(self: Any, *_: Any, **__: Any) -> None:
    raise TypeError(f"tensorrt.tensorrt.{type(self).__name__}: No constructor defined!")


def bound(acted: type, name: str, names: list[str], base: "type | None" = None) -> type:
    """The class `name` with the recorded `names`, those of `acted` among them working."""
    private = {
        key: value
        for part in reversed(acted.__mro__[:-1])
        for key, value in vars(part).items()
        if key.startswith("_") and key not in _OF_EVERY_CLASS
    }
    public = {key: _found(acted, key) for key in names if _found(acted, key) is not None}
    rest = {key: _NotActedOut(name, key) for key in names if key not in public}
    own = {"_bound_name": name, "__setattr__": _set_attribute, "__module__": "tensorrt.tensorrt"}
    return _Bound(name, (base,) if base else (), {"__init__": _no_constructor} | private | public | rest | own)


_OF_EVERY_CLASS = {
    "__module__",
    "__dict__",
    "__weakref__",
    "__doc__",
    "__qualname__",
    "__firstlineno__",
    "__static_attributes__",
}


def _found(acted: type, key: str) -> Any:
    return next((vars(base)[key] for base in acted.__mro__ if key in vars(base)), None)


def made(kind: type, **facts: Any) -> Any:
    """An object of a class that has no constructor."""
    thing = kind.__new__(kind)
    for name, value in facts.items():
        object.__setattr__(thing, f"_{name}", value)
    return thing


class Log:
    """Speaks through the logger that was given, as TensorRT does."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def error(self, text: str) -> None:
        self._logger.log(type(self._logger).ERROR, text)

    def warning(self, text: str) -> None:
        self._logger.log(type(self._logger).WARNING, text)

    def info(self, text: str) -> None:
        self._logger.log(type(self._logger).INFO, text)


def need_driver(what: str, log: Log, version: str) -> None:
    """8.6 ends the process where the driver was not asked before; the others make nothing."""
    if fake_nvidia.MACHINE.initialised:
        return
    log.error("CUDA initialization failure with error: 35")
    if version.startswith("8."):
        sys.stderr.write(f"{what} of TensorRT {version} without cuInit\n")
        raise SystemError("segfault")
    raise TypeError("pybind11::init(): factory function returned nullptr")
