"""GLEAN: a picture of a face is looked up in a StyleGAN2 generator, its latent bank, between an encoder and a decoder."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.base import Network, Paper
from edgesr.train.networks.blocks import conv

SLOPE = 0.2
"""Of every leaky ReLU."""
BLUR = (1.0, 3.0, 3.0, 1.0)
"""Taps behind a transposed convolution, in each direction."""
COARSEST = 4
"""Width and height that the bank begins with."""


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the outputs of all before it; a fifth of the result is added to the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        outputs = [growth] * 4 + [features]
        self.layers = nn.ModuleList(conv(features + i * growth, out) for i, out in enumerate(outputs))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers:
            seen.append(layer(torch.cat(seen, dim=1)))
            if len(seen) <= len(self.layers):
                seen[-1] = F.leaky_relu(seen[-1], SLOPE)
        return 0.2 * seen[-1] + x


class ResidualDenseGroup(nn.Module):
    """Three dense blocks in a row, a fifth of whose result is added to the input: ESRGAN's RRDB."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(features, features // 2) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return 0.2 * self.blocks(x) + x


class FeatureExtractor(nn.Module):
    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.shallow = conv(3, features)
        self.body = nn.Sequential(*(ResidualDenseGroup(features) for _ in range(groups)), conv(features, features))

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.shallow(x)
        return self.body(shallow) + shallow


class StyledConv(nn.Module):
    """StyleGAN2's convolution, (N, in, S, S) and a style (N, latent) -> (N, out, S, S), or 2S if `up`.

    The style weighs the input's channels, and every output channel is brought back to unit variance: here on x and on the
    result instead of on the kernel, which stays a constant of the graph. The noise is drawn once and kept.
    """

    def __init__(self, in_channels: int, out_channels: int, latent: int, side: int, *, up: bool = False) -> None:
        """side: width and height of the output."""
        super().__init__()
        self.style = nn.Linear(latent, in_channels)
        nn.init.normal_(self.style.weight, std=latent**-0.5)
        nn.init.ones_(self.style.bias)
        self.conv: nn.Conv2d | nn.ConvTranspose2d = conv(in_channels, out_channels, bias=False)
        if up:
            self.conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, bias=False)
        nn.init.normal_(self.conv.weight, std=(9 * in_channels) ** -0.5)
        taps = torch.tensor(BLUR) / sum(BLUR) * 2  # three of four inputs of the transposed convolution are zeros
        self.register_buffer(
            "blur", torch.outer(taps, taps).repeat(out_channels, 1, 1, 1) if up else None, persistent=False
        )
        self.blur: Tensor | None
        self.register_buffer("noise", torch.randn(1, 1, side, side))
        self.noise: Tensor
        self.noise_strength = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(out_channels, 1, 1))

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        style = self.style(latent)
        power = self.conv.weight.pow(2).sum((2, 3))  # (out, in)
        if self.blur is not None:
            power = power.T
        level = (style.pow(2) @ power.T + 1e-8).sqrt()
        out = self.conv(x * style[..., None, None]) / level[..., None, None]
        if self.blur is not None:
            out = F.conv2d(out, self.blur, padding=1, groups=out.shape[1])
        return F.leaky_relu(out + self.noise_strength * self.noise + self.bias, SLOPE) * math.sqrt(2)


