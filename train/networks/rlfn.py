"""RLFN: RFDN without its distilling branches; three plain convolutions and spatial attention in every block."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.attention import SpatialAttention
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv

SLOPE = 0.05
"""Of every leaky ReLU."""
WHITE = 255.0
"""The authors trained on 0–255."""
CHANNELS = 16
"""Of the spatial attention."""


class ResidualLocalFeatures(nn.Module):
    def __init__(self, features: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([conv(features, inner), conv(inner, inner), conv(inner, features)])
        self.fuse = conv(features, features, 1)
        self.attention = SpatialAttention(features, CHANNELS, coarse=1)

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for layer in self.layers:
            out = F.leaky_relu(layer(out), SLOPE)
        return self.attention(self.fuse(out + x))


class RLFN(Network):
    """inner: channels between the convolutions of a block, 0 for `features`. `ntire`: as it won the NTIRE 2022 challenge."""

    name = "rlfn"
    paper = Paper(
        "Residual Local Feature Network for Efficient Super-Resolution",
        "CVPR Workshops",
        2022,
        "https://arxiv.org/abs/2205.07514",
    )
    scales = (2, 3, 4)
    min_size = SpatialAttention.MIN_SIZE
    whole_frame_statistics = True  # the attention's coarse grid is stretched over the frame
    variants: ClassVar = {"ntire": {"blocks": 4, "features": 46, "inner": 48}}
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(4, 543_000, None, psnr_db=32.24),
        Claim(2, 527_000, None),
        Claim(4, 317_000, 17.31e9, source="the authors' code, 19.70 G for 256x256", variant="ntire"),
    )

    def __init__(self, scale: int, *, blocks: int = 6, features: int = 52, inner: int = 0) -> None:
        super().__init__(scale, blocks=blocks, features=features, inner=inner)
        if min(blocks, features) < 1 or inner < 0:
            wrong = f"blocks={blocks}, features={features}, inner={inner}"
            raise InputError(f"{self.name} cannot take {wrong}; expected 1 or more, inner 0 or more")
        self.shallow = conv(3, features)
        self.body = nn.Sequential(*(ResidualLocalFeatures(features, inner or features) for _ in range(blocks)))
        self.smooth = conv(features, features)
        self.upsample = nn.Sequential(conv(features, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        shallow = self.shallow(WHITE * x)
        return self.upsample(self.smooth(self.body(shallow)) + shallow) / WHITE

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(state, _PUBLISHED)


class RLFNS(RLFN):
    """RLFN-S of the paper: 48 channels."""

    name = "rlfn_s"
    variants: ClassVar = {}
    claims = (
        Claim(4, 470_000, None, psnr_db=32.23),
        Claim(2, 454_000, None),
    )

    def __init__(self, scale: int, *, blocks: int = 6, features: int = 48, inner: int = 0) -> None:
        super().__init__(scale, blocks=blocks, features=features, inner=inner)


_PUBLISHED = [
    ("conv_1.", "shallow."),
    ("conv_2.", "smooth."),
    ("upsampler.", "upsample."),
    *((f"block_{i + 1}.", f"body.{i}.") for i in range(6)),
    *((f".c{i + 1}_r.", f".layers.{i}.") for i in range(3)),
    (".c5.", ".fuse."),
    (".esa.conv1.", ".attention.squeeze."),
    (".esa.conv_f.", ".attention.skip."),
    (".esa.conv2.", ".attention.stride."),
    (".esa.conv3.", ".attention.coarse.0."),
    (".esa.conv4.", ".attention.excite."),
]
