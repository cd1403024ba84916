"""VDSR: twenty plain convolutions that learn what bicubic lacks; one model for x2, x3 and x4."""

from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.train.networks.base import Claim, Paper
from edgesr.train.networks.blocks import check_positive, conv, he_initialised
from edgesr.train.networks.refiner import Refiner


class VDSR(Refiner):
    """layers: convolutions, D of the paper."""

    name = "vdsr"
    paper = Paper(
        "Accurate Image Super-Resolution Using Very Deep Convolutional Networks",
        "CVPR",
        2016,
        "https://arxiv.org/abs/1511.04587",
    )
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
        self.body = he_initialised(nn.Sequential(*body, conv(features, 1)))

    def refine(self, blurred: Tensor) -> Tensor:  # (N, 1, H*scale, W*scale)
        return self.body(blurred) + blurred
