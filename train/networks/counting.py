"""Parameters, multiply-adds and receptive field of a network, counted by running it, never typed in."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["multiply_adds_per_pixel", "parameters", "receptive_field"]


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def multiply_adds_per_pixel(deployed: nn.Module, network: Any) -> float:
    """Multiply-adds of all convolutions and linear layers for a 1280x720 output (or the network's one size), over the input's pixels.

    Runs on the meta device: shapes only, no arithmetic.
    """
    side = network.fixed_size
    height, width = (side, side) if side else (720 // network.scale, 1280 // network.scale)
    total = 0

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            weight_uses = _inputs[0].shape[-2] * _inputs[0].shape[-1]
        elif isinstance(module, nn.Conv2d):
            weight_uses = output.shape[-2] * output.shape[-1]
        else:
            weight_uses = 1
        total += module.weight.numel() * weight_uses  # type: ignore[operator]

    shadow = deepcopy(deployed).to("meta")
    for module in shadow.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.register_forward_hook(count)
    channels = 3 if network.colour == "rgb" else 1
    shadow(torch.empty(1, channels, height, width, device="meta"))
    return float(total / (height * width))


@torch.no_grad()
def receptive_field(deployed: nn.Module, network: Any) -> int:
    """How many input pixels to each side an output pixel looks: found by watching where a NaN spreads.

    A strip one pixel high is enough, and keeps this cheap for the deepest networks.
    """
    channels = 3 if network.colour == "rgb" else 1
    height = max(network.min_size, network.size_multiple)
    reaches = (max(m.kernel_size) // 2 for m in deployed.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)))
    width = 2 * (sum(reaches) + 4)  # enough in one go, unless a part is applied several times
    while True:
        strip = torch.zeros(1, channels, height, width)
        strip[..., width // 2] = float("nan")
        touched = deployed(strip).isnan().flatten(0, 2).any(0).nonzero()[:, 0] // network.scale
        reach = int((touched - width // 2).abs().max())
        if reach < width // 2 - 1:
            return reach
        width *= 2
