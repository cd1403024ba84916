"""CARN: residual blocks, cascaded within and across groups; one model for x2, x3 and x4."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.base import Network, Paper
from edgesr.train.networks.blocks import conv, upsampler

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean RGB of DIV2K, which the authors take from the input and give back to the output."""


class ResidualBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(features, features), conv(features, features)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))) + x)


class Cascade(nn.Module):
    """Three stages; after each, a 1x1 convolution with ReLU fuses everything seen so far."""

    def __init__(self, features: int, stages: list[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.fuse = nn.ModuleList(conv((i + 2) * features, features, 1) for i in range(len(stages)))

    def forward(self, x: Tensor) -> Tensor:
        seen = out = x
        for stage, fuse in zip(self.stages, self.fuse, strict=True):
            seen = torch.cat([seen, stage(out)], dim=1)
            out = F.relu(fuse(seen))
        return out


class CARN(Network):
    """The paper's model holds an up-sampler for each scale (1.59 M parameters); one of them is used at a time."""

    name = "carn"
    paper = Paper(
        "Fast, Accurate, and Lightweight Super-Resolution with Cascading Residual Network",
        "ECCV",
        2018,
        "https://arxiv.org/abs/1803.08664",
    )
    scales = (2, 3, 4)

    def __init__(self, scale: int, *, features: int = 64) -> None:
        super().__init__(scale, features=features)
        self.head = conv(3, features)
        groups: list[nn.Module] = [Cascade(features, [ResidualBlock(features) for _ in range(3)]) for _ in range(3)]
        self.body = Cascade(features, groups)
        self.upsample = nn.ModuleDict({str(s): upsampler(features, s, activation=nn.ReLU) for s in self.scales})
        self.tail = conv(features, 3)
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        out = self.body(self.head(x - self.mean))
        return self.tail(self.upsample[str(self.scale)](out)) + self.mean
