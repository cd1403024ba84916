"""The attention that several networks share."""

import pytest

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from edgesr.train.networks import build_network
from edgesr.train.networks.attention import ContrastChannelAttention, SpatialAttention


def test_contrast_is_mean_plus_population_deviation() -> None:
    x = torch.tensor([[[[0.0, 2.0]], [[5.0, 5.0]]]])
    assert ContrastChannelAttention(16).statistic(x).flatten().tolist() == [2.0, 5.0]


@pytest.mark.parametrize("coarse", [1, 3])
def test_spatial_attention_takes_frames_from_its_smallest_size_on(coarse: int) -> None:
    attention = SpatialAttention(8, 4, coarse=coarse)
    size = SpatialAttention.MIN_SIZE
    assert attention(torch.rand(1, 8, size, size + 2)).shape == (1, 8, size, size + 2)
    with pytest.raises(RuntimeError, match="too small"):
        attention(torch.rand(1, 8, size - 1, size))


def test_rfdn_of_the_papers_table_uses_the_whole_frame_and_takes_any_size() -> None:
    network = build_network("rfdn:paper", 2, {"blocks": 1, "features": 16}).eval()
    spec = network.spec()
    assert spec.receptive_field is None and spec.min_size == 1
    assert network(torch.rand(1, 3, 3, 5)).shape == (1, 3, 6, 10)
    assert build_network("rfdn", 2).min_size == SpatialAttention.MIN_SIZE
