"""Convolutions that train as several branches and run as one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.blocks import conv

__all__ = [
    "ExpandedConv",
    "Reparameterised",
    "ResidualExpandedConv",
    "centred",
    "identity_like",
    "kernel_and_bias",
    "spread_merged",
]


class Reparameterised(nn.Module):
    """Linear branches that together are one 3x3 convolution, (N, C, H, W) -> (N, out, H, W).

    It is that convolution which runs, in training too: its kernel is made from the branches at each step, the
    gradient reaches them through it, and the result is that of running them side by side, each padding what its
    1x1 makes with that 1x1's bias.
    """

    def merged(self) -> tuple[Tensor, Tensor]:
        """Kernel (out, in, 3, 3) and bias (out,) of the one convolution that all branches amount to."""
        raise NotImplementedError

    def spread(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """A state of the branches that amounts to this kernel and bias, and from which every branch can learn."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, *self.merged(), padding=1)

    def fold(self) -> nn.Conv2d:
        weight, bias = (value.detach().contiguous() for value in self.merged())
        plain = conv(weight.shape[1], weight.shape[0])
        plain.weight, plain.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
        return plain


def kernel_and_bias(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert layer.bias is not None
    return layer.weight, layer.bias


def centred(weight: Tensor) -> Tensor:
    """A 1x1 kernel, (out, in) or (out, in, 1, 1), as a 3x3 one."""
    return F.pad(weight.reshape(*weight.shape[:2], 1, 1), (1, 1, 1, 1))


def identity_like(kernel: Tensor) -> Tensor:
    """The 3x3 kernel, of the same shape, that changes nothing."""
    return centred(torch.eye(kernel.shape[0], device=kernel.device))


def spread_merged(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with every merged convolution that authors published spread over the branches that train.

    A kernel of another shape stays as it is, for the importer to report.
    """
    ours = dict(state)
    for name, part in network.named_modules():
        pair = (f"{name}.weight", f"{name}.bias")
        if not isinstance(part, Reparameterised) or not all(key in ours for key in pair):
            continue
        if [ours[key].shape for key in pair] == [tensor.shape for tensor in part.merged()]:
            weight, bias = (ours.pop(key) for key in pair)
            ours.update({f"{name}.{key}": value for key, value in part.spread(weight, bias).items()})
    return ours


class _Expanded(Reparameterised):
    """1x1 → 3x3 → 1x1, `expansion` times as many channels in between."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int) -> None:
        super().__init__()
        self.expand = conv(in_channels, expansion * in_channels, 1)
        self.core = conv(expansion * in_channels, expansion * out_channels)
        self.reduce = conv(expansion * out_channels, out_channels, 1)

    def chained(self, core: Tensor, core_bias: Tensor) -> tuple[Tensor, Tensor]:
        """The three as one; core: kernel of the 3x3."""
        expand, expand_bias = kernel_and_bias(self.expand)
        reduce, reduce_bias = kernel_and_bias(self.reduce)
        weight = torch.einsum("omxy,mnhw,nixy->oihw", reduce, core, expand)
        inner = core.sum((2, 3)) @ expand_bias + core_bias
        return weight, reduce.flatten(1) @ inner + reduce_bias

    def spread(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """Signs alternate in `reduce`, so that an identity in place of the 3x3 would vanish between the two 1x1."""
        out_channels, in_channels = weight.shape[:2]
        times = self.core.in_channels // in_channels
        core = weight.new_zeros(self.core.weight.shape)
        core[:out_channels, :in_channels] = weight
        signs = [1.0 - 2.0 * (i % 2) for i in range(times)]
        return {
            "expand.weight": torch.eye(in_channels).repeat(times, 1)[..., None, None],
            "expand.bias": weight.new_zeros(times * in_channels),
            "core.weight": core,
            "core.bias": weight.new_zeros(times * out_channels),
            "reduce.weight": torch.cat([sign * torch.eye(out_channels) for sign in signs], dim=1)[..., None, None],
            "reduce.bias": bias,
        }


class ExpandedConv(_Expanded):
    """1x1 → 3x3 → 1x1, and a 1x1 beside them."""

    def __init__(self, in_channels: int, out_channels: int, *, expansion: int = 2) -> None:
        super().__init__(in_channels, out_channels, expansion)
        self.skip = conv(in_channels, out_channels, 1)

    def merged(self) -> tuple[Tensor, Tensor]:
        weight, bias = self.chained(*kernel_and_bias(self.core))
        skip, skip_bias = kernel_and_bias(self.skip)
        return weight + centred(skip), bias + skip_bias

    def spread(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        nothing = {"skip.weight": torch.zeros(*weight.shape[:2], 1, 1), "skip.bias": torch.zeros_like(bias)}
        return super().spread(weight, bias) | nothing


class ResidualExpandedConv(_Expanded):
    """1x1 → 3x3 → 1x1, the input added to the 3x3's output and to the last one's. expansion: even."""

    def __init__(self, features: int, *, expansion: int = 2) -> None:
        super().__init__(features, features, expansion)

    def learnt_core(self) -> tuple[Tensor, Tensor]:
        """Kernel and bias of the 3x3, without what is added to its output."""
        return kernel_and_bias(self.core)

    def merged(self) -> tuple[Tensor, Tensor]:
        core, core_bias = self.learnt_core()
        weight, bias = self.chained(core + identity_like(core), core_bias)
        return weight + identity_like(weight), bias

    def spread(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        return super().spread(weight - identity_like(weight), bias)
