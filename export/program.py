"""Checkpoint → .pt2 program: the deployed network in plain PyTorch, as the rival that an engine is measured against.

It does what the graph of `frame_io` does, and nothing that would slow it down on a GPU: a frame's bytes are channels-last
already when they are seen as (1, 3, H, W), the chroma of a luma network is one convolution, its sub-pixels are put in
their places by the sum with the luma, and everything else is element-wise, which `torch.compile` fuses. In FP16 all of it
is half precision, as `.half()` makes it: PyTorch sums whole-frame statistics in FP32 by itself, and RDSRN's published
weights come out at 61 dB and 1 code value (CPU, 2026-11).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.export.frame_io import BGR_FROM_CHROMA, CHROMA_FROM_BGR, LUMA_GAIN, Y_FROM_BGR
from edgesr.export.onnx import weights_digest
from edgesr.export.parity import FP16, FP32, Parity, check_frame, frames_for_checks
from edgesr.export.program_file import ABOUT, ProgramCard, ProgramPrecision, load_program
from edgesr.export.verify import reference
from edgesr.runtime.files import replaced
from edgesr.runtime.quality import RULER
from edgesr.runtime.resize import bicubic_taps
from edgesr.runtime.spec import ModelSpec
from edgesr.train.networks import Network, folded

__all__ = ["ProgramExport", "export_program"]

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
LIMITS = {"fp32": FP32, "fp16": FP16}


@dataclass(frozen=True)
class ProgramExport:
    """What was written, and how well it equals the network in FP32."""

    path: Path
    card: ProgramCard
    parity: list[Parity]

    @property
    def spec(self) -> ModelSpec:
        return self.card.spec


def export_program(
    network: Network,
    path: Path,
    *,
    size: tuple[int, int],
    precision: ProgramPrecision = "fp32",
    trained: bool = True,
    frames: Path | None = None,
) -> ProgramExport:
    """Write `network` as a torch.export program for frames of size (width, height) alone.

    frames: folder of images to check with; None: made by `pattern:`.
    FP16 is checked in FP16 on the CPU, which takes some ten times as long as FP32.
    Raises ParityFailed, and then nothing is written; InputError, OutputFailed.
    """
    spec = network.spec(trained=trained)
    spec.check_size(*size)
    width, height = size
    kind = LumaProgram if spec.colour == "luma" else ColourProgram
    module = kind(folded(network), spec.scale).to(DTYPES[precision])
    with torch.no_grad():
        program = torch.export.export(module, (torch.zeros(1, height, width, 3, dtype=torch.uint8),), strict=False)
    _without_assertions(program.graph_module)
    card = ProgramCard(
        spec=spec,
        size=size,
        precision=precision,
        weights_sha256=weights_digest(network),
        torch=str(torch.__version__),
    )
    with replaced(path) as beside:
        with beside.open("wb") as file:  # not by its path, whose passing name PyTorch would store inside
            torch.export.save(program, file, extra_files={ABOUT: card.to_json()})
        parity = _compare(network.eval(), beside, card, frames)
    return ProgramExport(path, card, parity)


class ColourProgram(nn.Module):
    """A network that sees RGB, from bytes to bytes."""

    def __init__(self, network: nn.Module, scale: int) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(self, frame: Tensor) -> Tensor:  # uint8 (1, H, W, 3) BGR
        bgr = frame.permute(0, 3, 1, 2).to(_dtype(self.network))
        high = self.network(bgr.flip(1) * (1 / 255)) * 255  # (1, 3, H*scale, W*scale) RGB
        return _bytes(high.permute(0, 2, 3, 1)).flip(3)


class LumaProgram(nn.Module):
    """A network that sees Y, its chroma by bicubic (a = -0.5, edges clamped), from bytes to bytes."""

    def __init__(self, network: nn.Module, scale: int) -> None:
        super().__init__()
        self.network, self.scale = network, scale
        taps, self.radius = bicubic_taps(scale)
        # What bicubic BGR has beside its luma, in the order of the bytes: row, column, colour.
        to_difference = BGR_FROM_CHROMA @ CHROMA_FROM_BGR
        chroma = np.einsum("rk,sl,oi->rsoikl", taps, taps, to_difference).reshape(-1, 3, *[taps.shape[1]] * 2)
        self.register_buffer("luma", torch.tensor(Y_FROM_BGR.reshape(1, 3, 1, 1) / 255, dtype=torch.float32))
        self.register_buffer("chroma", torch.tensor(chroma, dtype=torch.float32))
        self.register_buffer("black", torch.full((len(chroma),), -16 * LUMA_GAIN))
        self.luma: Tensor
        self.chroma: Tensor
        self.black: Tensor

    def forward(self, frame: Tensor) -> Tensor:  # uint8 (1, H, W, 3) BGR
        _, height, width, _ = frame.shape
        bgr = frame.permute(0, 3, 1, 2).to(self.luma.dtype)
        low = (bgr * self.luma).sum(1, keepdim=True) + RULER.offset / 255
        high = self.network(low)  # (1, 1, H*scale, W*scale)
        edged = F.pad(bgr, [self.radius] * 4, mode="replicate")
        chroma = F.conv2d(edged, self.chroma, self.black).permute(0, 2, 3, 1)
        places = chroma.reshape(1, height, width, self.scale, self.scale, 3).transpose(2, 3)
        luma = high.reshape(1, height, self.scale, width, self.scale, 1)
        both = _bytes(torch.add(places, luma, alpha=255 * LUMA_GAIN))
        return both.reshape(1, height * self.scale, width * self.scale, 3)


def _bytes(values: Tensor) -> Tensor:
    """Halves to even and clamped, as everywhere; the cast is also what puts them in order."""
    return values.round().clamp(0, 255).to(torch.uint8, memory_format=torch.contiguous_format)


def _dtype(network: nn.Module) -> torch.dtype:
    return next(network.parameters()).dtype


def _without_assertions(graph_module: torch.fx.GraphModule) -> None:
    """Every cast asserts that it still is on the CPU, where it was exported: on a GPU the program would not run."""
    for node in graph_module.graph.nodes:
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            graph_module.graph.erase_node(node)
    graph_module.recompile()


@torch.no_grad()
def _compare(network: Network, path: Path, card: ProgramCard, folder: Path | None) -> list[Parity]:
    module = load_program(path).module
    name = f"{card.spec.title} as a program in {card.precision.upper()}"
    parity = []
    for frame in frames_for_checks([card.size], folder):
        got = module(torch.from_numpy(frame)[None])[0].numpy()
        limits = LIMITS[card.precision]
        parity.append(check_frame(frame, reference(network, frame), got, limits, model=name, original="PyTorch"))
    return parity
