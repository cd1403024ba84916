"""FMEN: plain convolutions in a row and a narrow branch beside each pair that weighs high frequencies."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import conv
from edgesr.train.networks.reparameterised import Reparameterised, ResidualExpandedConv, kernel_and_bias, spread_merged

SLOPE = 0.1
"""Of every leaky ReLU."""
WHITE = 255.0
"""The authors trained on 0–255."""


class NormedConv(Reparameterised):
    """Batch normalisation, a 3x3 convolution and, where asked, batch normalisation again.

    The convolution's margin is what the first norm makes of zero by its running statistics, so that in use the
    three are one convolution with a margin of zeros.
    """

    def __init__(self, in_channels: int, out_channels: int, *, after: bool = False) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 3)
        self.after = nn.BatchNorm2d(out_channels) if after else None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        out = self.before(x)  # and its running statistics move
        margin = _linear(self.before)[1].view(1, -1, 1, 1)
        out = self.conv(F.pad(out - margin, (1, 1, 1, 1)) + margin)
        return self.after(out) if self.after else out

    def merged(self) -> tuple[Tensor, Tensor]:
        gain, shift = _linear(self.before)
        weight, bias = kernel_and_bias(self.conv)
        weight, bias = weight * gain.view(1, -1, 1, 1), bias + weight.sum((2, 3)) @ shift
        if self.after:
            gain, shift = _linear(self.after)
            weight, bias = weight * gain.view(-1, 1, 1, 1), bias * gain + shift
        return weight, bias

    def spread(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        spread = {"conv.weight": weight, "conv.bias": bias}
        for name, norm in self.named_children():
            if isinstance(norm, nn.BatchNorm2d):
                plain = nn.BatchNorm2d(norm.num_features)
                plain.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
                spread |= {f"{name}.{key}": value for key, value in plain.state_dict().items()}
        return spread


def _linear(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Gain and shift of each channel, by the running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return gain, norm.bias - norm.running_mean * gain


class EnhancedResidualBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.enter, self.leave = ResidualExpandedConv(features), ResidualExpandedConv(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(F.leaky_relu(self.enter(x), SLOPE))


class HighFrequencyAttention(nn.Module):
    """Weighs every value of x by what `inner` channels and `blocks` blocks say about its neighbourhood."""

    def __init__(self, features: int, inner: int, blocks: int) -> None:
        super().__init__()
        self.squeeze = NormedConv(features, inner)
        self.body = nn.Sequential(*(EnhancedResidualBlock(inner) for _ in range(blocks)))
        self.excite = NormedConv(inner, features, after=True)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.body(F.leaky_relu(self.squeeze(x), SLOPE))
        return x * torch.sigmoid(self.excite(F.leaky_relu(inner, SLOPE)))


class FMEN(Network):
    """The model that the authors published, which is the paper's FMEN-S and their entry to the NTIRE 2022 challenge."""

    name = "fmen"
    paper = Paper(
        "Fast and Memory-Efficient Network Towards Efficient Image Super-Resolution",
        "CVPR Workshops",
        2022,
        "https://arxiv.org/abs/2204.08397",
    )
    scales = (2, 3, 4)
    claims = (Claim(4, 341_000, None, source="the NTIRE 2022 challenge's report"),)

    def __init__(self, scale: int, *, pairs: int = 4, features: int = 50, inner: int = 16) -> None:
        """pairs: of a residual block and an attention behind the first attention, which is four channels narrower."""
        super().__init__(scale, pairs=pairs, features=features, inner=inner)
        if min(pairs, features) < 1 or inner < 5:
            wrong = f"pairs={pairs}, features={features}, inner={inner}"
            raise InputError(f"fmen cannot take {wrong}; expected 1 or more, inner 5 or more")
        self.shallow = conv(3, features)
        layers: list[nn.Module] = [conv(features, features), HighFrequencyAttention(features, inner - 4, 2)]
        for _ in range(pairs):
            layers += [EnhancedResidualBlock(features), HighFrequencyAttention(features, inner, 1)]
        self.body = nn.Sequential(*layers, conv(features, features))
        self.upsample = nn.Sequential(conv(features, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        shallow = self.shallow(WHITE * x)
        return self.upsample(self.body(shallow) + shallow) / WHITE

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of the merged form, the only one that the authors published."""
        pairs = range((len(self.body) - 3) // 2)
        names = [(f"{theirs}.{i}.", f"body.{2 * i + 2}.") for theirs in ("basic_blocks", "ERBs") for i in pairs]
        names += [(f"{theirs}.{i}.", f"body.{2 * i + 3}.") for theirs in ("hfabs", "HFABs") for i in pairs]
        names += [("lr_conv.", f"body.{len(self.body) - 1}."), (".convs.", ".body.")]
        return spread_merged(self, renamed(state, [*names, *_PUBLISHED]))


_PUBLISHED = [
    ("head.", "shallow."),
    ("tail.", "upsample."),
    ("warmup.", "body."),
    (".conv1.rep_conv.", ".enter."),
    (".conv2.rep_conv.", ".leave."),
    (".excitate.", ".excite."),
]
