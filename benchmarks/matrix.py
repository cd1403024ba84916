"""Networks x backends x precisions x sizes, in one file."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from edgesr.benchmarks.arguments import duration
from edgesr.benchmarks.plan import known_plans
from edgesr.benchmarks.rivals import RIVALS
from edgesr.benchmarks.settings import LatencySettings
from edgesr.runtime.command import size
from edgesr.runtime.errors import InputError, MissingDependency, MissingFile
from edgesr.runtime.installed import pip_install

__all__ = ["FILELESS", "Matrix", "read_matrix"]

FILELESS = ("default", "bicubic")
"""Networks without a file in the folder; they run on ONNX Runtime and NumPy, whatever `backends` says."""

BACKENDS = ("onnxruntime", "tensorrt", *RIVALS)
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """sizes: of the input. data: folders of full-size images, as they lie from where the command runs. parity: compare every
    network's models with its .pt2 program."""

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
    parity: bool = False

    def __post_init__(self) -> None:
        for name in ("networks", "backends", "sizes", "precisions"):
            values = getattr(self, name)
            if not values:
                raise InputError(f"{name} is empty; expected a list of one or more")
            if len(set(values)) < len(values):
                raise InputError(f"{name} names something twice: {', '.join(map(str, values))}")
        known = dict.fromkeys(name for name, _ in known_plans())
        _check("networks", self.networks, [*FILELESS, *known])
        _check("backends", self.backends, BACKENDS)
        _check("precisions", self.precisions, PRECISIONS)
        for width, height in self.sizes:
            self.settings(("bicubic",), width, height)

    def settings(
        self, models: tuple[str, ...], width: int, height: int, references: tuple[str, ...] = ()
    ) -> LatencySettings:
        """Raises InputError for what a run of this size cannot be."""
        return LatencySettings(
            models=models,
            width=width,
            height=height,
            threads=self.threads,
            rounds=self.rounds,
            budget_s=self.budget_s,
            data=self.data,
            references=references,
            seed=self.seed,
        )


def read_matrix(path: Path) -> Matrix:
    """Raises MissingFile, MissingDependency, and InputError for an unknown key or name, or a value of another kind."""
    try:
        yaml = import_module("yaml")
    except ImportError as error:
        raise MissingDependency(f"{path} is YAML, which needs PyYAML ({error}): {pip_install('bench')}") from error
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
        "parity": _switch,
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


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"found {value!r}; expected true or false")
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
