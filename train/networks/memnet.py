"""MemNet: memory blocks, each a recursive unit and a gate that weighs what it and all blocks before it remember."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from edgesr.train.networks.base import Claim, Paper
from edgesr.train.networks.blocks import check_positive, conv, normed_relu
from edgesr.train.networks.refiner import Refiner


class MemoryBlock(nn.Module):
    """A residual unit, applied `recursions` times with the same weights but batch normalisation of each time's own.

    memories: how many outputs of earlier blocks the gate sees beside the recursions.
    """

    def __init__(self, features: int, recursions: int, memories: int) -> None:
        super().__init__()
        seen = (recursions + memories) * features
        self.conv1, self.conv2 = conv(features, features), conv(features, features)
        self.norm1 = nn.ModuleList(normed_relu(features) for _ in range(recursions))
        self.norm2 = nn.ModuleList(normed_relu(features) for _ in range(recursions))
        self.gate = nn.Sequential(normed_relu(seen), conv(seen, features, 1))

    def forward(self, memories: list[Tensor]) -> Tensor:
        out, recursions = memories[-1], []
        for norm1, norm2 in zip(self.norm1, self.norm2, strict=True):
            out = self.conv2(norm2(self.conv1(norm1(out)))) + out
            recursions.append(out)
        return self.gate(torch.cat(memories + recursions, dim=1))


class MemNet(Refiner):
    """blocks, recursions: M and R of the paper. A frame is reconstructed from each block's output, and the frames are
    weighed by learnt scalars and added."""

    name = "memnet"
    paper = Paper(
        "MemNet: A Persistent Memory Network for Image Restoration", "ICCV", 2017, "https://arxiv.org/abs/1708.02209"
    )
    multi_scale = True
    claims = (
        Claim(4, None, None, psnr_db=31.74),
        Claim(
            4,
            677e3,
            2_662.4e9,
            source="CARN, ECCV 2018",
            why="it counts no biases and no batch normalisation, of which every recursion has its own",
        ),
    )

    def __init__(self, scale: int, *, blocks: int = 6, recursions: int = 6, features: int = 64) -> None:
        super().__init__(scale, blocks=blocks, recursions=recursions, features=features)
        check_positive(self.name, blocks=blocks, recursions=recursions, features=features)
        self.head = nn.Sequential(normed_relu(1), conv(1, features))
        self.blocks = nn.ModuleList(MemoryBlock(features, recursions, i + 1) for i in range(blocks))
        self.norms = nn.ModuleList(normed_relu(features) for _ in range(blocks))
        self.reconstruct = conv(features, 1)
        self.weights = nn.Parameter(torch.full((blocks,), 1 / blocks))

    def refine(self, blurred: Tensor) -> Tensor:  # (N, 1, H*scale, W*scale)
        return self._weighed(self._frames(blurred))

    def predictions(self, x: Tensor) -> list[Tensor]:
        frames = list(self._frames(self.enlarge(x)))
        return [self._weighed(frames), *frames]

    def _frames(self, blurred: Tensor) -> Iterator[Tensor]:
        """After each block."""
        memories = [self.head(blurred)]
        for block, norm in zip(self.blocks, self.norms, strict=True):
            memories.append(block(memories))
            yield self.reconstruct(norm(memories[-1])) + blurred

    def _weighed(self, frames: Iterable[Tensor]) -> Tensor:
        first, *others = [weight * frame for weight, frame in zip(self.weights.unbind(), frames, strict=True)]
        return sum(others, first)
