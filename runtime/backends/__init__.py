"""The table of backends, and `open_backend`. Adding one: its file and one line here."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.installed import pip_install

__all__ = ["BACKENDS", "DEFAULT_MODEL", "DEFAULT_MODELS", "Backend", "Entry", "open_backend"]

DEFAULT_MODELS = {scale: Path(__file__).parent.parent / "models" / f"ecbsr_x{scale}.cpu.onnx" for scale in (2, 3, 4)}
"""The network that edgesr ships, by scale, in the form for ONNX Runtime; `ecbsr_x4.onnx` beside it is the one for engines."""

DEFAULT_MODEL = DEFAULT_MODELS[4]


@dataclass(frozen=True)
class Entry:
    """suffix: of the files it runs; "" for a backend that needs none. extra: what to install for it."""

    module: str
    name: str
    suffix: str
    extra: str


BACKENDS = {
    "onnxruntime": Entry("edgesr.runtime.backends.onnxruntime", "OnnxRuntimeBackend", suffix=".onnx", extra=""),
    "tensorrt": Entry("edgesr.runtime.backends.tensorrt", "TensorRTBackend", suffix=".engine", extra="engine"),
    "bicubic": Entry("edgesr.runtime.backends.bicubic", "BicubicBackend", suffix="", extra=""),
}


def open_backend(
    model: str | Path = DEFAULT_MODEL, *, threads: int | None = None, trust: Path | None = None
) -> Backend:
    """The backend for a model: an .onnx file, an .engine, `default` (`default:2` for x2) or `bicubic` (`bicubic:2`).

    threads: for backends on the CPU; None: all cores. trust: public key that must have signed an engine; None: none need have.
    Raises MissingFile, ForeignModel, MissingDependency, InputError; for engines also NoDevice, EngineRefused, UntrustedEngine.
    """
    kind, _, scale = str(model).partition(":")
    if kind == "bicubic":
        if scale not in ("", "2", "3", "4", "8"):
            raise InputError(f"{model}: expected bicubic, bicubic:2, bicubic:3, bicubic:4 or bicubic:8")
        _only_engines_are_signed(model, trust)
        return _load("bicubic", int(scale or 4))
    if kind == "default":
        if scale not in ("", *map(str, DEFAULT_MODELS)):
            raise InputError(f"{model}: expected default, {', '.join(f'default:{known}' for known in DEFAULT_MODELS)}")
        model = DEFAULT_MODELS[int(scale or 4)]
    suffix = Path(model).suffix.lower()
    for name, entry in BACKENDS.items():
        if entry.suffix and entry.suffix == suffix:
            if name == "tensorrt":
                return _load(name, Path(model), trust=trust)
            _only_engines_are_signed(model, trust)
            return _load(name, Path(model), threads=threads)
    known = ", ".join(entry.suffix for entry in BACKENDS.values() if entry.suffix)
    raise InputError(f"{model} is no model that can be run; expected a file ending in {known}, default, or bicubic")


def _only_engines_are_signed(model: str | Path, trust: Path | None) -> None:
    if trust is not None:
        raise InputError(f"{model} carries no signature, only engines do: leave {trust} out, or run a signed .engine")


def _load(name: str, *arguments: Any, **options: Any) -> Backend:
    entry = BACKENDS[name]
    try:
        module = import_module(entry.module)
    except ImportError as error:
        raise MissingDependency(
            f"{name} needs a package that is missing ({error}): {pip_install(entry.extra)}"
        ) from error
    backend = getattr(module, entry.name)(*arguments, **options)
    assert isinstance(backend, Backend)
    return backend
