"""Parts that several networks share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from edgesr.runtime.errors import InputError
from edgesr.runtime.resize import bicubic_taps

__all__ = [
    "DIV2K_MEAN",
    "Bicubic",
    "Scale",
    "check_positive",
    "conv",
    "he_initialised",
    "normed_conv",
    "normed_relu",
    "rgb_mean",
    "upsampler",
]

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean RGB of DIV2K, which many authors take from the input and give back to the output."""


def check_positive(network: str, **options: int) -> None:
    """Raise InputError that names the first option below 1."""
    for option, value in options.items():
        if value < 1:
            raise InputError(f"{network} cannot take {option}={value}; expected 1 or more")


def conv(in_channels: int, out_channels: int, kernel: int = 3, *, bias: bool = True, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias, groups=groups)


def normed_conv(in_channels: int, out_channels: int, kernel: int = 3, *, bias: bool = True) -> nn.Conv2d:
    """The same under weight normalisation (Salimans and Kingma 2016); multiplied out when folded."""
    layer = conv(in_channels, out_channels, kernel, bias=bias)
    weight_norm(layer)
    return layer


def normed_relu(channels: int) -> nn.Sequential:
    """Batch normalisation and ReLU, as they stand before a convolution of a pre-activated residual unit (He et al. 2016).

    Before most of them stands a sum, so they stay what they are when folded; the exporter multiplies those that follow a
    convolution alone into it, which gives each recursion of a shared one its own weights in the file.
    """
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


def he_initialised(module: nn.Module) -> nn.Module:
    """The same module, its convolutions initialised after He et al. (ICCV 2015), biases zero: for deep plain stacks."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def upsampler(
    features: int,
    scale: int,
    *,
    activation: type[nn.Module] | None = None,
    layer: Callable[[int, int], nn.Conv2d] = conv,
) -> nn.Sequential:
    """Convolution and pixel shuffle: by 2 as often as x2, x4 and x8 need it, once by 3 for x3; `features` in and out."""
    stages: list[nn.Module] = []
    for step in (3,) if scale == 3 else (2,) * (scale.bit_length() - 1):
        stages.append(layer(features, features * step**2))
        stages += [activation()] if activation else []
        stages.append(nn.PixelShuffle(step))
    return nn.Sequential(*stages)


def rgb_mean() -> Tensor:
    """DIV2K_MEAN, (1, 3, 1, 1)."""
    return torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1)


class Scale(nn.Module):
    """A learnt factor; a constant of the graph when folded."""

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.scale: Tensor = nn.Parameter(torch.tensor([start]))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x

    def fold(self) -> "Scale":
        scale = self.scale.detach()
        del self.scale
        self.register_buffer("scale", scale)
        return self


class Bicubic(nn.Module):
    """MATLAB's bicubic (a = -0.5, edges clamped), (N, C, H, W) -> (N, C, H*scale, W*scale); exported as one cubic Resize.

    PyTorch's own has a = -0.75.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        taps, self.radius = bicubic_taps(scale)
        both = np.einsum("ri,sj->rsij", taps, taps).reshape(scale**2, 1, *taps.shape[1:] * 2)
        self.scale = scale
        self.register_buffer("kernel", torch.from_numpy(both), persistent=False)
        self.kernel: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():
            resized: Tensor = _CubicResize.apply(x, self.scale)  # type: ignore[no-untyped-call]
            return resized
        channels = x.shape[1]
        padded = F.pad(x, 4 * [self.radius], mode="replicate")
        apart = F.conv2d(padded, self.kernel.repeat(channels, 1, 1, 1), groups=channels)
        return F.pixel_shuffle(apart, self.scale)


class _CubicResize(torch.autograd.Function):
    """Stands for `Bicubic` while a graph is traced for export; only the shape of what it computes matters there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: int) -> Tensor:
        return F.interpolate(x, scale_factor=float(scale))

    @staticmethod
    def symbolic(g: Any, x: Any, scale: int) -> Any:
        scales = g.op("Constant", value_t=torch.tensor([1.0, 1.0, scale, scale]))
        none = g.op("Constant", value_t=torch.tensor([], dtype=torch.float32))
        attributes = {"mode_s": "cubic", "cubic_coeff_a_f": -0.5, "coordinate_transformation_mode_s": "half_pixel"}
        return g.op("Resize", x, none, scales, **attributes)
