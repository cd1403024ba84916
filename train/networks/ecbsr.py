"""ECBSR: plain 3x3 convolutions in use, several branches in training."""

from typing import Literal

import torch
from torch import Tensor, nn

from edgesr.train.networks.base import Network, Paper
from edgesr.train.networks.blocks import conv
from edgesr.train.networks.reparameterised import Reparameterised, identity_like

Activation = Literal["relu", "prelu"]


class EdgeOrientedConv(Reparameterised):
    """3x3, 1x1 → 3x3, 1x1 → Sobel x, 1x1 → Sobel y, 1x1 → Laplacian, all summed; at a fifth of the time of running each."""

    def __init__(self, in_channels: int, out_channels: int, *, expansion: int = 2) -> None:
        super().__init__()
        self.plain = conv(in_channels, out_channels)
        self.expand = conv(in_channels, expansion * out_channels, 1)
        self.squeeze = conv(expansion * out_channels, out_channels)
        self.edges = nn.ModuleList(conv(in_channels, out_channels, 1) for _ in range(3))
        for edge in self.edges:
            edge.bias.requires_grad_(False)  # vanishes behind the mask; DDP refuses parameters without a gradient
        self.edge_scale = nn.Parameter(torch.randn(3, out_channels) * 1e-3)
        self.edge_bias = nn.Parameter(torch.randn(3, out_channels) * 1e-3)
        sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
        laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
        self.register_buffer("masks", torch.stack([sobel, sobel.T, laplacian]), persistent=False)
        self.masks: Tensor

    def merged(self) -> tuple[Tensor, Tensor]:
        """Kernel (out, in, 3, 3) and bias (out,) of the one convolution that all branches amount to."""
        squeeze, expand = self.squeeze.weight, self.expand.weight[:, :, 0, 0]
        weight = self.plain.weight + torch.einsum("omhw,mi->oihw", squeeze, expand)
        bias = self.plain.bias + self.squeeze.bias + squeeze.sum((2, 3)) @ self.expand.bias  # type: ignore[operator]
        mixed = torch.stack([p for p in self.edges.parameters() if p.ndim == 4])[..., 0, 0]  # (3, out, in)
        weight = weight + torch.einsum("eo,eoi,ehw->oihw", self.edge_scale, mixed, self.masks)
        # The masks sum to zero, so the 1x1 convolutions' own biases vanish behind them.
        return weight, bias + self.edge_bias.sum(0)

    def spread(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        inner, in_channels = self.expand.out_channels, weight.shape[1]
        mixing = torch.eye(max(inner, in_channels))[..., None, None]
        edges = {f"edges.{i}.weight": mixing[: len(bias), :in_channels] for i in range(len(self.edges))}
        edges |= {f"edges.{i}.bias": torch.zeros_like(bias) for i in range(len(self.edges))}
        return edges | {
            "plain.weight": weight,
            "plain.bias": bias,
            "expand.weight": mixing[:inner, :in_channels],
            "expand.bias": torch.zeros(inner),
            "squeeze.weight": torch.zeros(self.squeeze.weight.shape),
            "squeeze.bias": torch.zeros_like(bias),
            "edge_scale": torch.zeros(self.edge_scale.shape),
            "edge_bias": torch.zeros(self.edge_bias.shape),
        }


class ECBSR(Network):
    """`blocks` edge-oriented convolutions between a head and a tail; the input, repeated, is added to the result.

    The paper's ECBSR-M4C16 is blocks=4, width=16, activation="prelu". ONNX Runtime fuses ReLU into a
    convolution but not PReLU, which costs as much as the convolution itself: hence "relu" unless asked.
    """

    name = "ecbsr"
    paper = Paper(
        "Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices",
        "ACM Multimedia",
        2021,
        "https://doi.org/10.1145/3474085.3475291",
    )
    scales = (2, 3, 4)
    colour = "luma"

    def __init__(self, scale: int, *, blocks: int = 6, width: int = 16, activation: Activation = "relu") -> None:
        super().__init__(scale, blocks=blocks, width=width, activation=activation)
        layers: list[nn.Module] = []
        for in_channels in [1] + [width] * blocks:
            layers.append(EdgeOrientedConv(in_channels, width))
            layers.append(nn.ReLU(inplace=True) if activation == "relu" else nn.PReLU(width))
        self.body = nn.Sequential(*layers, EdgeOrientedConv(width, scale**2))
        self.shuffle = nn.PixelShuffle(scale)

    def adopted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of fewer blocks: identities, which ReLU leaves alone, are put before the tail, so that the function stays the same."""
        theirs = max(int(key.split(".")[1]) for key in state)
        ours, tail = len(self.body) - 1, f"body.{theirs}."
        if theirs >= ours or not all(isinstance(self.body[i + 1], nn.ReLU) for i in range(theirs, ours, 2)):
            return state
        begun = {key: tensor for key, tensor in state.items() if not key.startswith(tail)}
        begun |= {key.replace(tail, f"body.{ours}."): tensor for key, tensor in state.items() if key.startswith(tail)}
        for i in range(theirs, ours, 2):
            block = self.body[i]
            assert isinstance(block, EdgeOrientedConv)
            weight, bias = block.merged()
            same = block.spread(identity_like(weight.detach()), torch.zeros_like(bias))
            begun |= {f"body.{i}.{key}": tensor for key, tensor in same.items()}
        return begun

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, H, W)
        return self.shuffle(self.body(x) + x)  # x is broadcast over the scale² sub-pixels: nearest neighbour
