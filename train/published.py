"""Checkpoints as the networks' authors published them: pickles of plain tensors, under the authors' names."""

import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from edgesr.runtime.errors import CheckpointMismatch, EdgeSRError, InputError, MissingFile, UnsafeCheckpoint
from edgesr.train.checkpoint import load_weights
from edgesr.train.networks import NETWORKS, Network, build_network

__all__ = ["load_published", "network_from_published"]

WRAPPERS = ("state_dict", "params_ema", "params", "model", "net")
"""Names under which authors keep the weights when a file holds more than them."""


def network_from_published(path: Path, name: str, *scales: int) -> Network:
    """The network `name` with the weights of an authors' file, every key accounted for.

    scales: that the weights serve, the first of them the network's own; several only for one model of several scales.
    Raises MissingFile, UnsafeCheckpoint (the file holds more than tensors), InputError, CheckpointMismatch: it says which
    network of the table the file fits, where there is one.
    """
    network = build_network(name, scales[0])
    if len(scales) > 1 and not network.multi_scale:
        raise InputError(f"{name} has weights of its own for every scale; expected one scale, not {len(scales)}")
    for scale in scales[1:]:
        build_network(name, scale)  # says which scales there are
    network.serves = scales
    state = load_published(path)
    try:
        load_weights(network, network.published_keys(state), str(path))
    except CheckpointMismatch as error:
        fits = [other for other in _fitting(state) if other != f"{name} x{scales[0]}"]
        raise CheckpointMismatch(f"{error}{f'; it looks like {fits[0]}' if fits else ''}") from error
    return network.eval()


def _fitting(state: dict[str, Tensor]) -> Iterator[str]:
    """Networks of the table, in every variant and scale, that take these weights whole: `imdn x4`."""
    for name, kind in NETWORKS.items():
        for title in (name, *(f"{name}:{variant}" for variant in kind.variants)):
            for scale in reversed(kind.scales):
                with torch.device("meta"):
                    network = build_network(title, scale)
                wanted = {key: tensor.shape for key, tensor in network.state_dict().items()}
                with suppress(EdgeSRError, KeyError, RuntimeError):  # names of another network, read as this one's
                    if {key: tensor.shape for key, tensor in network.published_keys(state).items()} == wanted:
                        yield f"{title} x{scale}"


def load_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth file by name, weight normalisation under its modern names. No code in it is run."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected a .pth file of tensors")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UnsafeCheckpoint(
            f"{path} is damaged or holds more than plain tensors, and is not opened ({reason}); "
            "ask for a file saved with torch.save(model.state_dict())"
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointMismatch(f"{path} holds no dictionary of tensors; expected the weights of one network")
    return {_modern_name(key): value for key, value in state.items()}


def _modern_name(key: str) -> str:
    key = key.removeprefix("module.")
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        if key.endswith(f".{old}"):
            key = f"{key.removesuffix(old)}parametrizations.weight.{new}"
    return key
