"""RDCAB's one block, in its three forms."""

import pytest

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from edgesr.train.networks import build_network, folded


@pytest.mark.parametrize("form", ["dense", "split", "distilled"])
def test_recursions_share_the_block(form: str) -> None:
    few, many = (build_network("rdcab", 2, {"form": form, "recursions": u, "features": 16}) for u in (1, 4))
    surplus = sum(p.numel() for p in many.parameters()) - sum(p.numel() for p in few.parameters())
    assert surplus == 3 * 16 * 16  # only the fusion of the recursions' outputs grows


@pytest.mark.parametrize("form", ["dense", "split", "distilled"])
def test_every_form_folds_and_multiplies_the_size(form: str) -> None:
    network = build_network("rdcab", 3, {"form": form, "recursions": 2, "layers": 3, "features": 16}).eval()
    x = torch.rand(1, 3, 5, 8)
    assert network(x).shape == (1, 3, 15, 24)
    assert torch.allclose(network(x), folded(network)(x), atol=1e-5)
