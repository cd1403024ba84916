"""The table of networks. Adding one: its file, one line here, one recipe."""

from inspect import signature
from typing import Any

import torch

from edgesr.runtime.errors import InputError
from edgesr.train.networks.base import Network, Paper, folded
from edgesr.train.networks.carn import CARN
from edgesr.train.networks.ecbsr import ECBSR
from edgesr.train.networks.rdn import RDN
from edgesr.train.networks.rdsrn import RDSRN

__all__ = ["NETWORKS", "Network", "Paper", "build_network", "folded", "network_class", "seeded_network"]

NETWORKS: dict[str, type[Network]] = {
    "rdsrn": RDSRN,
    "rdn": RDN,
    "carn": CARN,
    "ecbsr": ECBSR,
}


def network_class(name: str) -> type[Network]:
    """Raises InputError for a name that is not in the table."""
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r}; known are {', '.join(NETWORKS)}")
    return NETWORKS[name]


def build_network(name: str, scale: int, options: dict[str, Any] | None = None) -> Network:
    """A fresh network, randomly initialised; raises InputError for a name, scale or option it does not know."""
    make = network_class(name)
    if unknown := sorted(set(options or {}) - set(signature(make).parameters)):
        raise InputError(
            f"{name} has no option {', '.join(unknown)}; it has {', '.join(list(signature(make).parameters)[1:])}"
        )
    return make(scale, **(options or {}))


def seeded_network(name: str, scale: int, options: dict[str, Any] | None = None, seed: int = 0) -> Network:
    """The same random weights for the same arguments, whatever was drawn before; in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(name, scale, options).eval()
