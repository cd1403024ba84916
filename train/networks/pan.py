"""PAN: self-calibrated blocks with an attention weight for every value, in the blocks and in the up-sampling."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv

SLOPE = 0.2
"""Of every leaky ReLU."""


class SelfCalibratedBlock(nn.Module):
    """Two halves, made by 1x1s: one refined by a 3x3, the other weighed value by value; fused, and the input added."""

    def __init__(self, features: int) -> None:
        super().__init__()
        half = features // 2
        self.narrow = nn.ModuleList(conv(features, half, 1, bias=False) for _ in range(2))
        self.refine = conv(half, half, bias=False)
        self.weigh = conv(half, half, 1)
        self.weighed = nn.ModuleList(conv(half, half, bias=False) for _ in range(2))
        self.fuse = conv(features, features, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        upper, lower = (F.leaky_relu(layer(x), SLOPE) for layer in self.narrow)
        upper = self.refine(upper)
        lower = self.weighed[1](self.weighed[0](lower) * torch.sigmoid(self.weigh(lower)))
        return self.fuse(F.leaky_relu(torch.cat([upper, lower], dim=1), SLOPE)) + x


class AttentionUpsampler(nn.Module):
    """Nearest neighbour, a convolution, its values weighed, another convolution."""

    def __init__(self, in_channels: int, features: int, step: int) -> None:
        super().__init__()
        self.step = float(step)
        self.enter = conv(in_channels, features)
        self.weigh = conv(features, features, 1)
        self.leave = conv(features, features)

    def forward(self, x: Tensor) -> Tensor:
        out = self.enter(F.interpolate(x, scale_factor=self.step, mode="nearest"))
        out = F.leaky_relu(out * torch.sigmoid(self.weigh(out)), SLOPE)
        return F.leaky_relu(self.leave(out), SLOPE)


class PAN(Network):
    """wide: channels behind the first up-sampling."""

    name = "pan"
    paper = Paper(
        "Efficient Image Super-Resolution Using Pixel Attention",
        "ECCV Workshops",
        2020,
        "https://arxiv.org/abs/2010.01073",
    )
    scales = (2, 3, 4)
    claims = (
        Claim(4, None, None, psnr_db=32.13),
        Claim(4, 272_000, 28.2e9),
        Claim(3, 261_000, 39.0e9),
        Claim(2, 261_000, 70.5e9),
    )

    def __init__(self, scale: int, *, blocks: int = 16, features: int = 40, wide: int = 24) -> None:
        super().__init__(scale, blocks=blocks, features=features, wide=wide)
        if features < 2 or features % 2:
            raise InputError(f"pan cannot take features={features}; expected an even number, 2 or more")
        if min(blocks, wide) < 1:
            raise InputError(f"pan cannot take blocks={blocks}, wide={wide}; expected 1 or more of each")
        self.shallow = conv(3, features)
        self.body = nn.Sequential(*(SelfCalibratedBlock(features) for _ in range(blocks)))
        self.smooth = conv(features, features)
        steps = (2, 2) if scale == 4 else (scale,)
        stages = (AttentionUpsampler(wide if i else features, wide, step) for i, step in enumerate(steps))
        self.upsample = nn.Sequential(*stages)
        self.tail = conv(wide, 3)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        shallow = self.shallow(x)
        out = self.upsample(self.smooth(self.body(shallow)) + shallow)  # (N, 24, H*scale, W*scale)
        blurred = F.interpolate(x, scale_factor=float(self.scale), mode="bilinear", align_corners=False)
        return self.tail(out) + blurred

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(state, _PUBLISHED)


_PUBLISHED = [
    ("conv_first", "shallow"),
    ("SCPA_trunk", "body"),
    (".conv1_a.", ".narrow.0."),
    (".conv1_b.", ".narrow.1."),
    (".k1.0.", ".refine."),
    (".PAConv.k2.", ".weigh."),
    (".PAConv.k3.", ".weighed.0."),
    (".PAConv.k4.", ".weighed.1."),
    (".conv3.", ".fuse."),
    ("trunk_conv", "smooth"),
    *((f"upconv{i + 1}", f"upsample.{i}.enter") for i in range(2)),
    *((f"att{i + 1}.conv", f"upsample.{i}.weigh") for i in range(2)),
    *((f"HRconv{i + 1}", f"upsample.{i}.leave") for i in range(2)),
    ("conv_last", "tail"),
]
