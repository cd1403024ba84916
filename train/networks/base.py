"""What every network is: a module with a paper, a colour, its scales, and a spec counted by code."""

from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgesr.runtime.errors import InputError
from edgesr.runtime.spec import Colour, ModelSpec

__all__ = ["Claim", "Network", "Paper", "folded"]

BICUBIC_REACH = 2
"""Input pixels that a luma network's chroma looks to each side."""


@runtime_checkable
class Foldable(Protocol):
    """A part that trains in another form than it deploys."""

    def fold(self) -> nn.Module:
        """The deployed form; computes the same."""


@dataclass(frozen=True)
class Paper:
    title: str
    venue: str
    year: int
    link: str


@dataclass(frozen=True)
class Claim:
    """What a source says that a network costs, for an output of 1280x720.

    parameters, multiply_adds: in full; None where it does not say. variant: one of `Network.variants`; empty: the default.
    why: the reason, where our count differs by more than 2 %. psnr_db: on Set5, Y.
    """

    scale: int
    parameters: float | None
    multiply_adds: float | None
    source: str = "the paper"
    variant: str = ""
    why: str = ""
    psnr_db: float | None = None


class Network(nn.Module):
    """A super-resolution network: float (N, C, H, W) in 0–1 -> float (N, C, H*scale, W*scale), nominally 0–1.

    C is 3 (RGB) for colour = "rgb" and 1 (Y of BT.601, 16/255–235/255) for "luma".
    A subclass takes `scale` and keyword-only options, hands all of them to `super().__init__`, and is otherwise
    an ordinary module. Parts that train in another form than they deploy offer `fold()` (see `folded`).

    size_multiple, min_size, fixed_size (0: any), whole_frame_statistics: of the class, or of an instance whose options change them.
    multi_scale: one set of weights serves every scale; `serves` says for which of them it was trained.
    variants: the paper's other sizes, name -> options; `fsrcnn:s` is FSRCNN with the options of variant `s`.
    claims: what paper and sources say that it costs.
    """

    name: ClassVar[str]
    paper: ClassVar[Paper]
    scales: ClassVar[tuple[int, ...]]
    colour: ClassVar[Colour] = "rgb"
    size_multiple: int = 1
    min_size: int = 1
    fixed_size: int = 0
    whole_frame_statistics: bool = False
    multi_scale: ClassVar[bool] = False
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    claims: ClassVar[tuple[Claim, ...]] = ()

    def __init__(self, scale: int, **options: Any) -> None:
        super().__init__()
        if scale not in self.scales:
            known = ", ".join(f"x{s}" for s in self.scales)
            raise InputError(f"{self.name} has no x{scale}; its scales are {known}")
        self.scale = scale
        self.options = options
        self.serves: tuple[int, ...] = (scale,)

    def at_scale(self, scale: int) -> "Network":
        """This network at another scale, on the device where it is: the parameters are shared, not copied.

        Raises InputError where the weights do not serve it.
        """
        if scale == self.scale:
            return self
        if scale == 1:
            raise InputError(
                f"{self.name} enlarges itself, and the low resolution was enlarged beforehand; prepare it without --same-size"
            )
        if not self.multi_scale or scale not in self.scales:
            known = ", ".join(f"x{s}" for s in self.scales) if self.multi_scale else f"x{self.scale} alone"
            raise InputError(f"{self.name}'s weights serve {known}; x{scale} was asked for")
        return self._sharing(scale)

    def _sharing(self, scale: int) -> "Network":
        other = copy(self)
        other._modules = dict(self._modules)
        other.scale = scale
        return other

    def predictions(self, x: Tensor) -> list[Tensor]:
        """The output, and what the network reconstructs on the way to it, (N, C, h, w) of the output's size or a whole part
        of it: what deep supervision looks at. Here: the output alone."""
        return [self(x)]

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The authors' state dict under our names; the importer calls it. Here: nothing to rename.

        Raises CheckpointMismatch where the file says something this network cannot hold.
        """
        return state

    def adopted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Our own weights of another size or scale, as this network may begin from them. Here: as they are."""
        return state

    def spec(self, *, trained: bool = True) -> ModelSpec:
        """Parameters, multiply-adds and receptive field of the deployed form, all counted."""
        from edgesr.train.networks.counting import multiply_adds_per_pixel, parameters

        deployed = folded(self)
        return ModelSpec(
            name=self.name,
            scale=self.scale,
            colour=self.colour,
            parameters=parameters(deployed),
            multiply_adds_per_pixel=multiply_adds_per_pixel(deployed, self),
            receptive_field=None if self.whole_frame_statistics else self._reach(deployed),
            size_multiple=self.size_multiple,
            min_size=self.min_size,
            fixed_size=self.fixed_size,
            trained=trained,
            scales=self.serves,
        )

    def _reach(self, deployed: nn.Module) -> int:
        from edgesr.train.networks.counting import receptive_field

        reach = receptive_field(deployed, self)
        return max(reach, BICUBIC_REACH) if self.colour == "luma" else reach


def folded(network: nn.Module) -> nn.Module:
    """A copy in its deployed form, for inference: weight normalisation multiplied out, and every part that
    has a `fold()` method replaced by the plain module which that returns. Computes the same function."""
    copy = _fold_parts(deepcopy(network).eval())
    return copy.requires_grad_(False)


@torch.no_grad()
def _fold_parts(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if parametrize.is_parametrized(child):
            assert isinstance(child, nn.Conv2d)
            setattr(module, name, _plain_conv(child))
        else:
            _fold_parts(child)
            setattr(module, name, child.fold() if isinstance(child, Foldable) else child)
    return module


def _plain_conv(layer: nn.Conv2d) -> nn.Conv2d:
    """A new module, since `remove_parametrizations` on a copy also strips the class that original and copy share."""
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        bias=layer.bias is not None,
        device=layer.weight.device,
    )
    plain.weight.copy_(layer.weight)
    if layer.bias is not None and plain.bias is not None:
        plain.bias.copy_(layer.bias)
    return plain
