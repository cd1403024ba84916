"""What is particular to CARN and CARN-M: shared weights, and one file for three scales."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from edgesr.runtime.errors import CheckpointMismatch, InputError
from edgesr.train.networks import build_network
from edgesr.train.published import network_from_published


def test_carn_m_applies_one_block_three_times_in_each_group() -> None:
    keys = build_network("carn_m", 4).state_dict()
    assert sum(key.endswith("mix.weight") for key in keys) == 3


def test_weights_are_the_same_whatever_the_scale() -> None:
    states = [build_network("carn", scale, {"features": 8}).state_dict() for scale in (2, 3, 4)]
    assert states[0].keys() == states[1].keys() == states[2].keys()


def test_features_that_the_groups_do_not_divide_are_refused() -> None:
    with pytest.raises(InputError, match="carn_m cannot cut 30 features into 4 groups"):
        build_network("carn_m", 4, {"features": 30})


def test_another_mean_is_refused() -> None:
    with pytest.raises(CheckpointMismatch, match=r"sub_mean.shifter.bias is not the mean of DIV2K"):
        build_network("carn", 4).published_keys({"sub_mean.shifter.bias": torch.zeros(3)})


def test_the_authors_file_serves_three_scales(shared: Path) -> None:
    network = network_from_published(shared / "weights" / "carn_m" / "carn_m.pth", "carn_m", 4, 2, 3)
    assert network.scale == 4 and network.serves == (4, 2, 3)
