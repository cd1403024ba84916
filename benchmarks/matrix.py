"""Networks x backends x precisions x sizes, in one file: each size is a run of `edgesr.benchmarks.latency`, all models of a
size interleaved round by round."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgesr.benchmarks.arguments import duration
from edgesr.benchmarks.latency import measure_latency
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.plan import known_plans
from edgesr.benchmarks.rivals import RIVALS
from edgesr.benchmarks.settings import LatencySettings
from edgesr.runtime.command import size
from edgesr.runtime.errors import InputError, MissingDependency, MissingFile

__all__ = ["Matrix", "measure_matrix", "models_of", "read_matrix"]

FILELESS = ("default", "bicubic")
"""Networks without a file in the folder; they run on ONNX Runtime and NumPy, whatever `backends` says."""

ENDINGS = {
    "onnxruntime": ".cpu.onnx",
    "tensorrt": ".engine",
    "opencv": ".onnx",
    "openvino": ".onnx",
    "ncnn": ".bare.onnx",
}
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
FLOATS = ("tf32", "fp16", "bf16")
"""On a GPU alone: a runtime on the CPU computes such a file in FP32, and would be shown under a false name."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """sizes: of the input. data: folders of full-size images, as they lie from where the command runs."""

    networks: tuple[str, ...]
    backends: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    precisions: tuple[str, ...] = ("fp32",)
    scale: int = 4
    threads: int | None = None
    rounds: int | None = None
    budget_s: float | None = None
    data: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("networks", "backends", "sizes", "precisions"):
            values = getattr(self, name)
            if not values:
                raise InputError(f"{name} is empty; expected a list of one or more")
            if len(set(values)) < len(values):
                raise InputError(f"{name} names something twice: {', '.join(map(str, values))}")
        known = dict.fromkeys(name for name, _ in known_plans())
        _check("networks", self.networks, [*FILELESS, *known])
        _check("backends", self.backends, list(ENDINGS))
        _check("precisions", self.precisions, PRECISIONS)
        for width, height in self.sizes:
            self.settings(("bicubic",), width, height)

    def settings(self, models: tuple[str, ...], width: int, height: int) -> LatencySettings:
        """Raises InputError for what a run of this size cannot be."""
        return LatencySettings(
            models=models,
            width=width,
            height=height,
            threads=self.threads,
            rounds=self.rounds,
            budget_s=self.budget_s,
            data=self.data,
            seed=self.seed,
        )


def read_matrix(path: Path) -> Matrix:
    """Raises MissingFile, MissingDependency, and InputError for an unknown key or name, or a value of another kind."""
    try:
        yaml = import_module("yaml")
    except ImportError as error:
        raise MissingDependency(f"{path} is YAML, which needs PyYAML ({error}): pip install 'edgesr[bench]'") from error
    try:
        values = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        raise MissingFile(f"{path} does not exist; expected a matrix such as benchmarks/matrices/cpu.yaml") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no YAML: {error}") from error
    try:
        if not isinstance(values, dict):
            raise InputError("expected keys such as networks, backends, sizes")
        return Matrix(**_read(values))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read(values: Mapping[Any, Any]) -> dict[str, Any]:
    readers: dict[str, Callable[[Any], Any]] = {
        "networks": _names,
        "backends": _names,
        "precisions": _names,
        "data": _names,
        "sizes": lambda value: tuple(_argument(size, text) for text in _names(value)),
        "budget": lambda value: _argument(duration, value),
        **dict.fromkeys(("scale", "threads", "rounds", "seed"), _number),
    }
    _check("keys", [str(key) for key in values], list(readers))
    if missing := [name for name in ("networks", "backends", "sizes") if name not in values]:
        raise InputError(f"{', '.join(missing)} missing; expected lists")
    found = {}
    for key, value in values.items():
        try:
            found["budget_s" if key == "budget" else str(key)] = readers[key](value)
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    assert set(found) <= {field.name for field in fields(Matrix)}
    return found


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InputError(f"found {value!r}; expected a list of words such as [carn, rdsrn]")
    return tuple(value)


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"found {value!r}; expected a whole number")
    return value


def _argument(read: Callable[[str], Any], text: Any) -> Any:
    try:
        return read(str(text))
    except argparse.ArgumentTypeError as error:
        raise InputError(str(error)) from error


def _check(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise InputError(f"{what}: {name!r} is unknown; {hint}")


def models_of(matrix: Matrix, folder: Path, width: int, height: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The models of one size, and notes on what was left out: a runtime that is not installed, a precision that it does
    not compute in. Raises MissingFile with the command that makes the first file that is missing."""
    models = [
        name if name == "bicubic" and matrix.scale == 4 else f"{name}:{matrix.scale}"
        for name in matrix.networks
        if name in FILELESS
    ]
    notes = []
    for backend in matrix.backends:
        if backend in RIVALS and find_spec(RIVALS[backend].module) is None:
            notes.append(f"left out: {backend} is not installed (pip install 'edgesr[peers]')")
            continue
        for precision in matrix.precisions:
            if backend != "tensorrt" and precision in FLOATS:
                notes.append(f"left out: {backend} at {precision}, in which it does not compute")
                continue
            for network in (name for name in matrix.networks if name not in FILELESS):
                path = _file(matrix, folder, network, backend, precision, (width, height))
                models.append(f"{backend}:{path}" if backend in RIVALS else str(path))
    return tuple(models), tuple(notes)


def _file(
    matrix: Matrix, folder: Path, network: str, backend: str, precision: str, input_size: tuple[int, int]
) -> Path:
    """`carn_x4.cpu.onnx`, `carn_x4.int8.onnx`, `carn_x4.fp16.320x180.engine`. A variant's colon becomes a dash."""
    stem = f"{network.replace(':', '-')}_x{matrix.scale}"
    dimensions = "{}x{}".format(*input_size)
    if backend == "tensorrt":
        path = folder / f"{stem}.{precision}.{dimensions}{ENDINGS[backend]}"
        options = f" --precision {precision} --size {dimensions}"
    else:
        ending = ENDINGS[backend] if precision == "fp32" else f".{precision}.onnx"
        path = folder / f"{stem}{ending}"
        target = {".cpu.onnx": " --target cpu", ".bare.onnx": " --target bare"}.get(ending, "")
        options = target or ("" if precision == "fp32" else f" --precision {precision}")
    if not path.is_file():
        raise MissingFile(
            f"{path} does not exist; make it with edgesr-export {network} --scale {matrix.scale} -o {path}{options} "
            "(a checkpoint instead of the network's name gives it trained weights)"
        )
    return path


def measure_matrix(
    matrix: Matrix, folder: Path, *, tell: Callable[[str], None] = lambda line: None
) -> tuple[LatencyResult, ...]:
    """A result for each size. Everything that is missing is found before anything is measured."""
    chosen = [(models_of(matrix, folder, *each), each) for each in matrix.sizes]
    results = []
    for (models, notes), (width, height) in chosen:
        if not models:
            raise InputError(f"nothing is left to measure: {'; '.join(notes)}")

        def tell_size(line: str, name: str = f"{width}x{height}") -> None:
            tell(f"{name}: {line}")

        result = measure_latency(matrix.settings(models, width, height), tell=tell_size)
        results.append(replace(result, notes=(*result.notes, *notes)))
    return tuple(results)
