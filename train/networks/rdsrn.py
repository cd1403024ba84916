"""RDSRN: one distilling block applied recursively, with contrast channel attention, as its authors trained it.

The published weights are of a form that the authors' own code and the paper leave out: each refinement layer
adds its input, times a learnt scalar. The data flow below was established by reproducing the published PSNR.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import CheckpointMismatch
from edgesr.train.networks.attention import ContrastChannelAttention
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv, normed_conv, upsampler


class Refinement(nn.Module):
    """F(r) + x_scale * r on (N, C, H, W), F = conv, ReLU, conv."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.widen = normed_conv(channels, hidden)
        self.narrow = normed_conv(hidden, channels)
        self.x_scale: Tensor = nn.Parameter(torch.ones(1))

    def forward(self, r: Tensor) -> Tensor:
        return self.narrow(F.relu(self.widen(r))) + self.x_scale * r

    def fold(self) -> "Refinement":
        """The scale becomes a constant of the graph."""
        scale = self.x_scale.detach()
        del self.x_scale
        self.register_buffer("x_scale", scale)
        return self


class DistillingLayer(nn.Module):
    """ReLU(conv) + skip; the first half of the channels is kept as it is, the second refined."""

    def __init__(self, in_channels: int, features: int, hidden: int) -> None:
        super().__init__()
        self.conv = normed_conv(in_channels, features)
        self.refine = Refinement(features // 2, hidden)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        kept, rest = (F.relu(self.conv(x)) + skip).chunk(2, dim=1)
        return torch.cat([kept, self.refine(rest)], dim=1)


class RecursiveBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.layer1 = DistillingLayer(features, features, features * 3 // 2)
        self.layer2 = DistillingLayer(2 * features, features, features * 3 // 2)
        self.fuse1 = normed_conv(2 * features, features, 1)
        self.layer3 = DistillingLayer(features, features, 2 * features)
        self.layer4 = DistillingLayer(2 * features, features, 2 * features)
        self.fuse2 = normed_conv(3 * features, features, 1)
        self.attention = ContrastChannelAttention(features, layer=normed_conv)

    def forward(self, x: Tensor, shallow: Tensor) -> Tensor:
        c1 = self.layer1(x, x)
        c2 = self.layer2(torch.cat([x, c1], dim=1), c1)
        middle = self.fuse1(torch.cat([x, c2], dim=1)) + shallow
        c3 = self.layer3(middle, middle)
        c4 = self.layer4(torch.cat([middle, c3], dim=1), c3)
        return self.attention(self.fuse2(torch.cat([x, c2, c4], dim=1)) + shallow) + x


class RDSRN(Network):
    """recursions: U of the paper, how often the one block is applied; features: channels of every layer."""

    name = "rdsrn"
    paper = Paper(
        "Recursive Distillation Super Resolution Network",
        "IEEE International Conference on Consumer Electronics (ICCE)",
        2022,
        "https://github.com/HEEJOWOO/RDSRN-2022.01.ICCE",
    )
    scales = (2, 3, 4)
    whole_frame_statistics = True
    claims = (Claim(4, 0.68e6, 136e9, psnr_db=32.34),)

    def __init__(self, scale: int, *, recursions: int = 3, features: int = 64) -> None:
        super().__init__(scale, recursions=recursions, features=features)
        half = features // 2
        self.recursions = recursions
        self.shallow1 = normed_conv(3, features)
        self.shallow2 = normed_conv(features, features)
        self.block = RecursiveBlock(features)
        self.fuse = normed_conv(recursions * features, features, 1)
        self.narrow = normed_conv(features, half)
        self.upsample = upsampler(half, scale, layer=normed_conv)
        self.reconstruct = nn.ModuleList(normed_conv(half, half, bias=False) for _ in range(4))
        self.tail = conv(half, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        first = self.shallow1(x)
        out = shallow = self.shallow2(first)
        stages = []
        for _ in range(self.recursions):
            out = self.block(out, shallow)
            stages.append(out)
        out = self.fuse(torch.cat(stages, dim=1)) + first
        high = refined = self.upsample(self.narrow(out))  # (N, 32, H*scale, W*scale)
        for layer in self.reconstruct:
            refined = F.relu(layer(refined))
        blurred = F.interpolate(x, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
        return self.tail(refined + high) + blurred

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        unused = {key: value for key, value in state.items() if ".res_scale_" in key}  # stored beside x_scale
        for key, value in unused.items():
            if not torch.all(value == 1):
                raise CheckpointMismatch(f"{key} is {value.tolist()}; expected 1: another form of RDSRN")
        return renamed({key: value for key, value in state.items() if key not in unused}, _PUBLISHED)


_PUBLISHED = [
    ("sfe", "shallow"),
    *(
        (f"rbs.0.rdbs.{theirs.format(number)}", f"block.layer{layer}.{ours}")
        for layer, number in enumerate((1, 2, 5, 6), start=1)
        for theirs, ours in (
            ("x_scale_{}.scale", "refine.x_scale"),
            ("idle_layer{}.0", "refine.widen"),
            ("idle_layer{}.2", "refine.narrow"),
            ("layer{}.0", "conv"),
        )
    ),
    ("rbs.0.rdbs.CONCAT_FF_", "block.fuse"),
    ("rbs.0.rdbs.conv_du.0", "block.attention.squeeze"),
    ("rbs.0.rdbs.conv_du.2", "block.attention.excite"),
    ("gff_2", "narrow"),
    ("gff", "fuse"),
    ("upscale", "upsample"),
    *((f"conv17_{i + 1}.0", f"reconstruct.{i}") for i in range(4)),
    ("conv18.0", "tail"),
]
"""The authors' names and ours, to be replaced in this order."""
