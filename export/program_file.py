"""The .pt2 programs that edgesr-export wrote, read back to be run by PyTorch. Needs torch, and none of the training code."""

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn

from edgesr.runtime.errors import ForeignModel, InputError, MissingFile
from edgesr.runtime.spec import ModelSpec

__all__ = ["ABOUT", "Program", "ProgramCard", "ProgramPrecision", "load_program"]

ABOUT = "edgesr.json"  # the extra file in the archive
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
            values = json.loads(text)
            width, height = (int(side) for side in values.pop("size"))
            return cls(spec=ModelSpec.from_json(values.pop("spec")), size=(width, height), **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{ABOUT} cannot be read ({error})") from error


@dataclass(frozen=True)
class Program:
    """module: `frame` uint8 (1, H, W, 3) BGR -> uint8 (1, H*scale, W*scale, 3) BGR, of the card's size alone."""

    module: nn.Module
    card: ProgramCard


def load_program(path: Path, device: str = "cpu") -> Program:
    """Read a program and put it on a device, its weights channels-last.

    PyTorch unpickles parts of such a file, so it is as trusted as code: load only what you exported.
    Raises MissingFile, and ForeignModel for anything that edgesr-export did not write or this PyTorch cannot read.
    """
    card = _card(path)
    try:
        program = torch.export.load(path)
    except Exception as error:  # PyTorch raises whatever its JSON and pickle readers do
        raise ForeignModel(
            f"{path} was written by PyTorch {card.torch}; {torch.__version__} cannot read it ({_line(error)})"
        ) from error
    module = program.module().to(device)
    return Program(module.to(memory_format=torch.channels_last), card)  # type: ignore[call-overload]  # torch's stub lacks it


def _card(path: Path) -> ProgramCard:
    """Read, with every checksum of the archive compared, before PyTorch sees a byte."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected a .pt2 program written by edgesr-export")
    try:
        with ZipFile(path) as archive:
            about = [name for name in archive.namelist() if name.endswith(f"/{ABOUT}")]
            if broken := archive.testzip():
                raise BadZipFile(f"{broken} has another checksum")
            text = archive.read(about[0]).decode() if about else ""
    except (BadZipFile, OSError, ValueError, RuntimeError, EOFError, zlib.error) as error:
        raise ForeignModel(f"{path} is no program, or a damaged one ({_line(error)}); export it again") from error
    try:
        return ProgramCard.from_json(text)
    except InputError as error:
        raise ForeignModel(f"{path} was not written by edgesr-export: {error}") from error


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
