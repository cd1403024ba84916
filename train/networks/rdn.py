"""RDN: residual dense blocks, all their outputs fused."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv, upsampler


class ResidualDenseBlock(nn.Module):
    """Each convolution sees the outputs of all before it; a 1x1 fuses them; the input is added."""

    def __init__(self, features: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(features + i * growth, growth) for i in range(layers))
        self.fuse = conv(features + layers * growth, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers:
            seen.append(F.relu(layer(torch.cat(seen, dim=1))))
        return self.fuse(torch.cat(seen, dim=1)) + x


class RDN(Network):
    """blocks, layers, growth, features: D, C, G and G0 of the paper."""

    name = "rdn"
    paper = Paper("Residual Dense Network for Image Super-Resolution", "CVPR", 2018, "https://arxiv.org/abs/1802.08797")
    scales = (2, 3, 4)
    claims = (Claim(4, 22e6, 1309e9, source="RDSRN, ICCE 2022", psnr_db=32.47),)

    def __init__(self, scale: int, *, blocks: int = 16, layers: int = 8, growth: int = 64, features: int = 64) -> None:
        super().__init__(scale, blocks=blocks, layers=layers, growth=growth, features=features)
        self.shallow1 = conv(3, features)
        self.shallow2 = conv(features, features)
        self.blocks = nn.ModuleList(ResidualDenseBlock(features, growth, layers) for _ in range(blocks))
        self.fuse = nn.Sequential(conv(blocks * features, features, 1), conv(features, features))
        self.upsample = upsampler(features, scale)
        self.tail = conv(features, 3)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        first = self.shallow1(x)
        out = self.shallow2(first)
        stages = []
        for block in self.blocks:
            out = block(out)
            stages.append(out)
        return self.tail(self.upsample(self.fuse(torch.cat(stages, dim=1)) + first))
