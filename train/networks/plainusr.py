"""PlainUSR: a U of channels instead of sizes, of plain convolutions that train as wide residual ones."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Network, Paper
from edgesr.train.networks.blocks import conv
from edgesr.train.networks.reparameterised import ResidualExpandedConv, kernel_and_bias, spread_merged

SLOPE = 0.05
"""Of every leaky ReLU."""
COLOURS = 3
Attention = Literal["regional", "local"]


class WeighedConv(ResidualExpandedConv):
    """MobileNetV3's block as one convolution: the inner 3x3's channels are weighed, by learnt numbers instead of the frame.

    gate: a last 1x1 makes the first channel from all of them.
    """

    def __init__(self, features: int, *, gate: bool = False) -> None:
        super().__init__(features)
        inner = self.core.out_channels
        self.seed = nn.Parameter(torch.full((inner,), 0.1))
        self.squeeze = nn.Linear(inner, inner // 4, bias=False)
        self.excite = nn.Linear(inner // 4, inner, bias=False)
        nn.init.ones_(self.squeeze.weight)
        nn.init.ones_(self.excite.weight)
        self.gate = conv(features, 1, 1) if gate else None
        if self.gate is not None and self.gate.bias is not None:
            nn.init.constant_(self.gate.weight, 1 / features)
            nn.init.zeros_(self.gate.bias)

    def learnt_core(self) -> tuple[Tensor, Tensor]:
        share = torch.sigmoid(self.excite(F.silu(self.squeeze(self.seed))))
        core, core_bias = super().learnt_core()
        return core * share.view(-1, 1, 1, 1), core_bias * share

    def merged(self) -> tuple[Tensor, Tensor]:
        weight, bias = super().merged()
        if self.gate is None:
            return weight, bias
        mix, mix_bias = kernel_and_bias(self.gate)
        first = torch.einsum("goxy,oihw->gihw", mix, weight)
        return torch.cat([first, weight[1:]]), torch.cat([mix.flatten(1) @ bias + mix_bias, bias[1:]])

    def spread(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """A seed of zeros weighs every channel by a half."""
        spread = super().spread(weight, bias)
        spread["core.weight"] = 2 * spread["core.weight"]
        spread["seed"] = torch.zeros(len(self.seed))
        for name, layer in (("squeeze", self.squeeze), ("excite", self.excite)):
            spread[f"{name}.weight"] = torch.ones(layer.weight.shape)
        if self.gate is not None:
            spread["gate.weight"] = torch.eye(len(bias))[0].view(1, -1, 1, 1)
            spread["gate.bias"] = torch.zeros(1)
        return spread


class RegionalAttention(nn.Module):
    """The paper's local importance-based attention: how telling a region is, and the first channel as a gate.

    Needs H, W >= `MIN_SIZE`. The regions are stretched over the whole frame: a tile's are others.
    """

    MIN_SIZE = 7
    """Of the window that makes a region."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.squeeze = conv(features, channels, 1)
        self.stride = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.excite = conv(channels, features)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        telling = squeezed.exp()
        importance = _pooled(telling * squeezed) / _pooled(telling)  # a mean that leans to the largest
        weight = torch.sigmoid(self.excite(self.stride(importance)))
        weight = F.interpolate(weight, size=x.shape[2:], mode="bilinear", align_corners=False)
        return x * weight * torch.sigmoid(x[:, :1])


def _pooled(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, RegionalAttention.MIN_SIZE, stride=3)


