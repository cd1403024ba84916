"""CBPN: up and down by a factor of 2 again and again, both sides of every step used for the result."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import Bicubic, check_positive, conv

_TABLES = "the tables of later papers"


class Compress(nn.Module):
    """A 1x1 over all features given, to half of the wanted channels, which are then given twice."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layer = conv(in_channels, out_channels // 2, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        half = self.layer(torch.cat(features, dim=1))
        return torch.cat([half, half], dim=1)


def double(in_channels: int, out_channels: int) -> nn.Sequential:
    """Convolution and pixel shuffle by 2."""
    return nn.Sequential(conv(in_channels, 4 * out_channels), nn.PixelShuffle(2))


class UpDownBlock(nn.Module):
    """Low-resolution features of all blocks before -> features at twice the size, and from them low-resolution ones again."""

    def __init__(self, number: int, low: int, high: int) -> None:
        super().__init__()
        self.compress = Compress(number * low, low)
        self.up = nn.Sequential(double(low, high), nn.PReLU(high))
        self.down = nn.Sequential(nn.Conv2d(high, low, 4, stride=2, padding=1), nn.PReLU(low))

    def forward(self, lows: list[Tensor]) -> tuple[Tensor, Tensor]:
        x = self.compress(lows)
        high = self.up(x)  # (N, 32, 2H, 2W)
        return high, self.down(high) + x


class CBPN(Network):
    """blocks: T of the paper; low, high: channels at the input's size and at twice that; `s` is the paper's CBPN-S.

    No code or weights of the authors could be found. Known, from a summary of the text: two convolutions; densely connected
    blocks with pixel shuffle up, 4x4 convolution down and a residual connection; features given twice; 1x1 compressions;
    the large features of the first, fourth and eighth block beside the enlarged small ones. Inferred, so that the four
    costs below are met: the channels, the blocks of `s`, and where compression, doubling and PReLU stand. The sum with
    the bicubic frame follows from the abstract, where the network restores the residual.
    """

    name = "cbpn"
    paper = Paper(
        "Efficient Single Image Super-Resolution via Hybrid Residual Feature Learning with Compact Back-Projection Network",
        "ICCV Workshops",
        2019,
        "https://www.semanticscholar.org/paper/"
        "Efficient-Single-Image-Super-Resolution-via-Hybrid-Zhu-Zhao/9fabdda717babe074670d754ec77281d3a70c677",
    )
    scales = (2, 4)
    variants: ClassVar = {"s": {"blocks": 3}}
    claims = (
        Claim(4, None, None, psnr_db=32.21),
        Claim(4, 1_197_000, 97.9e9, source=_TABLES),
        Claim(2, 1_036_000, 240.7e9, source=_TABLES),
        Claim(4, 592_000, 63.1e9, source=_TABLES, variant="s"),
        Claim(2, 430_000, 101.5e9, source=_TABLES, variant="s"),
        Claim(4, 1_100_000, 97.9e9, source="RDSRN's authors", why="cut, not rounded, from 1,197 K"),
    )

    def __init__(self, scale: int, *, blocks: int = 8, low: int = 64, high: int = 32) -> None:
        super().__init__(scale, blocks=blocks, low=low, high=high)
        if blocks < 3:
            raise InputError(f"cbpn cannot take blocks={blocks}; expected 3 or more, three of which reach the result")
        check_positive(self.name, low=low, high=high)
        if low % 2:
            raise InputError(f"cbpn cannot take low={low}; expected an even number")
        self.shallow = nn.Sequential(conv(3, 2 * low), conv(2 * low, low, 1))
        self.blocks = nn.ModuleList(UpDownBlock(number, low, high) for number in range(1, blocks + 1))
        self.used = (0, (blocks + 1) // 2 - 1, blocks - 1)
        self.enlarge = nn.Sequential(Compress((blocks + 1) * low, low), double(low, high))
        fused = (len(self.used) + 1) * high
        last = [conv(fused, fused, 1), double(fused, high), conv(high, 3)] if scale == 4 else [conv(fused, 3)]
        self.reconstruct = nn.Sequential(*last)
        self.bicubic = Bicubic(scale)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        lows, highs = [self.shallow(x)], []
        for block in self.blocks:
            high, low = block(lows)
            lows.append(low)
            highs.append(high)
        hybrid = [highs[i] for i in self.used] + [self.enlarge(lows)]  # (N, 32, 2H, 2W) each
        return self.reconstruct(torch.cat(hybrid, dim=1)) + self.bicubic(x)
