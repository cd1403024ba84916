"""LapSRN: a Laplacian pyramid, each level of which doubles the frame and adds what bilinear interpolation lacks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, conv, he_initialised

SLOPE = 0.2
"""Of the leaky ReLUs."""
HEAD_STD = 1e-3
"""The authors' code: the residuals begin near zero. With He's, their rate and loss diverge."""


class Level(nn.Module):
    """Features and frame at one size -> both at twice that size."""

    def __init__(self, features: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(features, features) for _ in range(layers))
        self.enlarge = nn.ConvTranspose2d(features, features, 3, stride=2)
        self.residual = conv(features, 1)
        he_initialised(self)
        self.enlarge_frame = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
        bilinear = torch.tensor([0.25, 0.75, 0.75, 0.25])
        self.enlarge_frame.weight = nn.Parameter(torch.outer(bilinear, bilinear)[None, None])

    def forward(self, features: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            features = F.leaky_relu(layer(features), SLOPE)
        enlarged = self.enlarge(features)[..., :-1, :-1]  # one row and one column too many at the end
        features = F.leaky_relu(enlarged, SLOPE)
        return features, self.enlarge_frame(frame) + self.residual(features)


class LapSRN(Network):
    """layers: convolutions of a level; 10 of them by default, 5 at x8, as the paper. The weights that the authors give
    away have transposed convolutions of 3x3 for the features, where the paper says 4x4; so have we."""

    name = "lapsrn"
    paper = Paper(
        "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution",
        "CVPR",
        2017,
        "https://arxiv.org/abs/1704.03915",
    )
    scales = (2, 4, 8)
    colour = "luma"
    claims = (
        Claim(4, None, None, psnr_db=31.54),
        Claim(
            4,
            812e3,
            149.4e9,
            source="CARN, ECCV 2018",
            why="CARN's authors count the transposed convolutions as if each output pixel took all taps of their kernels",
        ),
    )

    def __init__(self, scale: int, *, layers: int | None = None, features: int = 64) -> None:
        super().__init__(scale, layers=layers, features=features)
        depth = (5 if scale == 8 else 10) if layers is None else layers
        check_positive(self.name, layers=depth, features=features)
        self.head = conv(1, features)
        he_initialised(self.head)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        self.levels = nn.ModuleList(Level(features, depth) for _ in range(scale.bit_length() - 1))

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, H, W)
        return self.pyramid(x)[-1]

    def predictions(self, x: Tensor) -> list[Tensor]:
        return self.pyramid(x)[::-1]

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """The frame at twice the size, at four times, and so on up to the scale."""
        features, frames = F.leaky_relu(self.head(x), SLOPE), [x]
        for level in self.levels:
            features, frame = level(features, frames[-1])
            frames.append(frame)
        return frames[1:]
