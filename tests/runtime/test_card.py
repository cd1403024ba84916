"""The card beside a plan: what it says survives the file, and nothing but a plan that fits reaches TensorRT."""

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.cards import CARD, HERE, PLAN, SPEC, engine

from edgesr.runtime.card import EngineCard, Profile, card_path, file_sha256, identity, read_card, trusted_plan
from edgesr.runtime.errors import EngineRefused, FrameTooLarge, InputError, MissingFile

ESCAPE = "\x1b]0;owned\x07 \u202e \ud800"


def refusal(path: Path, **changes: Any) -> str:
    with pytest.raises(EngineRefused) as caught:
        trusted_plan(path, trust=None, **{**HERE, **changes})
    message = str(caught.value)
    assert message.isprintable() and message.encode(), "one line that does nothing to a terminal"
    return message


def test_a_card_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = engine(tmp_path)
    assert read_card(path) == CARD
    assert trusted_plan(path, trust=None, **HERE) == (CARD, PLAN)
    assert file_sha256(path) == CARD.plan_sha256
    assert {entry.name for entry in tmp_path.iterdir()} == {"made_x4.engine", "made_x4.engine.json"}


@pytest.mark.parametrize(
    "name", ["onnx_sha256", "weights_sha256", "precision", "tensorrt", "gpu", "compute_capability"]
)
def test_the_identity_covers_what_decides_the_build(name: str) -> None:
    assert replace(CARD, **{name: "other"}).identity != CARD.identity


def test_the_identity_covers_settings_sizes_and_layers_and_nothing_measured() -> None:
    changed = [
        {"settings": {**CARD.settings, "level": 5}},
        {"profiles": (Profile((160, 90), (320, 180), (640, 362)),)},
        {"fp32_layers": {}},
    ]
    assert len({replace(CARD, **change).identity for change in changed} | {CARD.identity}) == 4
    assert replace(CARD, build_seconds=3.0, plan_sha256="", signature="ab").identity == CARD.identity
    assert identity(a=1, b=2) == identity(b=2, a=1)


def test_what_does_not_fit_is_refused_with_both_sides_and_the_remedy(tmp_path: Path) -> None:
    path = engine(tmp_path)
    message = refusal(path, tensorrt="10.3.1")
    assert "TensorRT 10.3.0" in message and "this machine has 10.3.1" in message and CARD.command in message
    message = refusal(path, gpu="NVIDIA H200", compute_capability="9.0")
    assert "Orin (compute capability 8.7)" in message and "NVIDIA H200 (9.0)" in message and CARD.command in message
    assert "Orin (compute capability 8.7), this machine has Orin (8.6)" in refusal(path, compute_capability="8.6")


def test_checks_come_in_order_bytes_before_versions(tmp_path: Path) -> None:
    path = engine(tmp_path)
    path.write_bytes(PLAN + b"!")
    assert "is not the plan of its card" in refusal(path, tensorrt="11.0", gpu="other")
    path.write_bytes(PLAN)
    assert "TensorRT" in refusal(path, tensorrt="11.0", gpu="other")
    path.unlink()
    with pytest.raises(MissingFile, match="does not exist"):
        read_card(path)
    path.write_bytes(PLAN)
    card_path(path).unlink()
    assert "has no card" in refusal(path)


def test_the_bytes_that_were_checked_are_handed_over_whatever_becomes_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = engine(tmp_path), Path.read_bytes

    def exchanged_after_the_read(self: Path) -> bytes:
        data = read(self)
        self.write_bytes(b"evil")
        return data

    monkeypatch.setattr(Path, "read_bytes", exchanged_after_the_read)
    assert trusted_plan(path, trust=None, **HERE)[1] == PLAN and read(path) == b"evil"


def test_a_plan_beyond_memory_is_not_read(tmp_path: Path) -> None:
    path = engine(tmp_path)
    with path.open("r+b") as file:
        file.truncate(1 << 42)
    with pytest.raises(FrameTooLarge, match=r"needs about 4096\.0 GiB"):
        trusted_plan(path, trust=None, **HERE)


@pytest.mark.parametrize(
    "command",
    ["rm -rf ~", "edgesr-export x; rm -rf ~", "edgesr-export $(id)", "edgesr-export 'x", "edgesr-exporter x", ""],
)
def test_a_card_cannot_make_us_recommend_another_command(tmp_path: Path, command: str) -> None:
    message = refusal(engine(tmp_path, command=command), gpu="other")
    assert message.endswith("; build it here with edgesr-export")


