"""RDCAB-RecursiveSRNet and its two successors: one dense block with channel attention, applied again and again."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.attention import ChannelAttention, ContrastChannelAttention
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import Scale, check_positive, conv, upsampler

Form = Literal["dense", "split", "distilled"]


class DenseBlock(nn.Module):
    """Each convolution sees all before it; all of them are weighed by attention and fused; plus x and the shallow features."""

    def __init__(self, features: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv((i + 1) * features, features) for i in range(layers))
        self.attention = ChannelAttention((layers + 1) * features)
        self.fuse = conv((layers + 1) * features, features, 1)

    def forward(self, x: Tensor, shallow: Tensor) -> Tensor:
        seen = x
        for layer in self.layers:
            seen = torch.cat([seen, F.relu(layer(seen))], dim=1)
        return self.fuse(self.attention(seen)) + x + shallow


class SplitBlock(nn.Module):
    """Of every convolution a quarter of the channels goes to the fusion alone, the others to all convolutions behind."""

    def __init__(self, features: int, layers: int) -> None:
        super().__init__()
        self.kept = features // 4
        self.layers = nn.ModuleList(conv(features + i * (features - self.kept), features) for i in range(layers))
        self.fuse = conv(layers * self.kept, features, 1)
        self.attention = ContrastChannelAttention(features)

    def forward(self, x: Tensor, _shallow: Tensor) -> Tensor:
        seen, distilled = x, []
        for layer in self.layers:
            out = F.relu(layer(seen))
            distilled.append(out[:, : self.kept])
            seen = torch.cat([seen, out[:, self.kept :]], dim=1)
        return self.attention(self.fuse(torch.cat(distilled, dim=1))) + x


class DistilledBlock(nn.Module):
    """Convolutions, each residual, see all before them; a 1x1 distils half of the channels of each for the fusion.

    In the authors' code the first 1x1 reads the block's input, not the first convolution's output.
    """

    def __init__(self, features: int, layers: int) -> None:
        super().__init__()
        half = features // 2
        self.layers = nn.ModuleList(conv((i + 1) * features, features) for i in range(layers - 1))
        self.distil = nn.ModuleList(conv(features, half, 1) for _ in range(layers - 1))
        self.last = conv(layers * features, half)
        self.fuse = conv(layers * half, features, 1)
        self.attention = ContrastChannelAttention(features)

    def forward(self, x: Tensor, _shallow: Tensor) -> Tensor:
        seen = out = x
        distilled = []
        for i, (layer, distil) in enumerate(zip(self.layers, self.distil, strict=True)):
            out = F.relu(layer(seen) + out)
            seen = torch.cat([seen, out], dim=1)
            distilled.append(distil(out if i else x))
        distilled.append(self.last(seen))
        return self.attention(self.fuse(torch.cat(distilled, dim=1))) + x


class RDCAB(Network):
    """recursions: U, how often the one block is applied; layers: its convolutions.

    form: what the block keeps of its layers, and how the frame is made of the features: `dense`, one pixel shuffle and a
    convolution; `split`, the pixel shuffle alone; `distilled`, pixel shuffle and five convolutions of 32 channels. The last
    two add the bicubically enlarged input. Variants: the successors `split` and `fd_irb` (feature distillation, information
    refinement). The authors' code has nine recursions as default; `fd_irb` has three, with which it costs what they say.
    """

    name = "rdcab"
    paper = Paper(
        "Single Image Super Resolution Based on Residual Dense Channel Attention Block-RecursiveSRNet",
        "Workshop on Image Processing and Image Understanding (IPIU)",
        2021,
        "https://github.com/HEEJOWOO/RDCAB-RecursiveSRNet-2021.02.IPIU-",
    )
    scales = (2, 3, 4)
    whole_frame_statistics = True
    variants: ClassVar = {"split": {"form": "split"}, "fd_irb": {"form": "distilled", "recursions": 3}}
    claims = (
        Claim(4, 2_100_000, 750e9),
        Claim(4, 1_200_000, 567e9, variant="split"),
        Claim(4, 1_630_000, 293e9, variant="fd_irb"),
    )

    def __init__(
        self, scale: int, *, form: Form = "dense", recursions: int = 9, layers: int = 8, features: int = 64
    ) -> None:
        super().__init__(scale, form=form, recursions=recursions, layers=layers, features=features)
        blocks = {"dense": DenseBlock, "split": SplitBlock, "distilled": DistilledBlock}
        if form not in blocks:
            raise InputError(f"rdcab has no form {form!r}; it has {', '.join(blocks)}")
        check_positive(self.name, recursions=recursions, layers=layers)
        if features < 16 or features % 4:
            raise InputError(f"rdcab cannot take features={features}; expected a multiple of 4, 16 or more")
        self.recursions, self.form = recursions, form
        self.shallow1, self.shallow2 = conv(3, features), conv(features, features)
        self.block = blocks[form](features, layers)
        self.fuse = nn.Sequential(conv(recursions * features, features, 1), conv(features, features))
        self.reconstruct = _reconstruction(form, features, scale)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        first = self.shallow1(x)
        out = shallow = self.shallow2(first)
        stages = []
        for _ in range(self.recursions):
            out = self.block(out, shallow)
            stages.append(out)
        high = self.reconstruct(self.fuse(torch.cat(stages, dim=1)) + first)
        if self.form == "dense":
            return high
        return high + F.interpolate(x, scale_factor=float(self.scale), mode="bicubic", align_corners=False)

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(state, _PUBLISHED[self.form])


def _reconstruction(form: Form, features: int, scale: int) -> nn.Sequential:
    if form == "dense":
        shuffle = [conv(features, features * scale**2), nn.PixelShuffle(scale)]
        return nn.Sequential(*shuffle, conv(features, 3))
    if form == "split":
        return nn.Sequential(conv(features, 3 * scale**2), Scale(), nn.PixelShuffle(scale))
    half = features // 2
    refine = [part for _ in range(4) for part in (conv(half, half, bias=False), nn.ReLU())]
    return nn.Sequential(upsampler(features, scale), conv(features, half, 1), *refine, conv(half, 3, bias=False))


_SHARED = [("sfe", "shallow"), ("gff", "fuse"), ("lff", "fuse"), ("conv_du.0", "attention.squeeze")]
_SHARED += [("conv_du.2", "attention.excite")]
_PUBLISHED = {
    "dense": [
        ("recursive_SR.0.rdcabs", "block"),
        *((f"layers.{i}.conv", f"layers.{i}") for i in range(8)),
        ("upscale.0", "reconstruct.0"),
        ("output", "reconstruct.2"),
        *_SHARED,
    ],
    "split": [
        ("recursive_SR.0.rdbs", "block"),
        *((f"layer{i + 1}.0", f"layers.{i}") for i in range(8)),
        ("upscale1_scale", "reconstruct.1"),
        ("upscale1", "reconstruct.0"),
        *_SHARED,
    ],
    "distilled": [
        ("recursive_SR.0.rdbs", "block"),
        *((f"layer{i + 1}_sub", f"distil.{i}") for i in range(7)),
        *((f"layer{i + 1}.", f"layers.{i}.") for i in range(7)),
        ("layer8", "last"),
        ("upscale", "reconstruct.0"),
        ("middle_pointwise", "reconstruct.1"),
        *((f"convIRB_{i + 1}.0", f"reconstruct.{2 * i + 2}") for i in range(4)),
        ("convIRB.0", "reconstruct.10"),
        *_SHARED,
    ],
}
"""The authors' names and ours, to be replaced in this order."""
