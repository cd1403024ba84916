"""DRCN: one convolution applied 16 times, the frame reconstructed after each; one model for x2, x3 and x4."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import Bicubic, check_positive, conv, he_initialised


class DRCN(Network):
    """recursions: D of the paper. Its loss on every recursion's own reconstruction is not kept."""

    name = "drcn"
    paper = Paper(
        "Deeply-Recursive Convolutional Network for Image Super-Resolution",
        "CVPR",
        2016,
        "https://arxiv.org/abs/1511.04491",
    )
    scales = (2, 3, 4)
    colour = "luma"
    multi_scale = True
    claims = (
        Claim(4, None, None, psnr_db=31.53),
        Claim(4, 1_774e3, 17_974.3e9, source="CARN, ECCV 2018"),
    )

    def __init__(self, scale: int, *, recursions: int = 16, features: int = 256) -> None:
        super().__init__(scale, recursions=recursions, features=features)
        check_positive(self.name, recursions=recursions, features=features)
        self.enlarge = Bicubic(scale)
        self.embed = nn.Sequential(conv(1, features), nn.ReLU(), conv(features, features), nn.ReLU())
        self.recursion = conv(features, features)
        self.reconstruct = nn.Sequential(conv(features, features), nn.ReLU(), conv(features, 1))
        self.weights = nn.Parameter(torch.full((recursions,), 1 / recursions))
        he_initialised(self)
        nn.init.dirac_(self.recursion.weight)  # as the paper: a recursion begins as the identity

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, H, W)
        blurred = self.enlarge(x)
        out = self.embed(blurred)
        frames = []
        for weight in self.weights.unbind():
            out = F.relu(self.recursion(out))
            frames.append(weight * (self.reconstruct(out) + blurred))
        return sum(frames)
