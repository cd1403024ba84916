"""jsonargparse's pages about a wrong setting, as one line: which key, what was given, what is expected."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from inspect import signature

__all__ = ["told"]

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "dict": "a mapping",
    "list": "a list",
    "tuple": "a list",
}
TOO_LONG = 300
KEYS = r"Parser key \"([\w.]+)\"|Group '([\w.]+)' does not"
"""From the outermost inwards."""
OF_CLASS = r"Problem with given class_path '([\w.]+)':\s*(.*)"


def told(error: BaseException, known: Iterable[str]) -> str:
    """known: every key of a recipe, such as model.network."""
    text = str(error)
    key = ".".join(outer or group for outer, group in re.findall(KEYS, text))
    if foreign := re.search(r"unrecognized arguments: --([\w.]+)|ption '([\w.]+)'", text):
        name = ".".join(filter(None, (key, *foreign.groups())))
        return _unknown(name, _settings_of_class(key, text) or known)
    expected = re.findall(r"Expected (?:an? )?(.+?)(?:\. Got value|$)", text, re.MULTILINE)
    given = re.findall(r"Got value: (.*)", text) or re.findall(r"Given value: (.*)", text)
    words = list(dict.fromkeys(filter(None, map(_kind, expected))))
    if "Not a valid subclass" in text:
        words.append("a mapping")
    if (problem := re.search(OF_CLASS, text)) and not problem[2].startswith("Parser key"):
        return f"{key}: {problem[1]}: {problem[2]}"
    if key and words and given:
        return f"{key} is {given[0]}; expected {' or '.join(words)}"
    line = " ".join(text.split())
    return line if len(line) <= TOO_LONG else f"{line[:TOO_LONG]} …"


def _settings_of_class(key: str, text: str) -> list[str]:
    """Those of a class whose name the page tells."""
    problem = re.search(OF_CLASS, text)
    if not problem:
        return []
    module, _, name = problem[1].rpartition(".")
    return [f"{key}.{setting}" for setting in signature(getattr(import_module(module), name)).parameters]


def _unknown(name: str, known: Iterable[str]) -> str:
    near = ", ".join(get_close_matches(name, known, n=3, cutoff=0.6))
    return f"there is no setting {name}; {f'near are {near}' if near else 'see docs/training.md'}"


def _kind(expected: str) -> str:
    choices = re.fullmatch(r"typing\.Literal\[(.*)\]", expected)
    if choices:
        return choices[1].replace("'", "")
    name = expected.removeprefix("<class '").removesuffix("'>")
    return "" if name == "NoneType" else KINDS.get(name.partition("[")[0], name.rpartition(".")[2])
