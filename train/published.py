"""Checkpoints as the networks' authors published them: pickles of plain tensors, under the authors' names."""

import pickle
from pathlib import Path

import torch
from torch import Tensor

from edgesr.runtime.errors import CheckpointMismatch, MissingFile, UnsafeCheckpoint
from edgesr.train.checkpoint import load_weights
from edgesr.train.networks import Network, build_network

__all__ = ["load_published", "network_from_published"]

WRAPPERS = ("state_dict", "params_ema", "params", "model", "net")
"""Names under which authors keep the weights when a file holds more than them."""


def network_from_published(path: Path, name: str, scale: int) -> Network:
    """The network `name` with the weights of an authors' file, every key accounted for.

    Raises MissingFile, UnsafeCheckpoint (the file holds more than tensors), CheckpointMismatch.
    """
    network = build_network(name, scale)
    load_weights(network, network.published_keys(load_published(path)), str(path))
    return network.eval()


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
