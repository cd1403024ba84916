"""The table of networks. Adding one: its file, one line here, one recipe."""

from typing import Any

import torch

from edgesr.runtime.errors import InputError
from edgesr.train.networks.base import Network, Paper, folded
from edgesr.train.networks.carn import CARN
from edgesr.train.networks.ecbsr import ECBSR
from edgesr.train.networks.rdn import RDN
from edgesr.train.networks.rdsrn import RDSRN

__all__ = ["NETWORKS", "Network", "Paper", "build_network", "folded", "seeded_network"]

NETWORKS: dict[str, type[Network]] = {
    "rdsrn": RDSRN,
    "rdn": RDN,
    "carn": CARN,
    "ecbsr": ECBSR,
}


def build_network(name: str, scale: int, options: dict[str, Any] | None = None) -> Network:
    """A fresh network, randomly initialised; raises InputError for a name, scale or option it does not know."""
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r}; known are {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](scale, **(options or {}))
    except TypeError as error:
        raise InputError(f"{name} does not take these options: {error}") from error


def seeded_network(name: str, scale: int, options: dict[str, Any] | None = None, seed: int = 0) -> Network:
    """The same random weights for the same arguments, whatever was drawn before; in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(name, scale, options).eval()
