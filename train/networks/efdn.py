"""EFDN: RFDN's distillation at cell level, its 3x3 convolutions trained as seven branches, three of them edge filters."""

import torch
from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.train.networks.attention import SpatialAttention
from edgesr.train.networks.authors import SPATIAL_ATTENTION, renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv
from edgesr.train.networks.ecbsr import EdgeOrientedConv
from edgesr.train.networks.reparameterised import centred, identity_like, kernel_and_bias, spread_merged


class EdgeEnhancedConv(EdgeOrientedConv):
    """ECBSR's five branches, a 1x1, and the input itself."""

    def __init__(self, features: int) -> None:
        super().__init__(features, features, expansion=1)
        self.pointwise = conv(features, features, 1)

    def merged(self) -> tuple[Tensor, Tensor]:
        weight, bias = super().merged()
        pointwise, pointwise_bias = kernel_and_bias(self.pointwise)
        return weight + centred(pointwise) + identity_like(weight), bias + pointwise_bias

    def spread(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        nothing = {"pointwise.weight": torch.zeros(*weight.shape[:2], 1, 1), "pointwise.bias": torch.zeros_like(bias)}
        return super().spread(weight - identity_like(weight), bias) | nothing


class Cell(nn.Module):
    """A 1x1 and two 3x3 convolutions in a row; half as many channels of the input and of each are fused and weighed."""

    def __init__(self, features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(features, features, 1), EdgeEnhancedConv(features), EdgeEnhancedConv(features)]
        self.layers = nn.ModuleList(nn.Sequential(layer, nn.PReLU(features)) for layer in layers)
        self.distil = nn.ModuleList(conv(features, features // 2, 1) for _ in range(4))
        self.fuse = conv(2 * features, features, 1)
        self.attention = SpatialAttention(features, features // 4)

    def forward(self, x: Tensor) -> Tensor:
        stages = [x]
        for layer in self.layers:
            stages.append(layer(stages[-1]))
        distilled = [layer(stage) for layer, stage in zip(self.distil, stages, strict=True)]
        return self.attention(self.fuse(torch.cat(distilled, dim=1))) + x


class EFDN(Network):
    """features: channels of every layer. The authors' clamp of the output to 0–1 is left to whoever makes bytes of it."""

    name = "efdn"
    paper = Paper(
        "Edge-enhanced Feature Distillation Network for Efficient Super-Resolution",
        "CVPR Workshops",
        2022,
        "https://arxiv.org/abs/2204.08759",
    )
    scales = (2, 3, 4)
    min_size = SpatialAttention.MIN_SIZE
    whole_frame_statistics = True  # the attention's coarse grid is stretched over the frame
    claims = (Claim(4, 276_000, 14.7e9),)

    def __init__(self, scale: int, *, features: int = 48) -> None:
        super().__init__(scale, features=features)
        if features < 4 or features % 2:
            raise InputError(f"efdn cannot take features={features}; expected an even number, 4 or more")
        self.shallow = conv(3, features)
        self.cells = nn.ModuleList(Cell(features) for _ in range(4))
        self.fuse = nn.ModuleList(conv(2 * features, features, 1) for _ in range(3))
        self.upsample = nn.Sequential(conv(features, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        shallow = self.shallow(x)
        first = self.cells[0](shallow)
        second = self.cells[1](first)
        third = self.cells[2](self.fuse[0](torch.cat([first, second], dim=1)))
        fourth = self.cells[3](self.fuse[1](torch.cat([second, third], dim=1)))
        return self.upsample(self.fuse[2](torch.cat([second, fourth], dim=1)) + shallow)

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of the merged form, the only one that the authors published."""
        return spread_merged(self, renamed(state, _PUBLISHED))


_PUBLISHED = [
    ("head.", "shallow."),
    ("tail.", "upsample."),
    ("local_fuse.", "fuse."),
    (".branch.", ".distil."),
    (".conv1.conv1x1.", ".layers.0.0."),
    (".conv2.rep_conv.", ".layers.1.0."),
    (".conv3.rep_conv.", ".layers.2.0."),
    *((f".conv{i + 1}.act.", f".layers.{i}.1.") for i in range(3)),
    *((f".att{theirs}", f".attention{ours}") for theirs, ours in SPATIAL_ATTENTION),
]
