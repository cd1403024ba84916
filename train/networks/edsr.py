"""EDSR: residual blocks without batch normalisation."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.authors import renamed, without_mean_shift
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, conv, rgb_mean, upsampler


class ResidualBlock(nn.Module):
    def __init__(self, features: int, residual_scale: float) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(features, features), conv(features, features)
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        return x + (out if self.residual_scale == 1 else self.residual_scale * out)

    def fold(self) -> "ResidualBlock":
        """The scale becomes a part of the second convolution."""
        for parameter in self.conv2.parameters():
            parameter.mul_(self.residual_scale)
        self.residual_scale = 1.0
        return self


class EDSR(Network):
    """The default is the paper's baseline; `edsr:full` is the network that won NTIRE 2017."""

    name = "edsr"
    paper = Paper(
        "Enhanced Deep Residual Networks for Single Image Super-Resolution",
        "CVPR Workshops",
        2017,
        "https://arxiv.org/abs/1707.02921",
    )
    scales = (2, 3, 4)
    variants: ClassVar = {"full": {"blocks": 32, "features": 256, "residual_scale": 0.1}}
    claims = (
        Claim(4, None, None, variant="full", psnr_db=32.46),
        Claim(4, 1.5e6, None),
        Claim(4, 43e6, None, variant="full"),
        Claim(4, None, 114.0e9, source="tables of later papers"),
        Claim(4, None, 2_895.8e9, source="tables of later papers", variant="full"),
    )

    def __init__(self, scale: int, *, blocks: int = 16, features: int = 64, residual_scale: float = 1.0) -> None:
        super().__init__(scale, blocks=blocks, features=features, residual_scale=residual_scale)
        check_positive(self.name, blocks=blocks, features=features)
        self.head = conv(3, features)
        self.blocks = nn.Sequential(*(ResidualBlock(features, residual_scale) for _ in range(blocks)))
        self.fuse = conv(features, features)
        self.upsample = upsampler(features, scale)
        self.tail = conv(features, 3)
        self.register_buffer("mean", rgb_mean(), persistent=False)
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        shallow = self.head(x - self.mean)
        deep = self.fuse(self.blocks(shallow)) + shallow
        return self.tail(self.upsample(deep)) + self.mean

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The authors work in 0–255. Convolutions and ReLUs scale with their input, so only the biases have to shrink."""
        ours = renamed(without_mean_shift(state, top=255.0), _published(len(self.blocks)))
        return {key: value / 255 if key.endswith("bias") else value for key, value in ours.items()}


def _published(blocks: int) -> list[tuple[str, str]]:
    return [
        *((f"body.{i}.body.0", f"blocks.{i}.conv1") for i in range(blocks)),
        *((f"body.{i}.body.2", f"blocks.{i}.conv2") for i in range(blocks)),
        (f"body.{blocks}", "fuse"),
        ("head.0", "head"),
        ("tail.0", "upsample"),
        ("tail.1", "tail"),
    ]
