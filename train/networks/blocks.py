"""Parts that several networks share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from edgesr.runtime.resize import bicubic_taps

__all__ = ["Bicubic", "conv", "normed_conv", "upsampler"]


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
