"""FSRCNN: shrink, map and expand at low resolution, one transposed convolution at the end."""

from typing import ClassVar

from torch import Tensor, nn

from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, conv

_BIASES = "the paper leaves out the biases and the slopes of the PReLUs"
_DECONVOLUTION = (
    "CARN's authors count the transposed convolution as if each output pixel took all 81 taps of its kernel"
)


class FSRCNN(Network):
    """features, shrunk, layers: d, s and m of the paper.

    The last kernel is centred on the low-resolution pixel, at even scales half a pixel off. PyTorch ports that pad by 4 at every scale
    have it 1 pixel further left and above at x3 and x4: their checkpoints give shifted pictures here.
    """

    name = "fsrcnn"
    paper = Paper(
        "Accelerating the Super-Resolution Convolutional Neural Network",
        "ECCV",
        2016,
        "https://arxiv.org/abs/1608.00367",
    )
    scales = (2, 3, 4)
    colour = "luma"
    variants: ClassVar = {"s": {"features": 32, "shrunk": 5, "layers": 1}}
    claims = (
        Claim(4, None, None, psnr_db=30.71),
        Claim(4, 12_464, None, why=_BIASES),
        Claim(4, 3_937, None, variant="s", why=_BIASES),
        Claim(4, None, 4.6e9, source="CARN, ECCV 2018", why=_DECONVOLUTION),
    )

    def __init__(self, scale: int, *, features: int = 56, shrunk: int = 12, layers: int = 4) -> None:
        super().__init__(scale, features=features, shrunk=shrunk, layers=layers)
        check_positive(self.name, features=features, shrunk=shrunk, layers=layers)
        body: list[nn.Module] = [conv(1, features, 5), nn.PReLU(features), conv(features, shrunk, 1), nn.PReLU(shrunk)]
        for _ in range(layers):
            body += [conv(shrunk, shrunk), nn.PReLU(shrunk)]
        self.body = nn.Sequential(*body, conv(shrunk, features, 1), nn.PReLU(features))
        before = 4 - (scale - 1) // 2
        beyond = scale - 9 + 2 * before
        self.enlarge = nn.ConvTranspose2d(features, 1, 9, stride=scale, padding=before, output_padding=beyond)

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, H, W)
        return self.enlarge(self.body(x))
