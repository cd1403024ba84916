"""Parts that several networks share."""

from collections.abc import Callable

from torch import nn
from torch.nn.utils.parametrizations import weight_norm

__all__ = ["conv", "normed_conv", "upsampler"]


def conv(in_channels: int, out_channels: int, kernel: int = 3, *, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)


def normed_conv(in_channels: int, out_channels: int, kernel: int = 3, *, bias: bool = True) -> nn.Conv2d:
    """The same under weight normalisation (Salimans and Kingma 2016); multiplied out when folded."""
    layer = conv(in_channels, out_channels, kernel, bias=bias)
    weight_norm(layer)
    return layer


def upsampler(
    features: int,
    scale: int,
    *,
    activation: type[nn.Module] | None = None,
    layer: Callable[[int, int], nn.Conv2d] = conv,
) -> nn.Sequential:
    """Convolution and pixel shuffle: twice by 2 for x4, once for x2 and x3; `features` in and out."""
    stages: list[nn.Module] = []
    for step in (2, 2) if scale == 4 else (scale,):
        stages.append(layer(features, features * step**2))
        stages += [activation()] if activation else []
        stages.append(nn.PixelShuffle(step))
    return nn.Sequential(*stages)
