"""AWSRN's four kernels in one."""

import pytest

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from edgesr.train.networks import folded
from edgesr.train.networks.awsrn import MultiScaleConv


def test_four_weighed_kernels_are_one_of_9x9() -> None:
    torch.manual_seed(2)
    tail = MultiScaleConv(3, 5)
    with torch.no_grad():
        for factor, scale in enumerate(tail.scales, start=1):
            scale.scale.fill_(factor / 3)
    merged = folded(torch.nn.Sequential(tail))[0]
    x = torch.randn(2, 3, 11, 6)
    assert isinstance(merged, torch.nn.Conv2d) and merged.kernel_size == (9, 9)
    assert torch.allclose(merged(x), tail(x), atol=1e-5)