class LatentBank(nn.Module):
    """The generator, without its mapping of random numbers to styles and without its own pictures, which GLEAN never sees.

    Up to the input's size, the encoder's features of each size are fused in.
    """

    def __init__(self, widths: dict[int, int], latent: int, low: int) -> None:
        """widths: channels by size, of all sizes; low: the input's."""
        super().__init__()
        sides = list(widths)
        self.start = nn.Parameter(torch.randn(1, widths[COARSEST], COARSEST, COARSEST))
        self.first = StyledConv(widths[COARSEST], widths[COARSEST], latent, COARSEST)
        self.fuse = nn.ModuleList(conv(2 * widths[side], widths[side]) for side in sides if side <= low)
        self.ups, self.convs = nn.ModuleList(), nn.ModuleList()
        for side in sides[1:]:
            self.ups.append(StyledConv(widths[side // 2], widths[side], latent, side, up=True))
            self.convs.append(StyledConv(widths[side], widths[side], latent, side))

    def forward(self, styles: Tensor, encoded: list[Tensor]) -> list[Tensor]:
        """styles: (N, count, latent); encoded: from 4x4 to the input's size. Gives the features of all larger sizes."""
        out = self.first(self.start, styles[:, 0])
        made = []
        for i, (up, layer) in enumerate(zip(self.ups, self.convs, strict=True)):
            if i < len(encoded):
                out = self.fuse[i](torch.cat([out, encoded[i]], dim=1))
            out = layer(up(out, styles[:, 2 * i + 1]), styles[:, 2 * i + 2])
            if i + 1 >= len(encoded):
                made.append(out)
        return made


class Encoder(nn.Module):
    """Features of every size from the input's down to 4x4, and from the last one the styles."""

    def __init__(self, widths: dict[int, int], latent: int, low: int, features: int, groups: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(FeatureExtractor(features, groups), conv(features, widths[low]), nn.LeakyReLU(SLOPE))
        self.downs = nn.ModuleList()
        for side in [side for side in reversed(widths) if side < low]:
            strided = nn.Conv2d(widths[2 * side], widths[side], 3, stride=2, padding=1)
            refine = conv(widths[side], widths[side])
            self.downs.append(nn.Sequential(strided, nn.LeakyReLU(SLOPE), refine, nn.LeakyReLU(SLOPE)))
        self.latent, width = latent, widths[COARSEST]
        styles = 2 * len(widths)  # the last was for the generator's own picture
        self.leave = nn.Sequential(
            conv(width, width), nn.LeakyReLU(SLOPE), nn.Flatten(), nn.Linear(COARSEST**2 * width, styles * latent)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        encoded = [self.enter(x)]
        for down in self.downs:
            encoded.append(down(encoded[-1]))
        return self.leave(encoded[-1]).unflatten(1, (-1, self.latent)), encoded[::-1]


class Decoder(nn.Module):
    """Doubles the size, seeing the bank's features of each, until it is the bank's."""

    def __init__(self, widths: dict[int, int], low: int) -> None:
        super().__init__()
        self.ups = nn.ModuleList()
        for side in [side for side in widths if low <= side < max(widths)]:
            seen = widths[side] * (1 if side == low else 2)
            self.ups.append(nn.Sequential(conv(seen, 4 * widths[2 * side]), nn.PixelShuffle(2)))
        self.tail = nn.Sequential(conv(2 * widths[max(widths)], 64), nn.LeakyReLU(SLOPE), conv(64, 3))

    def forward(self, out: Tensor, made: list[Tensor]) -> Tensor:
        for up, features in zip(self.ups, made, strict=True):
            out = torch.cat([up(out), features], dim=1)
        return self.tail(out)


class GLEAN(Network):
    """Takes frames of one size only, `side` / scale: the bank's size is `side`, 1024 for faces (64x64 at x16, 128x128 at x8).

    width: most channels of the bank. latent: of a style. features, groups: of the encoder's first part.
    The bank learns with the rest; the paper takes one that was trained on faces, and keeps it (`bank.requires_grad_(False)`).
    StyleGAN2's equalised learning rate is left out: its factors are in the initial weights.
    """

    name = "glean"
    paper = Paper(
        "GLEAN: Generative Latent Bank for Large-Factor Image Super-Resolution",
        "CVPR",
        2021,
        "https://arxiv.org/abs/2012.00739",
    )
    scales = (8, 16)
    whole_frame_statistics = True

    def __init__(
        self, scale: int, *, side: int = 1024, width: int = 512, latent: int = 512, features: int = 64, groups: int = 23
    ) -> None:
        super().__init__(scale, side=side, width=width, latent=latent, features=features, groups=groups)
        if side & (side - 1) or side < COARSEST * scale:
            raise InputError(
                f"glean x{scale} cannot take side={side}; expected a power of two, {COARSEST * scale} or more"
            )
        if min(width * 64 // side, latent, features // 2, groups) < 1:
            wrong = f"width={width}, latent={latent}, features={features}, groups={groups}"
            raise InputError(
                f"glean cannot take {wrong}; expected 1 or more of each, features 2, width {-(-side // 64)}"
            )
        self.fixed_size = low = side // scale
        self.min_size = self.size_multiple = low
        sides = [2**i for i in range(COARSEST.bit_length() - 1, side.bit_length())]
        widths = {s: min(width, 64 * width // s) for s in sides}
        self.encoder = Encoder(widths, latent, low, features, groups)
        self.bank = LatentBank(widths, latent, low)
        self.decoder = Decoder(widths, low)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, side / scale, side / scale)
        only = self.fixed_size
        if not torch.onnx.is_in_onnx_export() and x.shape[2:] != (only, only):
            height, width = x.shape[2:]
            raise InputError(f"the frame is {width}x{height}; glean x{self.scale} takes {only}x{only} only")
        styles, encoded = self.encoder(2 * x - 1)
        return self.decoder(encoded[-1], self.bank(styles, encoded)) / 2 + 0.5
