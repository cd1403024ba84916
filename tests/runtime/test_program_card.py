import json
import random
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from edgesr.runtime.errors import ForeignModel, InputError, MissingFile
from edgesr.runtime.program_card import ABOUT, ProgramCard, read_program_card
from edgesr.runtime.spec import ModelSpec

SPEC = ModelSpec(
    name="x", scale=2, colour="rgb", parameters=1, multiply_adds_per_pixel=1.0, receptive_field=None, trained=False
)
CARD = ProgramCard(spec=SPEC, size=(64, 48), precision="fp16", weights_sha256="ab", torch="2.13.0")


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "a.pt2"
        with ZipFile(path, "w") as zipped:
            zipped.writestr("archive/models/model.json", "x" * 5000)
            zipped.writestr(f"archive/extra/{ABOUT}", text)
        return path

    return write


def test_what_was_written_is_read(archive: Callable[[str], Path]) -> None:
    assert read_program_card(archive(CARD.to_json())) == CARD


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "int8"}, {"size": [64]}, {"size": 5}, {"size": "64"}, {"size": [1e400, 1]}, {"spec": 5},
        {"spec": "{}"}, {"torch": 2}, {"torch": None}, {"surplus": 1}, {"weights_sha256": ["a"]},
    ],
)  # fmt: skip
def test_a_card_of_other_kinds_is_refused(change: dict[str, object], archive: Callable[[str], Path]) -> None:
    text = json.dumps(json.loads(CARD.to_json()) | change)
    with pytest.raises(InputError, match=ABOUT):
        ProgramCard.from_json(text)
    with pytest.raises(ForeignModel, match=r"a\.pt2 was not written by edgesr-export"):
        read_program_card(archive(text))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_text_that_is_no_card(text: str) -> None:
    with pytest.raises(InputError, match=ABOUT):
        ProgramCard.from_json(text)


def test_control_characters_are_shown(archive: Callable[[str], Path]) -> None:
    path = archive(CARD.to_json().replace("2.13.0", "2\\u001b[2J"))
    assert read_program_card(path).torch == "2\\x1b[2J"


def test_a_card_of_a_megabyte_is_not_read(archive: Callable[[str], Path]) -> None:
    with pytest.raises(ForeignModel, match="larger than 64 KiB"):
        read_program_card(archive(CARD.to_json() + " " * (1 << 20)))


def test_every_damaged_byte_is_found_or_harmless(archive: Callable[[str], Path], tmp_path: Path) -> None:
    whole = archive(CARD.to_json()).read_bytes()
    draw = random.Random(0)
    damaged = tmp_path / "b.pt2"
    refused = 0
    for _ in range(200):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        damaged.write_bytes(data)
        try:
            assert read_program_card(damaged) == CARD
        except ForeignModel:
            refused += 1
    assert refused > 150
    for length in range(0, len(whole), 97):
        damaged.write_bytes(whole[:length])
        with pytest.raises(ForeignModel, match="no program, or a damaged one"):
            read_program_card(damaged)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"none\.pt2 does not exist; expected a \.pt2 program"):
        read_program_card(tmp_path / "none.pt2")
    with pytest.raises(MissingFile):
        read_program_card(tmp_path)
    (tmp_path / "a.pt2").write_bytes(b"\x80no zip")
    with pytest.raises(ForeignModel, match="no program, or a damaged one"):
        read_program_card(tmp_path / "a.pt2")
    with ZipFile(tmp_path / "a.pt2", "w") as zipped:
        zipped.writestr("archive/other.json", "{}")
    with pytest.raises(ForeignModel, match="was not written by edgesr-export"):
        read_program_card(tmp_path / "a.pt2")
