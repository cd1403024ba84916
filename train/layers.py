"""Parts of a network, found by name or by running it, and what they give."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from math import lcm
from typing import Any

import torch
from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.train.networks import Network

__all__ = ["last_layer", "named_layer", "outputs_of", "smallest_input"]


def smallest_input(network: Network, *others: Network) -> Tensor:
    """Black, (1, C, side, side), of a size that all of them take, in the network's colour and where its weights are."""
    every = (network, *others)
    multiple = lcm(*(one.size_multiple for one in every))
    side = max(one.fixed_size for one in every) or -(-max(one.min_size for one in every) // multiple) * multiple
    channels = 3 if network.colour == "rgb" else 1
    return torch.zeros(1, channels, side, side, device=next(network.parameters()).device)


def named_layer(network: Network, name: str) -> nn.Module:
    """The part called so by `network.named_modules()`; raises InputError with near names."""
    known: dict[str, nn.Module] = dict(network.named_modules())
    if not name or name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.4) or list(known)[1:10]
        raise InputError(f"{network.name} has no layer {name!r}; near are {', '.join(near)}")
    return known[name]


@contextmanager
def outputs_of(network: Network, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Within the block, what the named parts gave when they last ran: name -> (N, C, H, W)."""
    given: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_part: nn.Module, _inputs: Any, output: Any) -> None:
            given[name] = (
                output.clone() if isinstance(output, Tensor) else output
            )  # an activation may overwrite it in place

        return hook

    hooks = [named_layer(network, name).register_forward_hook(keep(name)) for name in names]
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def last_layer(network: Network) -> nn.Module:
    """The innermost part with parameters that begins last when the network runs; it need not be the one registered last."""
    begun: list[nn.Module] = []
    hooks = [
        part.register_forward_pre_hook(lambda part, _inputs: begun.append(part))
        for name, part in network.named_modules()
        if name and "parametrizations" not in name and any(True for _ in part.parameters())
    ]
    training = network.training
    try:
        network.eval()(smallest_input(network))  # evaluating, lest batch normalisation learn from it
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return begun[-1]
