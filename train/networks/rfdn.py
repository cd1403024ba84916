"""RFDN: IMDN's distillation by 1x1 convolutions beside residual 3x3 ones, with spatial attention."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.attention import ContrastChannelAttention, SpatialAttention
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, conv

Attention = Literal["spatial", "channel"]
SLOPE = 0.05
"""Of every leaky ReLU."""
WHITE = 255.0
"""In the authors' numbers."""


class ResidualFeatureDistillation(nn.Module):
    """Three times: half of the channels are distilled by a 1x1, all of them refined by a residual 3x3; then fused."""

    def __init__(self, features: int, attention: Attention) -> None:
        super().__init__()
        half = features // 2
        self.distil = nn.ModuleList(conv(features, half, 1) for _ in range(3))
        self.refine = nn.ModuleList(conv(features, features) for _ in range(3))
        self.last = conv(features, half)
        self.fuse = conv(4 * half, features, 1)
        if attention == "spatial":
            self.attention: nn.Module = SpatialAttention(features, features // 4)
        else:
            self.attention = ContrastChannelAttention(features, reduction=4)

    def forward(self, x: Tensor) -> Tensor:
        distilled = []
        for distil, refine in zip(self.distil, self.refine, strict=True):
            distilled.append(F.leaky_relu(distil(x), SLOPE))
            x = F.leaky_relu(refine(x) + x, SLOPE)
        distilled.append(F.leaky_relu(self.last(x), SLOPE))
        return self.attention(self.fuse(torch.cat(distilled, dim=1)))


class RFDN(Network):
    """E-RFDN, as it won the AIM 2020 challenge on efficient super-resolution; its weights take 0–255.

    The networks of the paper's tables, RFDN and RFDN-L, are the variants `paper` and `l`: more blocks, and IMDN's attention,
    which weighs channels, in place of the spatial one.
    """

    name = "rfdn"
    paper = Paper(
        "Residual Feature Distillation Network for Lightweight Image Super-Resolution",
        "ECCV Workshops",
        2020,
        "https://arxiv.org/abs/2009.11551",
    )
    scales = (2, 3, 4)
    min_size = SpatialAttention.MIN_SIZE
    whole_frame_statistics = True  # of the variants; the spatial attention's coarse grid is stretched over the frame
    variants: ClassVar = {
        "paper": {"blocks": 6, "features": 48, "attention": "channel"},
        "l": {"blocks": 6, "features": 52, "attention": "channel"},
    }
    claims = (
        Claim(4, None, None, variant="paper", psnr_db=32.24),
        Claim(4, 433_000, None, source="the AIM 2020 challenge's report"),
        Claim(4, 550_000, None, variant="paper"),
        Claim(4, 643_000, None, variant="l"),
    )

    def __init__(self, scale: int, *, blocks: int = 4, features: int = 50, attention: Attention = "spatial") -> None:
        super().__init__(scale, blocks=blocks, features=features, attention=attention)
        if attention not in ("spatial", "channel"):
            raise InputError(f"rfdn has no attention {attention!r}; it has spatial and channel")
        check_positive(self.name, blocks=blocks)
        if features < 4 or features % 2:
            raise InputError(f"rfdn cannot take features={features}; expected an even number, 4 or more")
        if attention == "channel":
            self.min_size = 1
        self.shallow = conv(3, features)
        self.blocks = nn.ModuleList(ResidualFeatureDistillation(features, attention) for _ in range(blocks))
        self.fuse = conv(blocks * features, features, 1)
        self.smooth = conv(features, features)
        self.upsample = nn.Sequential(conv(features, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        out = shallow = self.shallow(WHITE * x)
        stages = []
        for block in self.blocks:
            out = block(out)
            stages.append(out)
        fused = F.leaky_relu(self.fuse(torch.cat(stages, dim=1)), SLOPE)
        return self.upsample(self.smooth(fused) + shallow) / WHITE

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(state, _PUBLISHED)


_PUBLISHED = [
    *((f"B{i + 1}.", f"blocks.{i}.") for i in range(6)),
    *((f".c{i + 1}_d.", f".distil.{i}.") for i in range(3)),
    *((f".c{i + 1}_r.", f".refine.{i}.") for i in range(3)),
    (".c4.", ".last."),
    (".c5.", ".fuse."),
    (".esa.conv1.", ".attention.squeeze."),
    (".esa.conv_f.", ".attention.skip."),
    (".esa.conv2.", ".attention.stride."),
    (".esa.conv_max.", ".attention.coarse.0."),
    (".esa.conv3.", ".attention.coarse.1."),
    (".esa.conv3_.", ".attention.coarse.2."),
    (".esa.conv4.", ".attention.excite."),
    ("fea_conv", "shallow"),
    ("c.0.", "fuse."),
    ("LR_conv", "smooth"),
    ("upsampler", "upsample"),
]
