"""JSON from anywhere: text that moves no cursor, numbers within bounds, kinds as annotated."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from edgesr.runtime.errors import InputError
from edgesr.runtime.untrusted_json import check_kinds, cleaned, printable, read_object


@dataclass(frozen=True)
class Inner:
    count: int


@dataclass(frozen=True)
class Outer:
    word: Literal["a", "b"]
    amount: float | None
    pair: tuple[int, str]
    many: tuple[Inner, ...]
    named: dict[str, list[bool]]
    anything: Any


GOOD = Outer("a", 1, (1, "x"), (Inner(1),), {"x": [True]}, object())


def test_kinds_are_those_of_the_annotations() -> None:
    check_kinds(GOOD)
    check_kinds(Outer("b", None, (1, "x"), (), {}, None))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("word", "c"),
        ("word", ["a"]),
        ("amount", "1"),
        ("amount", True),
        ("pair", (1,)),
        ("pair", (1, "x", 2)),
        ("pair", [1, "x"]),
        ("pair", ("x", 1)),
        ("many", [Inner(1)]),
        ("many", ({"count": 1},)),
        ("many", (Inner("x"),)),
        ("many", (Inner(True),)),
        ("named", {1: [True]}),
        ("named", {"x": True}),
        ("named", {"x": [1]}),
    ],
)
def test_another_kind_is_named_with_its_entry(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"its ({name}) is not what it should be"):
        check_kinds(Outer(**{**vars(GOOD), name: value}))


def test_text_is_printable_wherever_it_stands() -> None:
    assert printable("Größe 4 × 日本") == "Größe 4 × 日本"
    assert printable("a\nb\x1b[0m\u202e\ud800") == r"a\nb\x1b[0m\u202e\ud800"
    assert cleaned({"\n": [("\t", 1)]}) == {r"\n": [(r"\t", 1)]}


def test_an_object_is_read_and_a_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        read_object(tmp_path, most_bytes=1 << 20)
    (tmp_path / "a.json").write_text('{"a": [1, 2.5, null, "\\u001b"]}')
    assert read_object(tmp_path / "a.json", most_bytes=1 << 20) == {"a": [1, 2.5, None, r"\x1b"]}
