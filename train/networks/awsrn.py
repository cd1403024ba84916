"""AWSRN: wide residual units with learnt weights, fused in groups, and a reconstruction by four sizes of kernel."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import Scale, check_positive, conv, normed_conv, rgb_mean

KERNELS = (3, 5, 7, 9)
_MERGED = "the four kernels of the reconstruction run as one of 9x9 here; the paper counts them one by one"


class WeightedUnit(nn.Module):
    """Two convolutions, many channels between them; their result and x are weighed by learnt scalars and added."""

    def __init__(self, features: int, wide: int) -> None:
        super().__init__()
        self.widen, self.narrow = normed_conv(features, wide), normed_conv(wide, features)
        self.res_scale, self.x_scale = Scale(), Scale()

    def forward(self, x: Tensor) -> Tensor:
        return self.res_scale(self.narrow(F.relu(self.widen(x)))) + self.x_scale(x)


class LocalFusion(nn.Module):
    """Units in a row; a convolution fuses all their outputs, and is weighed against x as in a unit."""

    def __init__(self, features: int, wide: int, units: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(WeightedUnit(features, wide) for _ in range(units))
        self.fuse = normed_conv(units * features, features)
        self.res_scale, self.x_scale = Scale(), Scale()

    def forward(self, x: Tensor) -> Tensor:
        out, outputs = x, []
        for unit in self.units:
            out = unit(out)
            outputs.append(out)
        return self.res_scale(self.fuse(torch.cat(outputs, dim=1))) + self.x_scale(x)


class MultiScaleConv(nn.Module):
    """Convolutions of four sizes side by side, weighed by learnt scalars and added: deployed, one convolution of 9x9."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(normed_conv(in_channels, out_channels, kernel) for kernel in KERNELS)
        self.scales = nn.ModuleList(Scale(1 / len(KERNELS)) for _ in KERNELS)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [scale(branch(x)) for scale, branch in zip(self.scales, self.branches, strict=True)]
        return torch.stack(outputs).sum(0)

    def fold(self) -> nn.Conv2d:
        first = self.branches[0]
        merged = conv(first.in_channels, first.out_channels, max(KERNELS))  # type: ignore[arg-type]
        weight, bias = torch.zeros_like(merged.weight), torch.zeros(merged.out_channels)
        for scale, branch, kernel in zip(self.scales, self.branches, KERNELS, strict=True):
            weight += scale(F.pad(branch.weight, 4 * [(max(KERNELS) - kernel) // 2]))  # type: ignore[arg-type]
            bias += scale(branch.bias)
        merged.weight, merged.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
        return merged


class AWSRN(Network):
    """groups of `units` wide residual units; the input reaches the output by one more convolution.

    The paper's smaller sizes are `m` (three groups), `s` (one) and `sd` (one group, thinner and deeper).
    """

    name = "awsrn"
    paper = Paper(
        "Lightweight Image Super-Resolution with Adaptive Weighted Learning Network",
        "arXiv",
        2019,
        "https://arxiv.org/abs/1904.02358",
    )
    scales = (2, 3, 4, 8)
    variants: ClassVar = {
        "m": {"groups": 3},
        "s": {"groups": 1},
        "sd": {"groups": 1, "units": 8, "features": 16},
    }
    claims = (
        Claim(4, None, None, psnr_db=32.27),
        Claim(2, 1_397_000, 320.5e9, why=_MERGED),
        Claim(3, 1_476_000, 150.6e9, why=_MERGED),
        Claim(4, 1_587_000, 91.1e9, why=_MERGED),
        Claim(8, 2_348_000, 33.7e9, why=_MERGED),
        Claim(4, 1_254_000, 72.0e9, variant="m", why=_MERGED),
        Claim(4, 588_000, 33.7e9, variant="s", why=_MERGED),
        Claim(4, 444_000, 25.4e9, variant="sd", why=_MERGED),
    )

    def __init__(self, scale: int, *, groups: int = 4, units: int = 4, features: int = 32, wide: int = 128) -> None:
        super().__init__(scale, groups=groups, units=units, features=features, wide=wide)
        check_positive(self.name, groups=groups, units=units, features=features, wide=wide)
        self.head = normed_conv(3, features)
        self.body = nn.Sequential(*(LocalFusion(features, wide, units) for _ in range(groups)))
        self.tail = MultiScaleConv(features, 3 * scale**2)
        self.skip = normed_conv(3, 3 * scale**2)
        self.shuffle = nn.PixelShuffle(scale)
        self.register_buffer("mean", rgb_mean(), persistent=False)
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        centred = 2 * (x - self.mean)  # about -1 to 1
        out = self.tail(self.body(self.head(centred)))
        return self.shuffle(out + self.skip(centred)) / 2 + self.mean

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(state, _PUBLISHED)


_PUBLISHED = [
    ("head.0", "head"),
    ("skip.0", "skip"),
    *((f".b{i}.body.0", f".units.{i}.widen") for i in range(8)),
    *((f".b{i}.body.2", f".units.{i}.narrow") for i in range(8)),
    *((f".b{i}.", f".units.{i}.") for i in range(8)),
    (".reduction", ".fuse"),
    *((f"tail.tail_k{kernel}", f"tail.branches.{i}") for i, kernel in enumerate(KERNELS)),
    *((f"tail.scale_k{kernel}", f"tail.scales.{i}") for i, kernel in enumerate(KERNELS)),
]
