"""`make networks`: benchmarks/networks.json, what each network asks of a board, so that `edgesr-bench plan` needs no PyTorch."""

import json
import weakref
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgesr.train.networks import NETWORKS, Network, build_network, folded

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "networks.json"
WIDTH, HEIGHT = 320, 180
SCALES = (2, 3, 4)


class Alive(TorchDispatchMode):
    """Counts the elements of tensors that are alive, and the most that ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor._base is None and all(tensor is not given for given in args):
                self._count(tensor.numel())
                weakref.finalize(tensor, self._count, -tensor.numel())
        return made

    def _count(self, elements: int) -> None:
        self.now += elements
        self.most = max(self.most, self.now)


@torch.no_grad()
def entry(name: str, network: Network) -> dict[str, Any]:
    """One network at one scale, folded as it is deployed, on the meta device: shapes only, no arithmetic."""
    layers: Counter[tuple[float, float, int]] = Counter()
    width, height = (network.fixed_size or side for side in (WIDTH, HEIGHT))
    width, height = (side - side % network.size_multiple for side in (width, height))
    pixels = width * height

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weights: int = module.weight.numel()  # type: ignore[operator, assignment]
        places = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        uses = places.shape[-2] * places.shape[-1] if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) else 1
        elements = inputs[0].numel() + output.numel()
        layers[round(weights * uses / pixels, 3), round(elements / pixels, 3), weights] += 1

    shadow = deepcopy(folded(network)).to("meta")
    for module in shadow.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.register_forward_hook(count)
    frame = torch.empty(1, 3 if network.colour == "rgb" else 1, height, width, device="meta")
    with Alive() as alive:
        shadow(frame)
    rows = [[number, *row] for row, number in layers.items()]
    return {"name": name, "scale": network.scale, "peak_elements": round(alive.most / pixels, 1), "layers": rows}


def table() -> str:
    """The whole file; one line for each network and scale."""
    entries = []
    for name, kind in NETWORKS.items():
        titles = [name, *(f"{name}:{variant}" for variant in kind.variants)]
        entries += [entry(title, build_network(title, s)) for title in titles for s in SCALES if s in kind.scales]
    return as_text(without_twins(entries))


def without_twins(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A variant that is the default by another name is left out."""
    layers = {(each["name"], each["scale"]): each["layers"] for each in entries}
    return [
        e for e in entries if ":" not in e["name"] or layers[e["name"].partition(":")[0], e["scale"]] != e["layers"]
    ]


def as_text(entries: Sequence[dict[str, Any]]) -> str:
    lines = ",\n".join(f"  {json.dumps(each)}" for each in entries)
    about = "made by make networks; layers: count, multiply-adds and elements for a pixel of the input, weights"
    return f'{{\n "about": "{about}",\n "networks": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    TABLE.write_text(table())
    print(f"wrote {TABLE}")
