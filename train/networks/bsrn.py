"""BSRN: RFDN's blocks of blueprint separable convolutions, with two kinds of attention."""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.attention import ContrastChannelAttention, SpatialAttention
from edgesr.train.networks.authors import SPATIAL_ATTENTION, renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv

COPIES = 4
"""Of the input, side by side, that the first convolution sees."""


class BlueprintConv(nn.Module):
    """A 1x1, then one 3x3 for every channel (Haase and Amthor, Rethinking Depthwise Separable Convolutions, CVPR 2020)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool, stride: int = 1) -> None:
        """bias: of the 1x1. stride: 2 goes without a margin."""
        super().__init__()
        self.pointwise = conv(in_channels, out_channels, 1, bias=bias)
        padding = int(stride == 1)
        self.depthwise = nn.Conv2d(out_channels, out_channels, 3, stride, padding, groups=out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.depthwise(self.pointwise(x))


class LearntChannelWeights(nn.Module):
    """A weight for every channel, the same for all frames, and a 1x1."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, features, 1, 1))
        self.fuse = conv(features, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(x * self.weight)


class SeparableDistillation(nn.Module):
    """Three times: half of the channels are distilled by a 1x1, all of them refined; fused, weighed, the input added."""

    def __init__(self, features: int, *, challenge: bool) -> None:
        super().__init__()
        layer = partial(BlueprintConv, bias=challenge)
        half, quarter = features // 2, features // 4
        self.distil = nn.ModuleList(conv(features, half, 1) for _ in range(3))
        self.refine = nn.ModuleList(layer(features, features) for _ in range(3))
        self.last = layer(features, half)
        self.fuse = conv(4 * half, features, 1)
        stride = None if challenge else layer(quarter, quarter, stride=2)
        self.attention = SpatialAttention(features, quarter, layer=layer, stride=stride, activation=F.gelu)
        self.channel_attention = LearntChannelWeights(features) if challenge else ContrastChannelAttention(features)

    def forward(self, x: Tensor) -> Tensor:
        distilled, out = [], x
        for distil, refine in zip(self.distil, self.refine, strict=True):
            distilled.append(F.gelu(distil(out)))
            out = F.gelu(refine(out) + out)
        distilled.append(F.gelu(self.last(out)))
        fused = self.fuse(torch.cat(distilled, dim=1))
        return self.channel_attention(self.attention(fused)) + x


class BSRN(Network):
    """`s`: BSRN-S, which won the NTIRE 2022 challenge's track of model complexity.

    challenge: as in that entry, 1x1s with a bias, an ordinary strided convolution, and learnt weights of the channels in
    place of the paper's contrast channel attention.
    """

    name = "bsrn"
    paper = Paper(
        "Blueprint Separable Residual Network for Efficient Image Super-Resolution",
        "CVPR Workshops",
        2022,
        "https://arxiv.org/abs/2205.05996",
    )
    scales = (2, 3, 4)
    min_size = SpatialAttention.MIN_SIZE
    whole_frame_statistics = True
    variants: ClassVar = {"s": {"blocks": 5, "features": 48, "challenge": True}}
    claims = (
        Claim(4, None, None, psnr_db=32.35),
        Claim(4, 352_000, 19.4e9),
        Claim(3, 340_000, 33.3e9),
        Claim(2, 332_000, 73.0e9),
        Claim(4, 156_000, 8.3e9, variant="s"),
    )

    def __init__(self, scale: int, *, blocks: int = 8, features: int = 64, challenge: bool = False) -> None:
        super().__init__(scale, blocks=blocks, features=features, challenge=challenge)
        if blocks < 1 or features < 16 or features % 2:
            wrong = f"blocks={blocks}, features={features}"
            raise InputError(f"bsrn cannot take {wrong}; expected 1 or more blocks, an even number of features from 16")
        layer = partial(BlueprintConv, bias=challenge)
        self.shallow = layer(3 * COPIES, features)
        self.blocks = nn.ModuleList(SeparableDistillation(features, challenge=challenge) for _ in range(blocks))
        self.fuse = conv(blocks * features, features, 1)
        self.smooth = layer(features, features)
        self.upsample = nn.Sequential(conv(features, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        out = shallow = self.shallow(torch.cat([x] * COPIES, dim=1))
        stages = []
        for block in self.blocks:
            out = block(out)
            stages.append(out)
        return self.upsample(self.smooth(F.gelu(self.fuse(torch.cat(stages, dim=1)))) + shallow)

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """BSRN-S came with linear layers on (N, H, W, C), which are 1x1 convolutions here."""
        shaped = {key: value[..., None, None] if value.ndim == 2 else value for key, value in state.items()}
        return renamed(shaped, _PUBLISHED)


_PUBLISHED = [
    ("upsampler.upsampleOneStep.", "upsample."),
    ("fea_conv.", "shallow."),
    *((f"B{i + 1}.", f"blocks.{i}.") for i in range(8)),
    *((f".c{i + 1}_d.", f".distil.{i}.") for i in range(3)),
    *((f".c{i + 1}_r.", f".refine.{i}.") for i in range(3)),
    (".c4.", ".last."),
    (".c5.", ".fuse."),
    ("c1.", "fuse."),
    ("c2.", "smooth."),
    *((f".esa{theirs}", f".attention{ours}") for theirs, ours in SPATIAL_ATTENTION),
    (".cca.conv_du.0.", ".channel_attention.squeeze."),
    (".cca.conv_du.2.", ".channel_attention.excite."),
    (".cw", ".channel_attention.weight"),
    (".conv_out.", ".channel_attention.fuse."),
    (".pw.", ".pointwise."),
    (".dw.", ".depthwise."),
]