def written(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    values = json.loads(card_path(path).read_text())
    change(values)
    card_path(path).write_text(json.dumps(values))
    return path


PLAIN = CARD.to_dict()
ODD: list[Any] = [
    None,
    True,
    5,
    -1,
    2.5,
    "x",
    ESCAPE,
    [],
    {},
    [[]],
    [{}],
    [5],
    {"x": {}},
    {"x": []},
    {"x": [5]},
    float("nan"),
]


@pytest.mark.parametrize("name", ["schema", "identity", *(field.name for field in fields(EngineCard))])
def test_an_entry_of_another_kind_is_one_line(tmp_path: Path, name: str) -> None:
    path = engine(tmp_path)
    kept = 0
    for odd in ODD:
        written(path, lambda values, odd=odd: values.update({name: odd}))
        try:
            card = read_card(path)
        except EngineRefused as error:
            assert str(error).isprintable() and str(error).endswith("build the engine again with edgesr-export")
            assert "edited" not in str(error) or type(odd) is type(PLAIN[name]) or name == "identity"
        else:
            kept += 1
            assert type(getattr(card, name)) is type(getattr(CARD, name)) or name == "build_seconds"
            assert json.dumps(card.to_dict(), allow_nan=False).isprintable()
        engine(tmp_path)
    assert kept < len(ODD) / 2
    written(path, lambda values: values.pop(name))
    if name in ("schema", "identity", "spec", "profiles", "precision", "settings", "gpu", "command"):
        assert "cannot be used" in refusal(path)


@pytest.mark.parametrize("name", [field for field in asdict(SPEC) if field not in ("name",)])
def test_a_spec_with_text_for_a_number_is_refused(tmp_path: Path, name: str) -> None:
    path = written(engine(tmp_path), lambda values: values["spec"].update({name: ESCAPE}))
    assert "cannot be used" in refusal(path)


@pytest.mark.parametrize(
    "profile",
    [
        {"least": [0, 1], "best": [1, 1], "most": [1, 1]},
        {"least": [9, 9], "best": [8, 8], "most": [10, 10]},
        {"least": [1, 1], "best": [1, 1]},
        {"least": [1], "best": [1], "most": [1]},
        {"least": [2], "best": [1], "most": [1]},
        {"least": [1, 1, 1], "best": [1, 1, 1], "most": [1, 1, 1]},
        {"least": [1.5, 1], "best": [2, 1], "most": [2, 1]},
        {"least": "11", "best": "11", "most": "11"},
        {"least": [1, 1], "best": [1, 1], "most": [1, 1], "other": [1, 1]},
        [[1, 1], [1, 1], [1, 1]],
    ],
)
def test_sizes_that_no_engine_has_are_refused(tmp_path: Path, profile: Any) -> None:
    message = refusal(written(engine(tmp_path), lambda values: values.update(profiles=[profile])))
    assert "cannot be used" in message and "edited" not in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "no JSON text"),
        (b"\xff\xfe{}", "no JSON text"),
        (b"[]", "no JSON object"),
        (b'{"schema": 1, "schema": 1}', "has the entry schema twice"),
        (b'{"\\u001b": 1, "\\u001b": 1}', r"has the entry \\x1b twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' * 50 + b"1" + b"}" * 50, "nested too deeply"),
        (b'{"a": NaN}', "a number beyond all bounds"),
        (b'{"a": 1e999}', "a number beyond all bounds"),
        (b'{"a": 1' + b"0" * 400 + b"}", "a number beyond all bounds"),
        (b'{"a": 1' + b"0" * 9999 + b"}", "no JSON text|a number beyond all bounds"),
        (b'{"schema": 99}', "has schema 99, this edgesr reads 1"),
        (b'{"schema": 1, "\\u001b[2J": 1}', r"unknown entries \(\\x1b\[2J\)"),
        (b" " * (5 << 20), "larger than 4 MiB"),
    ],
)
def test_a_damaged_or_hostile_card_is_one_line(tmp_path: Path, text: bytes, reason: str) -> None:
    path = engine(tmp_path)
    card_path(path).write_bytes(text)
    with pytest.raises(EngineRefused, match=reason) as caught:
        read_card(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


def test_an_edited_card_is_refused(tmp_path: Path) -> None:
    path = written(engine(tmp_path), lambda values: values.update(tensorrt="10.13.0"))
    assert "it was edited" in refusal(path)


def test_no_text_of_a_card_can_move_the_cursor(tmp_path: Path) -> None:
    dirty = replace(
        CARD,
        spec=replace(SPEC, name=ESCAPE),
        gpu=ESCAPE,
        command=f"edgesr-export '{ESCAPE}'",
        proof={ESCAPE: [{"metadata": "[ONNX Layer: a]\x1e[ONNX Layer: b]"}]},
    )
    path = engine(tmp_path, dirty)
    assert read_card(path) == dirty and dirty.spec.title == r"\x1b]0;owned\x07 \u202e \ud800 x4"
    assert json.dumps(dirty.to_dict(), ensure_ascii=False).isprintable()
    assert r"\x1b" in refusal(path)


@pytest.mark.parametrize("change", [{"precision": 5}, {"parity": "x"}, {"profiles": ()}, {"memory_bytes": True}])
def test_a_wrong_card_cannot_even_be_made(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"its (precision|parity|memory_bytes) is not|no profile"):
        replace(CARD, **change)
    with pytest.raises(InputError, match="a number beyond all bounds"):
        replace(CARD, parity=[{"psnr_db": float("inf")}])
