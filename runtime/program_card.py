"""What a .pt2 program of edgesr-export says of itself, read before PyTorch sees a byte of it, and without PyTorch."""

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, ZipFile

from edgesr.runtime.errors import ForeignModel, InputError, MissingFile
from edgesr.runtime.spec import ModelSpec
from edgesr.runtime.untrusted_json import check_kinds, cleaned, printable

__all__ = ["ABOUT", "ProgramCard", "ProgramPrecision", "read_program_card"]

ABOUT = "edgesr.json"  # the extra file in the archive
MOST_BYTES = 64 << 10
"""Of a card; one has some 400."""

ProgramPrecision = Literal["fp32", "fp16"]


@dataclass(frozen=True, kw_only=True)
class ProgramCard:
    """What a program says of itself. size: width and height of the one frame that it takes."""

    spec: ModelSpec
    size: tuple[int, int]
    precision: ProgramPrecision
    weights_sha256: str
    torch: str

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"spec": self.spec.to_json()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ProgramCard":
        """Raise InputError where the text is not what `to_json` writes."""
        try:
            values = cleaned(json.loads(text))
            spec, size = ModelSpec.from_json(values.pop("spec")), tuple(values.pop("size"))
            card = cls(spec=spec, size=size, **values)
            check_kinds(card)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InputError) as error:
            raise InputError(f"{ABOUT} cannot be read ({printable(str(error))})") from error
        return card


def read_program_card(path: Path) -> ProgramCard:
    """Every checksum of the archive is compared on the way. Raises MissingFile, and ForeignModel for anything that edgesr-export
    did not write."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected a .pt2 program written by edgesr-export")
    try:
        with ZipFile(path) as archive:
            about = [entry for entry in archive.infolist() if entry.filename.endswith(f"/{ABOUT}")]
            if broken := archive.testzip():
                raise BadZipFile(f"{printable(broken)} has another checksum")
            if about and about[0].file_size > MOST_BYTES:
                raise BadZipFile(f"its {ABOUT} is larger than {MOST_BYTES >> 10} KiB")
            text = archive.read(about[0]).decode() if about else ""
    except (BadZipFile, OSError, ValueError, RuntimeError, EOFError, zlib.error) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ForeignModel(f"{path} is no program, or a damaged one ({reason}); export it again") from error
    try:
        return ProgramCard.from_json(text)
    except InputError as error:
        raise ForeignModel(f"{path} was not written by edgesr-export: {error}") from error