class LocalAttention(nn.Module):
    """What the smallest models have instead: one convolution says how telling a pixel is."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weigh = conv(features, features)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x[:, :1]) * torch.sigmoid(self.weigh(x))


class Block(nn.Module):
    """`depth` convolutions and, where there is one, an attention, on the first `features` channels; the others pass."""

    def __init__(self, features: int, depth: int, attention: nn.Module | None) -> None:
        super().__init__()
        self.features = features
        last = WeighedConv(features, gate=attention is not None)
        self.layers = nn.ModuleList([*(WeighedConv(features) for _ in range(depth - 1)), last])
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        out, rest = x[:, : self.features], x[:, self.features :]
        for i, layer in enumerate(self.layers):
            out = layer(F.leaky_relu(out, SLOPE) if i else out)
        if self.attention is not None:
            out = self.attention(out)
        return torch.cat([out, rest], dim=1)


class PlainUSR(Network):
    """The authors' published sizes: the default, and `l`, `m`, `s`, `t`, `u` by their names of the files.

    widths: channels of the blocks on the way down; the way up mirrors them. Three more carry the input's colours past them.
    depth: convolutions of a block. attention: `regional`, of `channels` in every block, or `local`, in the middle one only.
    """

    name = "plainusr"
    paper = Paper(
        "PlainUSR: Chasing Faster ConvNet for Efficient Super-Resolution",
        "ACCV",
        2024,
        "https://arxiv.org/abs/2409.13435",
    )
    scales = (2, 3, 4)
    min_size = RegionalAttention.MIN_SIZE
    whole_frame_statistics = True  # the attention's regions are stretched over the frame
    variants: ClassVar = {
        "l": {"widths": [80, 64, 48], "depth": 3},
        "m": {"widths": [48, 32, 16], "channels": 8},
        "s": {"widths": [32, 16, 8], "channels": 4},
        "t": {"widths": [32, 16], "attention": "local"},
        "u": {"widths": [16, 8], "attention": "local"},
    }

    def __init__(
        self,
        scale: int,
        *,
        widths: Sequence[int] = (64, 48, 32),
        depth: int = 2,
        channels: int = 16,
        attention: Attention = "regional",
    ) -> None:
        super().__init__(scale, widths=list(widths), depth=depth, channels=channels, attention=attention)
        if not widths or list(widths) != sorted(widths, reverse=True) or min(widths) < 2 or min(depth, channels) < 1:
            wrong = f"widths={list(widths)}, depth={depth}, channels={channels}"
            raise InputError(f"plainusr cannot take {wrong}; expected falling widths of 2 or more, and 1 or more")
        if attention not in ("regional", "local"):
            raise InputError(f"plainusr cannot take attention={attention!r}; expected regional or local")
        self.depth, self.attention = depth, attention
        blocks = []
        for i, width in enumerate([*widths, *reversed(widths[:-1])]):
            weighing: nn.Module | None = None
            if attention == "regional":
                weighing = RegionalAttention(width, channels)
            elif i == len(widths) - 1:
                weighing = LocalAttention(width)
            blocks.append(Block(width, depth, weighing))
        self.shallow = conv(COLOURS, widths[0] + COLOURS)
        self.body = nn.Sequential(*blocks)
        self.upsample = nn.Sequential(conv(widths[0] + COLOURS, COLOURS * scale**2), nn.PixelShuffle(scale))
        self._let_colours_pass()

    @torch.no_grad()
    def _let_colours_pass(self) -> None:
        """Starts as nearest neighbour plus what it has yet to learn."""
        for colour in range(COLOURS):
            place, step = colour - COLOURS, self.scale**2
            self.shallow.weight[place, colour, 1, 1] += 1
            self.upsample[0].weight[colour * step : (colour + 1) * step, place, 1, 1] += 1  # type: ignore[index, operator]

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        return self.upsample(self.body(self.shallow(x)))

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of the merged form, the only one that the authors published."""
        names = [
            *_PUBLISHED,
            *((f".{2 * self.depth - 1}.body.{i}.", f".attention.{part}.") for i, part in _PARTS[self.attention]),
        ]
        middle = len(self.body) // 2
        for i in range(len(self.body)):
            theirs = "m" if i == middle else i + (i < middle)  # block1, block2, blockm, block3, block4
            names.append((f"block{theirs}.body.", f"body.{i}."))
        for i in range(len(self.body)):
            names += [(f"body.{i}.{2 * j}.", f"body.{i}.layers.{j}.") for j in range(self.depth)]
        return spread_merged(self, renamed(state, names))


_PUBLISHED = [("head.", "shallow."), ("tail.", "upsample.")]
_PARTS = {"regional": ((0, "squeeze"), (2, "stride"), (3, "excite")), "local": ((0, "weigh"),)}
"""Places and our names of what an attention is made of."""
