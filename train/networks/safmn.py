"""SAFMN: blocks that look at a quarter of their channels each in its own coarseness, and modulate the input by that."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv

LEVELS = 4


class ChannelNorm(nn.Module):
    """Layer normalisation of every pixel over its channels."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, 1, 1))
        self.bias = nn.Parameter(torch.zeros(features, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        apart = x - x.mean(1, keepdim=True)
        return apart / (apart.pow(2).mean(1, keepdim=True) + 1e-6).sqrt() * self.weight + self.bias


class ResponseNorm(nn.Module):
    """Global response normalisation (Woo et al., ConvNeXt V2, CVPR 2023): how loud a channel is among all, over the frame."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, features, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, features, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        loudness = x.pow(2).mean((2, 3), keepdim=True).sqrt()  # the authors' sum in its place cancels
        share = loudness / (loudness.mean(1, keepdim=True) + 1e-6)
        return self.gamma * (x * share) + self.beta + x


class Modulation(nn.Module):
    """Level 0 sees its channels at full size, level i the maxima of windows of 2^i pixels (2^(i + 1) if `coarser`)."""

    def __init__(self, features: int, *, bias: bool, coarser: bool) -> None:
        super().__init__()
        part = features // LEVELS
        self.windows = [1, *(2 ** (i + coarser) for i in range(1, LEVELS))]
        self.depthwise = nn.ModuleList(conv(part, part, bias=bias, groups=part) for _ in range(LEVELS))
        self.fuse = conv(features, features, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        levels = []
        for part, window, layer in zip(x.chunk(LEVELS, dim=1), self.windows, self.depthwise, strict=True):
            if window > 1:
                maxima = F.max_pool2d(part, window, ceil_mode=True)
                part = F.interpolate(layer(maxima), scale_factor=float(window), mode="nearest")[..., :height, :width]
            else:
                part = layer(part)
            levels.append(part)
        return F.gelu(self.fuse(torch.cat(levels, dim=1))) * x


class FeatureMixing(nn.Module):
    """Modulation, then a convolution to `growth` times the channels and a 1x1 back; each with its input added."""

    def __init__(self, features: int, growth: int, *, challenge: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.Identity() if challenge else ChannelNorm(features) for _ in range(2))
        self.modulate = Modulation(features, bias=not challenge, coarser=challenge)
        self.mix = nn.Sequential(
            conv(features, growth * features, bias=not challenge),
            nn.GELU(),
            conv(growth * features, features, 1, bias=not challenge),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.modulate(self.norm1(x)) + x
        return self.mix(self.norm2(x)) + x


class SAFMN(Network):
    """`l` is the paper's large model, `challenge` its entry to the NTIRE 2023 challenge on efficient super-resolution.

    That one has no biases and no norm in its blocks, coarser windows, one norm over the frame, and adds the enlarged input.
    Where the frame is no multiple of the largest window, the last window of a row is cut off; the authors spread the
    windows evenly over the frame instead.
    """

    name = "safmn"
    paper = Paper(
        "Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution",
        "ICCV",
        2023,
        "https://arxiv.org/abs/2302.13800",
    )
    scales = (2, 3, 4)
    whole_frame_statistics = True  # of the challenge's; and the windows lie where the frame begins: a tile has others
    variants: ClassVar = {"l": {"blocks": 16, "features": 128}, "challenge": {"challenge": True}}
    claims = (
        Claim(4, None, None, psnr_db=32.18),
        Claim(4, 240_000, 14e9, why="The paper rounds to whole G; the authors' settings say 13.56 G."),
        Claim(3, 233_000, 23e9),
        Claim(2, 228_000, 52e9),
    )

    def __init__(
        self, scale: int, *, blocks: int = 8, features: int = 36, growth: int = 2, challenge: bool = False
    ) -> None:
        super().__init__(scale, blocks=blocks, features=features, growth=growth, challenge=challenge)
        if features < LEVELS or features % LEVELS:
            raise InputError(f"safmn cannot take features={features}; expected a multiple of {LEVELS}")
        if min(blocks, growth) < 1:
            raise InputError(f"safmn cannot take blocks={blocks}, growth={growth}; expected 1 or more of each")
        self.challenge = challenge
        self.shallow = conv(3, features)
        self.norm = ResponseNorm(features) if challenge else nn.Identity()
        self.body = nn.Sequential(*(FeatureMixing(features, growth, challenge=challenge) for _ in range(blocks)))
        self.upsample = nn.Sequential(conv(features, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        shallow = self.norm(self.shallow(x))
        if not self.challenge:
            return self.upsample(self.body(shallow) + shallow)
        blurred = F.interpolate(x, scale_factor=float(self.scale), mode="bilinear", align_corners=False)
        return self.upsample(self.body(shallow)) + blurred

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        ours = renamed(state, _PUBLISHED)
        norms = {key for key in ours if ".norm1." in key or ".norm2." in key}
        return {key: value.reshape(-1, 1, 1) if key in norms else value for key, value in ours.items()}


_PUBLISHED = [
    ("to_feat", "shallow"),
    ("to_img", "upsample"),
    ("feats.", "body."),
    (".safm.mfr.", ".modulate.depthwise."),
    (".safm.aggr.", ".modulate.fuse."),
    (".ccm.ccm.", ".mix."),
]
