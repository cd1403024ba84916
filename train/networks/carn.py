"""CARN and CARN-M: residual blocks, cascaded within and across groups; one model for x2, x3 and x4."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.authors import renamed, without_mean_shift
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, conv, rgb_mean, upsampler

STAGES = 3
"""Of the network, and of each of these in turn."""


class ResidualBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(features, features), conv(features, features)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))) + x)


class EfficientResidualBlock(nn.Module):
    """Of CARN-M: two grouped 3x3 convolutions, and a 1x1 that mixes the groups."""

    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.conv1 = conv(features, features, groups=groups)
        self.conv2 = conv(features, features, groups=groups)
        self.mix = conv(features, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.relu(self.mix(out) + x)


class Cascade(nn.Module):
    """Three stages; after each, a 1x1 convolution with ReLU fuses everything seen so far.

    stages: three of them, or one that is applied three times.
    """

    def __init__(self, features: int, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.fuse = nn.ModuleList(conv((i + 2) * features, features, 1) for i in range(STAGES))

    def forward(self, x: Tensor) -> Tensor:
        seen = out = x
        for i, fuse in enumerate(self.fuse):
            stage = self.stages[i % len(self.stages)]
            seen = torch.cat([seen, stage(out)], dim=1)
            out = F.relu(fuse(seen))
        return out


class CARN(Network):
    """The paper's model holds an up-sampler for each scale (1.59 M parameters); one of them is used at a time.

    groups: of the 3x3 convolutions; more than one makes the paper's mobile form, whose groups of blocks are one block
    applied three times.
    """

    name = "carn"
    paper = Paper(
        "Fast, Accurate, and Lightweight Super-Resolution with Cascading Residual Network",
        "ECCV",
        2018,
        "https://arxiv.org/abs/1803.08664",
    )
    scales = (2, 3, 4)
    multi_scale = True
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(4, None, None, psnr_db=32.13),
        Claim(4, 1_592_000, 90.9e9),
        Claim(3, 1_592_000, 118.8e9),
        Claim(2, 1_592_000, 222.8e9),
    )

    def __init__(self, scale: int, *, features: int = 64, groups: int = 1) -> None:
        super().__init__(scale, features=features, groups=groups)
        check_positive(self.name, features=features, groups=groups)
        if features % groups:
            raise InputError(f"{self.name} cannot cut {features} features into {groups} groups")
        layer = partial(conv, groups=groups)

        def blocks() -> list[nn.Module]:
            if groups > 1:
                return [EfficientResidualBlock(features, groups)]
            return [ResidualBlock(features) for _ in range(STAGES)]

        self.head = conv(3, features)
        self.body = Cascade(features, [Cascade(features, blocks()) for _ in range(STAGES)])
        self.upsample = nn.ModuleDict(
            {str(s): upsampler(features, s, activation=nn.ReLU, layer=layer) for s in self.scales}
        )
        self.tail = conv(features, 3)
        self.register_buffer("mean", rgb_mean(), persistent=False)
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        out = self.body(self.head(x - self.mean))
        return self.tail(self.upsample[str(self.scale)](out)) + self.mean

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(without_mean_shift(state), _PUBLISHED)


class CARNM(CARN):
    """CARN-M, for mobile use: grouped convolutions, and the blocks of a cascade share their weights."""

    name = "carn_m"
    claims = (
        Claim(4, 412_000, 32.5e9, psnr_db=31.92),
        Claim(3, 412_000, 46.1e9),
        Claim(2, 412_000, 91.2e9),
    )

    def __init__(self, scale: int, *, features: int = 64, groups: int = 4) -> None:
        super().__init__(scale, features=features, groups=groups)


_PUBLISHED = [
    *(
        (f"b{i + 1}.b{j + 1}.body.{place}.", f"body.stages.{i}.stages.{j}.{ours}.")
        for i in range(STAGES)
        for j in range(STAGES)
        for place, ours in ((0, "conv1"), (2, "conv2"), (4, "mix"))
    ),
    *((f"b{i + 1}.c{j + 1}.body.0", f"body.stages.{i}.fuse.{j}") for i in range(STAGES) for j in range(STAGES)),
    *((f"c{j + 1}.body.0", f"body.fuse.{j}") for j in range(STAGES)),
    *((f"upsample.up{scale}.body", f"upsample.{scale}") for scale in CARN.scales),
    ("entry", "head"),
    ("exit", "tail"),
]
