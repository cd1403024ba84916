"""ESPCN: three convolutions at low resolution and a pixel shuffle."""

from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.train.networks.base import Network, Paper
from edgesr.train.networks.blocks import conv


class ESPCN(Network):
    """The paper's form with tanh, which it found better than ReLU. It gives no count of parameters."""

    name = "espcn"
    paper = Paper(
        "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network",
        "CVPR",
        2016,
        "https://arxiv.org/abs/1609.05158",
    )
    scales = (2, 3, 4)
    colour = "luma"

    def __init__(self, scale: int, *, features: int = 64) -> None:
        super().__init__(scale, features=features)
        if features < 2 or features % 2:
            raise InputError(f"{self.name} cannot take features={features}; expected an even number, 2 or more")
        half = features // 2
        self.body = nn.Sequential(conv(1, features, 5), nn.Tanh(), conv(features, half), nn.Tanh())
        self.tail = nn.Sequential(conv(half, scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, H, W)
        return self.tail(self.body(x))
