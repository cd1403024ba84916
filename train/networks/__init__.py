"""The table of networks. Adding one: its file, one line here, one recipe."""

from collections.abc import Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any

import torch

from edgesr.runtime.errors import InputError
from edgesr.train.networks.awsrn import AWSRN
from edgesr.train.networks.base import Claim, Network, Paper, folded
from edgesr.train.networks.bsrn import BSRN
from edgesr.train.networks.carn import CARN, CARNM
from edgesr.train.networks.cbpn import CBPN
from edgesr.train.networks.drcn import DRCN
from edgesr.train.networks.drrn import DRRN
from edgesr.train.networks.ecbsr import ECBSR
from edgesr.train.networks.edsr import EDSR
from edgesr.train.networks.efdn import EFDN
from edgesr.train.networks.espcn import ESPCN
from edgesr.train.networks.fmen import FMEN
from edgesr.train.networks.fsrcnn import FSRCNN
from edgesr.train.networks.glean import GLEAN
from edgesr.train.networks.imdn import IMDN
from edgesr.train.networks.lapsrn import LapSRN
from edgesr.train.networks.lesrcnn import LESRCNN
from edgesr.train.networks.memnet import MemNet
from edgesr.train.networks.pan import PAN
from edgesr.train.networks.plainusr import PlainUSR
from edgesr.train.networks.rcan import RCAN
from edgesr.train.networks.rdcab import RDCAB
from edgesr.train.networks.rdn import RDN
from edgesr.train.networks.rdsrn import RDSRN
from edgesr.train.networks.rfdn import RFDN
from edgesr.train.networks.rlfn import RLFN, RLFNS
from edgesr.train.networks.safmn import SAFMN
from edgesr.train.networks.span import SPAN
from edgesr.train.networks.srcnn import SRCNN
from edgesr.train.networks.vdsr import VDSR
from edgesr.train.networks.wdsr import WDSR

__all__ = [
    "NETWORKS",
    "Claim",
    "Network",
    "Paper",
    "build_network",
    "folded",
    "network_class",
    "seeded_network",
]

NETWORKS: dict[str, type[Network]] = {
    "rdsrn": RDSRN,
    "rdn": RDN,
    "carn": CARN,
    "carn_m": CARNM,
    "imdn": IMDN,
    "rfdn": RFDN,
    "lesrcnn": LESRCNN,
    "awsrn": AWSRN,
    "wdsr": WDSR,
    "cbpn": CBPN,
    "rdcab": RDCAB,
    "ecbsr": ECBSR,
    "srcnn": SRCNN,
    "fsrcnn": FSRCNN,
    "espcn": ESPCN,
    "vdsr": VDSR,
    "drcn": DRCN,
    "drrn": DRRN,
    "memnet": MemNet,
    "lapsrn": LapSRN,
    "edsr": EDSR,
    "rcan": RCAN,
    "rlfn": RLFN,
    "rlfn_s": RLFNS,
    "pan": PAN,
    "fmen": FMEN,
    "efdn": EFDN,
    "span": SPAN,
    "safmn": SAFMN,
    "bsrn": BSRN,
    "plainusr": PlainUSR,
    "glean": GLEAN,
}


def network_class(name: str) -> type[Network]:
    """The class of `carn`, or of `fsrcnn:s`, a variant. Raises InputError for a name that is not in the table."""
    plain, colon, variant = name.partition(":")
    if plain not in NETWORKS:
        near = get_close_matches(plain, NETWORKS, n=3, cutoff=0.5)
        meant = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(NETWORKS)}"
        raise InputError(f"there is no network {plain!r}; {meant}")
    kind = NETWORKS[plain]
    if colon and variant not in kind.variants:
        known = ", ".join(f"{plain}:{other}" for other in kind.variants)
        raise InputError(f"{plain} has no variant {variant!r}; {f'known are {known}' if known else 'it has none'}")
    return kind


def build_network(name: str, scale: int, options: Mapping[str, Any] | None = None) -> Network:
    """A fresh network, randomly initialised; raises InputError for a name, scale or option it does not know.

    name: such as `carn`, or `fsrcnn:s` for a variant, whose options `options` may override.
    """
    make = network_class(name)
    chosen = {**make.variants.get(name.partition(":")[2], {}), **(options or {})}
    known = list(signature(make).parameters)
    if unknown := sorted(set(chosen) - set(known)):
        raise InputError(f"{make.name} has no option {', '.join(unknown)}; it has {', '.join(known[1:])}")
    return make(scale, **chosen)


def seeded_network(name: str, scale: int, options: Mapping[str, Any] | None = None, seed: int = 0) -> Network:
    """The same random weights for the same arguments, whatever was drawn before; in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(name, scale, options).eval()
