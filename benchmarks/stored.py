"""Result files read again: checked before they are believed, and made into what they were written from."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.report import KIND, SCHEMA, as_document
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.untrusted_json import check_kinds, printable, read_object

__all__ = ["MERGED_KIND", "OPTIONAL", "UnreadableResult", "merged_document", "read_results"]

MERGED_KIND = "edgesr-bench merged"
MOST_BYTES = 256 << 20
"""Some ten million samples."""

OPTIONAL = frozenset(
    {
        "duration_s",
        "energy",
        "flicker",
        "interrupted",
        "layer_profile",
        "parity",
        "profile",
        "references",
        "round_ends_s",
    }
)
"""Fields that came after version 2 was first written; what lacks them gets their defaults."""

T = TypeVar("T")


class UnreadableResult(InputError):
    """No result file, or one of another version."""


def merged_document(results: tuple[LatencyResult, ...]) -> dict[str, Any]:
    """For JSON: several results, each as it is alone."""
    return {"schema": SCHEMA, "kind": MERGED_KIND, "results": [as_document(result) for result in results]}


def read_results(path: Path) -> tuple[LatencyResult, ...]:
    """One of `edgesr-bench latency --json`, or all of `edgesr-bench merge`; ratios and percentiles are reckoned anew
    from the samples. Raises MissingFile and UnreadableResult."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected a file of edgesr-bench latency --json")
    try:
        document = read_object(path, most_bytes=MOST_BYTES)
        documents = document.get("results") if document.get("kind") == MERGED_KIND else [document]
        if not isinstance(documents, list) or not documents:
            raise InputError("it holds no results")
        _check_version(document)
        return tuple(_result(each) for each in documents)
    except OSError as error:
        raise UnreadableResult(f"{path} cannot be read: {error.strerror}") from error
    except InputError as error:
        raise UnreadableResult(f"{path} is no result that can be used: {error}") from error


def _check_version(document: Any) -> None:
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind not in (KIND, MERGED_KIND):
        raise InputError(f"its kind is {printable(repr(kind))}; expected {KIND!r} or {MERGED_KIND!r}")
    if document.get("schema") != SCHEMA:
        raise InputError(
            f"its schema is version {printable(repr(document.get('schema')))}, this edgesr reads version {SCHEMA}: "
            "measure again, or use the edgesr that wrote it"
        )


def _result(document: Any) -> LatencyResult:
    _check_version(document)
    result = _made(LatencyResult, document)
    check_kinds(result)
    if not result.models or not result.orders:
        raise InputError("it holds no models, or no rounds")
    places = list(range(len(result.models)))
    if any(sorted(order) != places for order in result.orders):
        raise InputError("an order of its rounds does not name every model once")
    for model in result.models:
        for stage, samples in model.samples_ns.items():
            if len(samples) != result.rounds or min(samples, default=0) <= 0:
                raise InputError(
                    f"{model.label} has {len(samples)} samples of {stage} in {result.rounds} rounds, or one of no length"
                )
    for model in result.models:
        profile = model.layer_profile
        if profile is not None and (not profile.layers or min(layer.median_ms for layer in profile.layers) < 0):
            raise InputError(f"the profile of {model.label} has no layers, or one that took less than nothing")
    if not all(clock.mhz and min(clock.mhz) > 0 and len(clock.mhz) == len(clock.at_s) for clock in result.clocks):
        raise InputError("a clock has no readings, or one of 0 MHz")
    if result.round_ends_s and len(result.round_ends_s) != result.rounds:
        raise InputError(f"it has {len(result.round_ends_s)} ends of {result.rounds} rounds")
    return result


def _made(kind: type[T], values: Any) -> T:
    """A dataclass from JSON's objects, all the way down; entries that it has no field for are derived figures."""
    if not isinstance(values, dict):
        raise InputError(f"it has {printable(repr(values)[:60])} where an object was expected")
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    wanted = [name for name in names if name in values or name not in OPTIONAL]
    if missing := [name for name in wanted if name not in values]:
        raise InputError(f"it lacks {', '.join(missing)}")
    try:
        return kind(**{name: _as_kind(hints[name], values[name]) for name in wanted})
    except TypeError as error:
        raise InputError(f"it holds something of another kind than expected ({error})") from error


def _as_kind(kind: Any, value: Any) -> Any:
    """Lists become tuples, objects dataclasses; what cannot be is left for `check_kinds` to name."""
    origin, parts = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _made(kind, value)
    if origin is tuple and isinstance(value, list):
        return tuple(_as_kind(part, entry) for part, entry in zip(_each(parts, len(value)), value, strict=False))
    if origin is dict and isinstance(value, Mapping):
        return {key: _as_kind(parts[1], entry) for key, entry in value.items()}
    if origin in (Union, UnionType) and value is not None:
        return _as_kind(next(part for part in parts if part is not type(None)), value)
    if kind is float and value is None:  # JSON knows no infinity: the PSNR of equal images
        return float("inf")
    return value


def _each(parts: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    return (parts[0],) * count if parts[1:] == (...,) else parts
