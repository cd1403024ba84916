"""Attention that several networks share: what a frame, or a wide neighbourhood, says about each channel and pixel."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.blocks import conv

__all__ = ["ChannelAttention", "ContrastChannelAttention", "SpatialAttention"]


class ChannelAttention(nn.Module):
    """Weighs channels by their mean over the whole frame (Zhang et al., RCAN, ECCV 2018)."""

    def __init__(self, features: int, reduction: int = 16, *, layer: Callable[..., nn.Conv2d] = conv) -> None:
        super().__init__()
        self.squeeze = layer(features, features // reduction, 1)
        self.excite = layer(features // reduction, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(self.statistic(x)))))

    def statistic(self, x: Tensor) -> Tensor:
        """One value for each channel, (N, C, 1, 1)."""
        return x.mean((2, 3), keepdim=True)


class ContrastChannelAttention(ChannelAttention):
    """Weighs channels by mean + standard deviation over the whole frame (Hui et al., IMDN, ACM MM 2019).

    Squares are taken of sixteenths, which changes no digit, and means before anything is multiplied again: in FP16 values may
    then lie 4,000 from their mean, instead of 255, before a square is infinite.
    """

    def statistic(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        sixteenths = (x - mean) / 16
        deviation = sixteenths.pow(2).mean((2, 3), keepdim=True).sqrt() * 16
        return deviation + mean


class SpatialAttention(nn.Module):
    """Enhanced spatial attention (Liu et al., Residual Feature Aggregation Network, CVPR 2020), on (N, C, H, W).

    A few channels are looked at coarsely, by a stride of 2 and the maximum of 7x7 every 3, which covers a wide
    neighbourhood; brought back to H, W and added to the same channels at full size, they weigh every value of x.
    coarse: convolutions at the coarse size, made by `layer`, `activation` between them; RFDN has 3, RLFN 1.
    stride: the convolution with a stride of 2 and no margin; None: an ordinary one.
    Needs H, W >= `MIN_SIZE`. The way back stretches over the whole frame: a tile's is another.
    """

    MIN_SIZE = 15
    """What the stride leaves of fewer pixels is smaller than the 7x7 window."""

    def __init__(
        self,
        features: int,
        channels: int,
        *,
        coarse: int = 3,
        layer: Callable[[int, int], nn.Module] = conv,
        stride: nn.Module | None = None,
        activation: Callable[[Tensor], Tensor] = F.relu,
    ) -> None:
        super().__init__()
        self.squeeze = conv(features, channels, 1)
        self.skip = conv(channels, channels, 1)
        self.stride = stride or nn.Conv2d(channels, channels, 3, stride=2)
        self.coarse = nn.ModuleList(layer(channels, channels) for _ in range(coarse))
        self.activation = activation
        self.excite = conv(channels, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        wide = F.max_pool2d(self.stride(squeezed), kernel_size=7, stride=3)
        for number, layer in enumerate(self.coarse):
            wide = layer(self.activation(wide) if number else wide)
        wide = F.interpolate(wide, size=x.shape[2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.excite(wide + self.skip(squeezed)))
