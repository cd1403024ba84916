"""SRCNN: three convolutions on the bicubically enlarged frame."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.base import Claim, Paper
from edgesr.train.networks.blocks import conv
from edgesr.train.networks.refiner import Refiner


class SRCNN(Refiner):
    """middle: side of the second kernel, 1, 3 or 5: the paper's 9-1-5, 9-3-5 and 9-5-5."""

    name = "srcnn"
    paper = Paper(
        "Image Super-Resolution Using Deep Convolutional Networks",
        "IEEE TPAMI",
        2016,
        "https://arxiv.org/abs/1501.00092",
    )
    variants: ClassVar = {"9-1-5": {"middle": 1}, "9-3-5": {"middle": 3}, "9-5-5": {"middle": 5}}
    claims = (
        Claim(4, None, None, psnr_db=30.48),
        Claim(4, 57_184, None),
        Claim(4, None, 52.7e9, source="CARN, ECCV 2018"),
        Claim(4, 8_032, None, variant="9-1-5"),
        Claim(4, 24_416, None, variant="9-3-5"),
    )

    def __init__(self, scale: int, *, middle: int = 5) -> None:
        super().__init__(scale, middle=middle)
        if middle not in (1, 3, 5):
            raise InputError(f"{self.name} has no second kernel of side {middle}; expected 1, 3 or 5")
        self.extract = conv(1, 64, 9)
        self.map = conv(64, 32, middle)
        self.reconstruct = conv(32, 1, 5)

    def refine(self, blurred: Tensor) -> Tensor:  # (N, 1, H*scale, W*scale)
        features = F.relu(self.extract(blurred))
        return self.reconstruct(F.relu(self.map(features)))
