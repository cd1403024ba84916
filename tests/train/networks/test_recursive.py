"""DRCN, DRRN and MemNet recur on shared weights; LapSRN shows its levels."""

import pytest

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from edgesr.runtime.errors import InputError
from edgesr.train.networks import build_network, seeded_network


@pytest.mark.parametrize(
    ("name", "recursions", "each"),
    [
        ("drcn", "recursions", 1),  # its weight in the mean
        ("drrn", "units", 2 * 2 * 128),  # batch normalisation, twice
        ("memnet", "recursions", 6 * (2 * 2 * 64 + 2 * 64 + 64 * 64)),  # the same, and the gate sees one more
    ],
)
def test_a_recursion_adds_no_convolution_of_its_own(name: str, recursions: str, each: int) -> None:
    two, three = (build_network(name, 2, {recursions: times}) for times in (2, 3))
    assert sum(p.numel() for p in three.parameters()) - sum(p.numel() for p in two.parameters()) == each


def test_lapsrn_shows_the_frame_at_every_level() -> None:
    network = seeded_network("lapsrn", 8, {"layers": 1, "features": 4})
    low = torch.rand(1, 1, 7, 5)
    with torch.no_grad():
        pyramid, out = network.pyramid(low), network(low)
    assert [frame.shape[2:] for frame in pyramid] == [(14, 10), (28, 20), (56, 40)]
    assert torch.equal(pyramid[-1], out)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("srcnn", {"middle": 2}),
        ("fsrcnn", {"shrunk": 0}),
        ("espcn", {"features": 3}),
        ("vdsr", {"layers": 1}),
        ("drcn", {"recursions": 0}),
        ("drrn", {"units": -1}),
        ("memnet", {"blocks": 0}),
        ("lapsrn", {"layers": 0}),
    ],
)
def test_an_impossible_size_is_refused(name: str, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected"):
        build_network(name, 4, options)
