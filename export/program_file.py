"""The .pt2 programs that edgesr-export wrote, read back to be run by PyTorch. Needs torch, and none of the training code."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgesr.runtime.errors import ForeignModel
from edgesr.runtime.program_card import ABOUT, ProgramCard, ProgramPrecision, read_program_card

__all__ = ["ABOUT", "Program", "ProgramCard", "ProgramPrecision", "load_program"]


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
    card = read_program_card(path)
    try:
        program = torch.export.load(path)
    except Exception as error:  # PyTorch raises whatever its JSON and pickle readers do
        raise ForeignModel(
            f"{path} was written by PyTorch {card.torch}; {torch.__version__} cannot read it ({_line(error)})"
        ) from error
    module = program.module().to(device)
    return Program(module.to(memory_format=torch.channels_last), card)  # type: ignore[call-overload]  # torch's stub lacks it


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
