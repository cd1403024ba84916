"""SPAN: plain convolutions whose output weighs itself, in place of an attention branch with parameters."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv, rgb_mean
from edgesr.train.networks.reparameterised import ExpandedConv, spread_merged

WHITE = 255.0
"""The authors trained on 0–255, and let the network's end bring it back to 0–1."""
BLOCKS = 6


class SelfAttentionBlock(nn.Module):
    """Three convolutions; their output o weighs itself and the input by sigmoid(o) - 1/2. Gives the first one's too."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ExpandedConv(features, features) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = F.silu(self.layers[0](x))
        out = self.layers[2](F.silu(self.layers[1](first)))
        return (out + x) * (torch.sigmoid(out) - 0.5), first


class SPAN(Network):
    """The paper's SPAN; `s` is its SPAN-S, and `ch28` the network of 28 channels that won the NTIRE 2024 challenge.

    Of the last block, the authors' code hands on the first convolution behind its SiLU, computed in place.
    """

    name = "span"
    paper = Paper(
        "Swift Parameter-free Attention Network for Efficient Super-Resolution",
        "CVPR Workshops",
        2024,
        "https://arxiv.org/abs/2311.12770",
    )
    scales = (2, 3, 4)
    variants: ClassVar = {"s": {"features": 48}, "ch28": {"features": 28}}
    claims = (
        Claim(4, None, None, psnr_db=32.2),
        Claim(4, 498_000, None),
        Claim(2, 481_000, None),
        Claim(4, 426_000, None, variant="s"),
    )

    def __init__(self, scale: int, *, features: int = 52) -> None:
        super().__init__(scale, features=features)
        if features < 1:
            raise InputError(f"span cannot take features={features}; expected 1 or more")
        self.shallow = ExpandedConv(3, features)
        self.blocks = nn.ModuleList(SelfAttentionBlock(features) for _ in range(BLOCKS))
        self.smooth = ExpandedConv(features, features)
        self.fuse = conv(4 * features, features, 1)
        self.upsample = nn.Sequential(conv(features, 3 * scale**2), nn.PixelShuffle(scale))
        self.register_buffer("mean", rgb_mean(), persistent=False)
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        out = shallow = self.shallow((x - self.mean) * WHITE)
        stages = []
        for block in self.blocks:
            out, first = block(out)
            stages.append(out)
        return self.upsample(self.fuse(torch.cat([shallow, self.smooth(out), stages[0], first], dim=1)))

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """With the branches of their training form, or merged to `eval_conv` alone; beside branches, that is a copy."""
        trained = {key.replace(".sk.", ".eval_conv.") for key in state if ".sk." in key}
        return spread_merged(self, renamed({k: v for k, v in state.items() if k not in trained}, _PUBLISHED))


_PUBLISHED = [
    (".eval_conv.", "."),
    (".conv.0.", ".expand."),
    (".conv.1.", ".core."),
    (".conv.2.", ".reduce."),
    (".sk.", ".skip."),
    *((f"block_{i + 1}.", f"blocks.{i}.") for i in range(BLOCKS)),
    *((f".c{i + 1}_r.", f".layers.{i}.") for i in range(3)),
    ("conv_1.", "shallow."),
    ("conv_2.", "smooth."),
    ("conv_cat.", "fuse."),
    ("upsampler.", "upsample."),
]
