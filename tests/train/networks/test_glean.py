"""What is particular to GLEAN: one size of frame, noise that stays, and kernels that stay constants."""

import pytest

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

import numpy as np
import onnxruntime

from edgesr.export.graph import bare_graph
from edgesr.runtime.errors import InputError
from edgesr.train.networks import folded
from edgesr.train.networks.glean import GLEAN, StyledConv

SMALL = {"side": 64, "width": 16, "latent": 8, "features": 4, "groups": 1}


@pytest.mark.parametrize("scale", GLEAN.scales)
def test_graph_of_its_own_size_equals_pytorch(scale: int) -> None:
    torch.manual_seed(0)
    network = GLEAN(scale, **SMALL).eval()
    for layer in network.modules():
        if isinstance(layer, StyledConv):
            torch.nn.init.ones_(layer.noise_strength)
    low = torch.rand(1, 3, network.fixed_size, network.fixed_size)
    with torch.no_grad():
        high, again = network(low), folded(network)(low)
    assert high.shape == (1, 3, 64, 64) and torch.equal(high, again)
    graph = bare_graph(network, (network.fixed_size, network.fixed_size)).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"low": low.numpy()})[0], high, atol=1e-5)


def test_every_part_learns() -> None:
    network = GLEAN(8, **SMALL)
    network(torch.rand(2, 3, 8, 8)).mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_at_the_papers_size_a_face_of_64_pixels_becomes_one_of_1024() -> None:
    with torch.device("meta"):
        network = GLEAN(16)
        assert network(torch.empty(1, 3, 64, 64)).shape == (1, 3, 1024, 1024)
    assert (network.min_size, network.size_multiple) == (64, 64)


def test_styles_act_as_stylegan2s_kernels_of_each_sample() -> None:
    torch.manual_seed(0)
    layer, x, latent = StyledConv(6, 5, 4, 8), torch.randn(2, 6, 8, 8), torch.randn(2, 4)
    kernels = layer.conv.weight[None] * layer.style(latent)[:, None, :, None, None]
    kernels = kernels / kernels.pow(2).sum((2, 3, 4), keepdim=True).sqrt()
    apart = torch.cat([torch.nn.functional.conv2d(one[None], k, padding=1) for one, k in zip(x, kernels, strict=True)])
    assert torch.allclose(layer(x, latent), torch.nn.functional.leaky_relu(apart, 0.2) * 2**0.5, atol=1e-5)


@pytest.mark.parametrize(("scale", "options"), [(8, {"side": 100}), (16, {"side": 32}), (8, {"groups": 0})])
def test_sizes_that_no_bank_has_are_refused(scale: int, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected"):
        GLEAN(scale, **{**SMALL, **options})


def test_frame_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="the frame is 9x8; glean x8 takes 8x8 only"):
        GLEAN(8, **SMALL)(torch.rand(1, 3, 8, 9))
