"""IMDN: blocks that keep a quarter of the channels at every step and refine the rest."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.attention import ContrastChannelAttention
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, conv

SLOPE = 0.05
"""Of every leaky ReLU."""


class InformationMultiDistillation(nn.Module):
    """Three times: a convolution, of whose channels the first quarter is kept and the others go on; all kept are fused."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.kept = features // 4
        self.layers = nn.ModuleList(conv(features - self.kept * (i > 0), features) for i in range(3))
        self.last = conv(features - self.kept, self.kept)
        self.attention = ContrastChannelAttention(features)
        self.fuse = conv(features, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        rest, distilled = x, []
        for layer in self.layers:
            out = F.leaky_relu(layer(rest), SLOPE)
            kept, rest = out[:, : self.kept], out[:, self.kept :]
            distilled.append(kept)
        distilled.append(self.last(rest))
        return self.fuse(self.attention(torch.cat(distilled, dim=1))) + x


class IMDN(Network):
    """All blocks' outputs are fused; the frame comes out of one convolution and a pixel shuffle."""

    name = "imdn"
    paper = Paper(
        "Lightweight Image Super-Resolution with Information Multi-distillation Network",
        "ACM Multimedia",
        2019,
        "https://arxiv.org/abs/1909.11856",
    )
    scales = (2, 3, 4)
    whole_frame_statistics = True
    claims = (
        Claim(4, None, None, psnr_db=32.21),
        Claim(4, 715_000, 40.9e9),
        Claim(3, 703_000, 71.5e9),
        Claim(2, 694_000, 158.8e9),
    )

    def __init__(self, scale: int, *, blocks: int = 6, features: int = 64) -> None:
        super().__init__(scale, blocks=blocks, features=features)
        check_positive(self.name, blocks=blocks)
        if features < 16 or features % 4:
            raise InputError(f"imdn cannot take features={features}; expected a multiple of 4, 16 or more")
        self.shallow = conv(3, features)
        self.blocks = nn.ModuleList(InformationMultiDistillation(features) for _ in range(blocks))
        self.fuse = conv(blocks * features, features, 1)
        self.smooth = conv(features, features)
        self.upsample = nn.Sequential(conv(features, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        out = shallow = self.shallow(x)
        stages = []
        for block in self.blocks:
            out = block(out)
            stages.append(out)
        fused = F.leaky_relu(self.fuse(torch.cat(stages, dim=1)), SLOPE)
        return self.upsample(self.smooth(fused) + shallow)

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(state, _PUBLISHED)


_PUBLISHED = [
    *((f"IMDB{i + 1}.", f"blocks.{i}.") for i in range(6)),
    *((f".c{i + 1}.", f".layers.{i}.") for i in range(3)),
    (".c4.", ".last."),
    (".c5.", ".fuse."),
    ("cca.conv_du.0", "attention.squeeze"),
    ("cca.conv_du.2", "attention.excite"),
    ("fea_conv", "shallow"),
    ("c.0.", "fuse."),
    ("LR_conv", "smooth"),
    ("upsampler", "upsample"),
]
