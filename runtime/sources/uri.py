"""What stands behind a URI's `?` and `#`, with types; and URIs without their secrets, for whoever prints one."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from edgesr.runtime.errors import InputError

__all__ = ["at_least", "one_of", "options", "redacted"]

CREDENTIALS = re.compile(r"(?<=://)\S+(?=@)")
SECRETS = re.compile(r"(?i)\b((?:user|username|usr|user-id|user-pw|password|passwd|pass|pwd|token|auth|key)=)[^&#\s]+")


def redacted(text: str) -> str:
    """A URI, or a line with one in it, to be printed: name and password become ***.

    Rather too much is hidden than too little: a password may hold an unescaped @, / or #.
    """
    return SECRETS.sub(r"\1***", CREDENTIALS.sub("***", text))


def options(query: str, known: Mapping[str, Callable[[str], Any]], title: str) -> dict[str, Any]:
    """`width=1280&fps=30` -> {"width": 1280, "fps": Fraction(30)}, each by its function in `known`; only what was given.

    The functions raise ValueError with what they expected. title: of the source, for the InputError of an option that
    is unknown, given twice or wrong.
    """
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise InputError(f"{title} has no option {name!r}; expected some of {', '.join(known)}")
        if name in found:
            raise InputError(f"{title}: {name} is given twice; expected one value")
        try:
            found[name] = known[name](value)
        except (ValueError, ZeroDivisionError) as error:
            raise InputError(f"{title}: {name}={value} cannot be used ({error})") from error
    return found


def at_least(lowest: float, kind: Callable[[str], Any] = int) -> Callable[[str], Any]:
    """For `options`: a number of that kind, `lowest` or more."""

    def read(text: str) -> Any:
        try:
            number = kind(text)
        except (ValueError, ZeroDivisionError):
            number = None
        if number is None or not lowest <= number < float("inf"):
            raise ValueError(f"expected {'a whole number' if kind is int else 'a number'}, {lowest:g} or more")
        return number

    return read


def one_of(*names: str) -> Callable[[str], str]:
    """For `options`: one of these words."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected {' or '.join(names)}")
        return text

    return read
