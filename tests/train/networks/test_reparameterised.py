"""Parts that train as branches: they run as what they merge to, and a published merged kernel spreads over them again."""

import pytest

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from torch.nn import functional as F

from edgesr.train.networks import build_network, folded
from edgesr.train.networks.ecbsr import EdgeOrientedConv
from edgesr.train.networks.efdn import EdgeEnhancedConv
from edgesr.train.networks.fmen import NormedConv
from edgesr.train.networks.plainusr import WeighedConv
from edgesr.train.networks.reparameterised import ExpandedConv, Reparameterised, ResidualExpandedConv, spread_merged

PARTS = {
    "expanded": lambda: ExpandedConv(3, 5),
    "narrowing": lambda: ExpandedConv(6, 2),
    "residual": lambda: ResidualExpandedConv(4),
    "weighed": lambda: WeighedConv(4),
    "gated": lambda: WeighedConv(4, gate=True),
    "normed": lambda: NormedConv(3, 5, after=True),
    "edges": lambda: EdgeOrientedConv(5, 3),
    "edges and input": lambda: EdgeEnhancedConv(4),
}


@pytest.mark.parametrize("name", PARTS)
def test_merged_kernel_spreads_over_branches_and_comes_back(name: str) -> None:
    part = PARTS[name]().eval()
    weight, bias = (torch.randn_like(tensor) for tensor in part.merged())
    part.load_state_dict(part.spread(weight, bias))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(part.merged(), (weight, bias), strict=True))
    plain, x = part.fold(), torch.randn(1, weight.shape[1], 6, 7)
    assert torch.allclose(plain(x), F.conv2d(x, weight, bias, padding=1), atol=1e-5)


@pytest.mark.parametrize("name", [name for name in PARTS if not name.startswith("edges")])
def test_every_branch_can_learn_from_a_spread_kernel(name: str) -> None:
    part = PARTS[name]()
    part.load_state_dict(part.spread(*(torch.randn_like(tensor) for tensor in part.merged())))
    shape = part.merged()[0].shape
    (part(torch.randn(2, shape[1], 8, 8)) * torch.randn(2, shape[0], 8, 8)).sum().backward()
    still = {key for key, p in part.named_parameters() if p.grad is None or not p.grad.any()}
    assert still <= {"squeeze.weight", "excite.weight"}  # of the weighing: behind a seed of zeros, which itself moves


def padded(x: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
    margin = margin.view(1, -1, 1, 1)
    return F.pad(x - margin, (1, 1, 1, 1)) + margin


def test_branches_run_side_by_side_give_the_same() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 7, 8)
    for part in (ExpandedConv(4, 4), ResidualExpandedConv(4)):
        wide = part.expand(x)
        inner = F.conv2d(padded(wide, part.expand.bias), part.core.weight, part.core.bias)
        if isinstance(part, ExpandedConv):
            branches = part.reduce(inner) + part.skip(x)
        else:
            branches = part.reduce(inner + wide) + x
        assert torch.allclose(part(x), branches, atol=1e-5)


def test_norms_in_use_are_those_of_training_with_the_frames_own_statistics() -> None:
    torch.manual_seed(0)
    part, x = NormedConv(3, 4, after=True), torch.randn(2, 3, 9, 9) * 3 + 1
    torch.nn.init.normal_(part.before.bias)
    part.before.momentum = part.after.momentum = 1.0
    trained = part(x)
    for norm in (part.before, part.after):
        norm.running_var *= 161 / 162  # of 2x9x9 values, the running variance is the unbiased one
    assert torch.allclose(part.eval()(x), trained, atol=0.02)  # the margin was made with the unbiased one


def test_kernel_of_another_shape_is_left_for_the_importer_to_report() -> None:
    network = build_network("span", 4, {"features": 8})
    state = {"smooth.weight": torch.zeros(9, 9, 3, 3), "smooth.bias": torch.zeros(9)}
    assert spread_merged(network, state) == state


def test_nothing_but_plain_convolutions_is_deployed() -> None:
    for name in ("span", "fmen", "efdn", "plainusr"):
        deployed = folded(build_network(name, 2))
        assert not any(isinstance(part, Reparameterised) for part in deployed.modules())
