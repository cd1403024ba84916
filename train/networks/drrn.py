"""DRRN: one residual unit applied again and again, each time onto the block's first features."""

from typing import ClassVar

from torch import Tensor, nn

from edgesr.train.networks.base import Claim, Paper
from edgesr.train.networks.blocks import check_positive, conv, normed_relu
from edgesr.train.networks.refiner import Refiner

_NORMALISATION = "it counts no biases and no batch normalisation, of which every recursion has its own"


class RecursiveBlock(nn.Module):
    """Two convolutions, applied `units` times with the same weights but batch normalisation of each time's own."""

    def __init__(self, in_channels: int, features: int, units: int) -> None:
        super().__init__()
        self.head = nn.Sequential(normed_relu(in_channels), conv(in_channels, features))
        self.conv1, self.conv2 = conv(features, features), conv(features, features)
        self.norm1 = nn.ModuleList(normed_relu(features) for _ in range(units))
        self.norm2 = nn.ModuleList(normed_relu(features) for _ in range(units))

    def forward(self, x: Tensor) -> Tensor:
        out = first = self.head(x)
        for norm1, norm2 in zip(self.norm1, self.norm2, strict=True):
            out = self.conv2(norm2(self.conv1(norm1(out)))) + first
        return out


class DRRN(Refiner):
    """blocks, units: B and U of the paper, whose best is B1U25, 52 convolutions deep."""

    name = "drrn"
    paper = Paper(
        "Image Super-Resolution via Deep Recursive Residual Network",
        "CVPR",
        2017,
        "https://openaccess.thecvf.com/content_cvpr_2017/html/Tai_Image_Super-Resolution_via_CVPR_2017_paper.html",
    )
    multi_scale = True
    variants: ClassVar = {"b1u9": {"units": 9}, "b1u25": {"units": 25}}
    claims = (
        Claim(4, None, None, psnr_db=31.68),
        Claim(4, 297e3, 6_796.9e9, source="CARN, ECCV 2018", why=_NORMALISATION),
        Claim(4, 297e3, None, variant="b1u9"),
    )

    def __init__(self, scale: int, *, blocks: int = 1, units: int = 25, features: int = 128) -> None:
        super().__init__(scale, blocks=blocks, units=units, features=features)
        check_positive(self.name, blocks=blocks, units=units, features=features)
        self.blocks = nn.Sequential(*(RecursiveBlock(features if i else 1, features, units) for i in range(blocks)))
        self.tail = nn.Sequential(normed_relu(features), conv(features, 1))

    def refine(self, blurred: Tensor) -> Tensor:  # (N, 1, H*scale, W*scale)
        return self.tail(self.blocks(blurred)) + blurred
