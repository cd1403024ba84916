"""Where FSRCNN's last kernel lies."""

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgesr[train]'")

from edgesr.train.networks import seeded_network


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_last_kernel_is_centred_on_the_low_resolution_pixel(scale: int) -> None:
    """To half a pixel, at even scales; else flipped images are sharpened worse than they are."""
    enlarge = seeded_network("fsrcnn", scale).enlarge
    with torch.no_grad():
        enlarge.weight.fill_(1.0)
        enlarge.bias.fill_(0.0)
        features = torch.zeros(1, enlarge.in_channels, 1, 9)
        features[0, 0, 0, 4] = 1.0
        touched = enlarge(features)[0, 0].sum(dim=0).nonzero().flatten()
    assert len(touched) == 9
    centre = 4 * scale + (scale - 1) / 2
    assert abs(touched.float().mean().item() - centre) <= 0.5
