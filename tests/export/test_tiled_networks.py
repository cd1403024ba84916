"""Every network of the table in tiles: what its spec says of its reach is enough, and half of it is not."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.small import SMALL, picturing

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from edgesr.export.onnx import export_onnx
from edgesr.runtime.backends import open_backend
from edgesr.runtime.sources.natural import natural_picture
from edgesr.runtime.spec import ModelSpec
from edgesr.runtime.tiles import TiledBackend
from edgesr.train.networks import NETWORKS, Network, folded, seeded_network

LOCAL = [name for name, kind in NETWORKS.items() if not kind.whole_frame_statistics]
EVERY = [(name, scale) for name in LOCAL for scale in NETWORKS[name].scales]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Such small work goes slower on several, the more so where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seams(network: Network, spec: ModelSpec, reaches: Sequence[int]) -> list[float]:
    """How far a strip's two halves, each cut `reach` beyond what is taken of it, differ from the whole; in float64."""
    scale, half = network.scale, max(reaches) + 6
    generator = torch.Generator().manual_seed(1)
    strip = torch.rand(1, spec.channels, 8, 2 * half, generator=generator, dtype=torch.float64)
    deployed = folded(network).double()
    worst = [0.0] * len(reaches)
    for axis, x in ((3, strip), (2, strip.transpose(2, 3))):
        whole = deployed(x)
        for number, reach in enumerate(reaches):
            left = deployed(x.narrow(axis, 0, half + reach)).narrow(axis, 0, half * scale)
            right = deployed(x.narrow(axis, half - reach, half + reach)).narrow(axis, reach * scale, half * scale)
            worst[number] = max(worst[number], float((torch.cat([left, right], axis) - whole).abs().max()))
    return worst


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_the_reach_in_the_spec_is_enough_and_half_of_it_is_not(name: str, scale: int) -> None:
    network = seeded_network(name, scale, SMALL.get(name))
    spec = network.spec()
    assert spec.receptive_field is not None
    whole, half = seams(network, spec, (spec.receptive_field, spec.receptive_field // 2))
    assert whole < 2e-14
    assert half > 1e-13


@pytest.mark.parametrize("name", LOCAL)
def test_tiles_give_the_bytes_of_the_whole_frame(tmp_path: Path, name: str) -> None:
    network = picturing(seeded_network(name, min(NETWORKS[name].scales), SMALL.get(name)))
    path = export_onnx(network, tmp_path / "a.onnx", trained=False).path
    reach = network.spec().receptive_field
    assert reach is not None
    frame = natural_picture(4 * reach + 40, 2 * reach + 33, 1)
    with open_backend(path, threads=1) as backend:
        whole = backend.infer(frame).copy()
        np.testing.assert_array_equal(TiledBackend(backend, (2 * reach + 12, 2 * reach + 9)).infer(frame), whole)


def test_where_a_network_interpolates_by_three_a_rounding_may_differ(tmp_path: Path) -> None:
    """ONNX Runtime, as PyTorch, reckons where a bilinear sample lies from the frame's corner, in floats: a third is rounded
    otherwise further from it. At x2 and x4 these places are exact."""
    path = export_onnx(picturing(seeded_network("pan", 3, SMALL["pan"])), tmp_path / "a.onnx", trained=False).path
    frame = natural_picture(160, 90, 1)
    with open_backend(path, threads=1) as backend:
        whole = backend.infer(frame).astype(int)
        apart = np.abs(TiledBackend(backend, (70, 60)).infer(frame) - whole)
    assert apart.max() <= 1 and np.mean(apart > 0) < 1e-3
