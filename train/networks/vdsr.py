"""VDSR: twenty plain convolutions that learn what bicubic lacks; one model for x2, x3 and x4."""

from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import Bicubic, check_positive, conv, he_initialised


class VDSR(Network):
    """layers: convolutions, D of the paper."""

    name = "vdsr"
    paper = Paper(
        "Accurate Image Super-Resolution Using Very Deep Convolutional Networks",
        "CVPR",
        2016,
        "https://arxiv.org/abs/1511.04587",
    )
    scales = (2, 3, 4)
    colour = "luma"
    multi_scale = True
    claims = (
        Claim(4, None, None, psnr_db=31.35),
        Claim(4, 665e3, 612.6e9, source="CARN, ECCV 2018"),
    )

    def __init__(self, scale: int, *, layers: int = 20, features: int = 64) -> None:
        super().__init__(scale, layers=layers, features=features)
        check_positive(self.name, features=features)
        if layers < 2:
            raise InputError(f"{self.name} cannot take layers={layers}; expected 2 or more")
        body: list[nn.Module] = [conv(1, features), nn.ReLU()]
        for _ in range(layers - 2):
            body += [conv(features, features), nn.ReLU()]
        self.enlarge = Bicubic(scale)
        self.body = he_initialised(nn.Sequential(*body, conv(features, 1)))

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, H, W)
        blurred = self.enlarge(x)
        return self.body(blurred) + blurred
