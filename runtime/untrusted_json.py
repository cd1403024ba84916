"""JSON that anyone may have written: read within bounds, free of control characters, and checked against a dataclass."""

import json
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from edgesr.runtime.errors import InputError

__all__ = ["check_kinds", "cleaned", "printable", "read_object"]

DEEPEST = 24
LARGEST = 2.0**63
"""Numbers beyond it are nobody's bytes, seconds or pixels, and overflow what reckons with them."""


def read_object(path: Path, *, most_bytes: int) -> dict[str, Any]:
    """The JSON object in a file, cleaned. Raises InputError, which says what "it" is not, and OSError."""
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise InputError(f"it is larger than {most_bytes >> 20} MiB")
    try:
        values = json.loads(data.decode(), object_pairs_hook=_without_duplicates)
    except ValueError as error:
        raise InputError(f"it is no JSON text ({error})") from error
    except RecursionError as error:
        raise InputError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise InputError("it is no JSON object")
    result: dict[str, Any] = cleaned(values)
    return result


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InputError(f"it has the entry {printable(twice)} twice")
    return values


def printable(text: str) -> str:
    """The text as one line that moves no cursor and turns no writing direction: other characters as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def cleaned(value: Any, depth: int = 0) -> Any:
    """A copy of plain values and dataclasses whose text is printable.

    Raises InputError for what is nested too deeply, and for numbers that JSON does not know or nobody can mean.
    """
    if depth > DEEPEST:
        raise InputError("it is nested too deeply")
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {cleaned(key): cleaned(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(cleaned(entry, depth + 1) for entry in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: cleaned(getattr(value, f.name), depth + 1) for f in fields(value)})
    if isinstance(value, (int, float)) and not abs(value) < LARGEST:  # NaN is less than nothing
        raise InputError("it holds a number beyond all bounds, or none at all (NaN)")
    return value


def check_kinds(value: Any) -> None:
    """Raise InputError where a field of a dataclass is not of the kind that its annotation says, all the way down."""
    for name, kind in get_type_hints(type(value)).items():
        if not _is_of(getattr(value, name), kind):
            raise InputError(f"its {name} is not what it should be (found {repr(getattr(value, name))[:60]})")


def _is_of(value: Any, kind: Any) -> bool:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(_is_of(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is dict:
        return isinstance(value, dict) and all(_is_of(k, parts[0]) and _is_of(v, parts[1]) for k, v in value.items())
    if origin is list or parts[1:] == (...,):
        return isinstance(value, origin) and all(_is_of(entry, parts[0]) for entry in value)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(parts) and all(map(_is_of, value, parts))
    if isinstance(kind, type) and is_dataclass(kind):
        return isinstance(value, kind) and all(_is_of(getattr(value, n), k) for n, k in get_type_hints(kind).items())
    if isinstance(value, bool):  # an int, to Python
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
