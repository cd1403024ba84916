"""Griffe's extension: `name: what it is` lines of our docstrings become a list, which Markdown would run together."""

import re
from typing import Any

import griffe

ENTRY = re.compile(r"^(\w+(?:, \w+)*): (?=\S)", re.MULTILINE)
AFTERWARDS = re.compile(r"^(?=(?:Raises|The same) )", re.MULTILINE)


class Entries(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring and ENTRY.search(obj.docstring.value):
            listed = ENTRY.sub(r"- **\1**: ", obj.docstring.value)
            obj.docstring.value = AFTERWARDS.sub("\n", re.sub(r"(?m)^(?!- )(.+)\n(?=- )", r"\1\n\n", listed))
