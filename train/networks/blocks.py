"""Parts that several networks share."""

from torch import nn
from torch.nn.utils.parametrizations import weight_norm

__all__ = ["ACTIVATIONS", "conv", "normed_conv"]

ACTIVATIONS = ("relu", "prelu")


def conv(in_channels: int, out_channels: int, kernel: int = 3, *, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, groups=groups)


def normed_conv(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Conv2d:
    """The same under weight normalisation (Salimans and Kingma 2016); multiplied out when folded."""
    return weight_norm(conv(in_channels, out_channels, kernel))
