"""One set of weights for several scales; deep supervision; images that were enlarged beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch
from tests.small import SMALL
from torch import Tensor
from torch.nn import functional as F

from edgesr.runtime.command import command
from edgesr.runtime.errors import InputError
from edgesr.runtime.images import write_image
from edgesr.runtime.resize import downscale_floats
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import load_checkpoint
from edgesr.train.data.crops import Batches, Crops
from edgesr.train.data.multi_scale import MultiScaleCrops, open_at_scales
from edgesr.train.data.stores import Memory
from edgesr.train.module import SuperResolution
from edgesr.train.networks import NETWORKS, seeded_network
from edgesr.train.supervision import DeepSupervision, shrunk

SCALES = [4, 2, 3]
MULTI_SCALE = sorted(name for name, kind in NETWORKS.items() if kind.multi_scale)
REFINERS = ["srcnn", "vdsr", "drcn", "drrn", "memnet"]


def small(name: str, scale: int = 4) -> Any:
    return seeded_network(name, scale, SMALL.get(name, {}))


def frame(channels: int = 1, side: int = 12) -> Tensor:
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(3))


def photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(count):
        coarse = rng.integers(0, 256, (14, 15, 3), dtype=np.uint8)
        write_image(folder / f"{i}.png", np.ascontiguousarray(coarse.repeat(5, axis=0).repeat(5, axis=1)))
    return folder


def crops(folder: Path, together: int = 4, seed: int = 7) -> MultiScaleCrops:
    stores = open_at_scales(folder.name, folder.parent, SCALES)
    by_scale = {scale: Crops(store, patch=24 // scale, seed=seed) for scale, store in stores.items()}
    return MultiScaleCrops(by_scale, seed=seed, together=together)


@pytest.mark.parametrize("name", MULTI_SCALE)
def test_at_another_scale_the_weights_are_shared_and_the_output_is_that_scales(name: str) -> None:
    network, low = small(name), frame(3 if NETWORKS[name].colour == "rgb" else 1)
    other, fresh = network.at_scale(3), small(name, 3)
    fresh.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(other(low), fresh(low)) and other(low).shape[-1] == 36
        for parameter in network.parameters():
            parameter *= 1.1
        fresh.load_state_dict(network.state_dict())
        assert torch.equal(other(low), fresh(low)), "what one learns, the other knows"
        assert network.scale == 4 and network(low).shape[-1] == 48
    assert {id(p) for p in other.parameters()} == {id(p) for p in network.parameters()}


@pytest.mark.parametrize("name", REFINERS)
def test_a_frame_enlarged_beforehand_enters_behind_the_enlargement(name: str) -> None:
    network = small(name)
    with torch.no_grad():
        low = frame()
        assert torch.equal(network.at_scale(1)(network.enlarge(low)), network(low))


@pytest.mark.parametrize(("name", "scale"), [("edsr", 3), ("edsr", 2), ("srcnn", 2), ("vdsr", 8), ("carn", 8)])
def test_a_scale_that_the_weights_do_not_serve_is_refused(name: str, scale: int) -> None:
    with pytest.raises(InputError, match=rf"{name}'s weights serve .*; x{scale} was asked for"):
        small(name).at_scale(scale)


def test_a_batchs_scale_is_the_same_in_all_processes_and_drawn_anew_in_each_epoch(tmp_path: Path) -> None:
    cut = crops(photos(tmp_path / "photos"), together=4)
    ranks = [Batches(240, 2, lambda: 0, rank=rank, world=2) for rank in (0, 1)]
    drawn = [[cut.scale_of(places[0]) for places in order] for order in ranks]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 60
    for scale in SCALES:
        assert 10 <= drawn[0].count(scale) <= 30
    for places in ranks[1]:
        assert len({cut.scale_of(place) for place in places}) == 1
    second = [cut.scale_of((1, 4 * batch)) for batch in range(60)]
    assert second != drawn[0]
    assert [crops(tmp_path / "photos", seed=8).scale_of((0, 4 * batch)) for batch in range(60)] != drawn[0]


def test_a_batch_has_one_scale_and_the_crop_is_as_wide_at_high_resolution(tmp_path: Path) -> None:
    cut = crops(photos(tmp_path / "photos"))
    seen = set()
    for batch in range(12):
        places = [(0, 4 * batch + i) for i in range(4)]
        low, high = cut.__getitems__(places)
        scale = cut.scale_of(places[0])
        assert high.shape[-1] == 24 and low.shape[-1] == 24 // scale
        assert torch.equal(cut[places[2]][0], low[2])
        seen.add(scale)
    assert seen == {*SCALES}


def test_images_are_read_once_for_all_scales(tmp_path: Path) -> None:
    photos(tmp_path / "photos", count=1)
    stores = open_at_scales("photos", tmp_path, SCALES)
    assert all(isinstance(store, Memory) for store in stores.values())
    highs = {scale: store.pairs[0][1] for scale, store in stores.items()}
    assert np.shares_memory(highs[4], highs[2]) and np.shares_memory(highs[4], highs[3])
    assert {scale: high.shape[:2] for scale, high in highs.items()} == {4: (68, 72), 2: (68, 72), 3: (66, 72)}


@pytest.mark.parametrize("name", ["drcn", "memnet", "lapsrn", "edsr"])
def test_the_output_is_the_first_of_the_predictions(name: str) -> None:
    network, low = small(name), frame(3 if NETWORKS[name].colour == "rgb" else 1)
    with torch.no_grad():
        predictions = network.predictions(low)
        assert torch.equal(predictions[0], network(low))
    sizes = {"drcn": [48] * 4, "memnet": [48] * 3, "lapsrn": [48, 24], "edsr": [48]}
    assert [prediction.shape[-1] for prediction in predictions] == sizes[name]


def test_drcn_and_memnet_weigh_their_reconstructions() -> None:
    for name in ("drcn", "memnet"):
        network = small(name)
        with torch.no_grad():
            network.weights.copy_(torch.arange(1, len(network.weights) + 1) / 10)
            output, *frames = network.predictions(frame())
            weighed = [0.1 * (i + 1) * reconstruction for i, reconstruction in enumerate(frames)]
            assert torch.allclose(torch.stack(weighed).sum(0), output, atol=1e-6)


def test_the_share_of_the_others_is_what_the_recipe_says() -> None:
    truth = torch.zeros(1, 1, 4, 4)
    predictions = [torch.full_like(truth, value) for value in (3.0, 1.0, 2.0)]
    loss = DeepSupervision(0.25)(F.l1_loss, predictions, truth, progress=0.5)
    assert float(loss) == pytest.approx(0.75 * 3 + 0.25 * 1.5)
    falling = DeepSupervision([1.0, 0.0])
    assert [float(falling(F.l1_loss, predictions, truth, at)) for at in (0, 0.5, 1, 2)] == [1.5, 2.25, 3, 3]
    assert float(DeepSupervision(0.25)(F.l1_loss, predictions[:1], truth, 0)) == 3, "there is nothing to share with"


def test_a_pyramids_levels_count_by_their_pixels_and_see_the_truth_reduced() -> None:
    truth = frame(side=32)
    quarter, half = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 16, 16)
    output = torch.rand(2, 1, 32, 32)
    share = (16**2 + 8**2) / (32**2 + 16**2 + 8**2)
    loss = DeepSupervision(share)(F.mse_loss, [output, half, quarter], truth, 0)
    added_up = sum(
        F.mse_loss(part, shrunk(truth, part.shape[-1]), reduction="sum") / 2 for part in (output, half, quarter)
    )
    assert float(loss) * (32**2 + 16**2 + 8**2) == pytest.approx(float(added_up), rel=1e-5)


@pytest.mark.parametrize("factor", [2, 4])
def test_the_truth_is_reduced_as_the_ruler_reduces(factor: int) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (24, 40, 1)).astype(np.float64)
    ours = shrunk(torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), 40 // factor)
    assert np.allclose(ours[0, 0].numpy(), downscale_floats(pixels, factor)[..., 0], atol=1e-3)


@pytest.mark.parametrize("share", [-0.1, 1.5, [0.5], [0.1, 0.2, 0.3], [0.5, float("nan")]])
def test_a_share_that_is_none_is_refused(share: Any) -> None:
    with pytest.raises(InputError, match="deep_supervision"):
        DeepSupervision(share)


def taught(name: str, **settings: Any) -> SuperResolution:
    torch.manual_seed(0)
    return SuperResolution(network=name, scale=4, options=SMALL.get(name, {}), channels_last=False, **settings)


def batch(ratio: int, side: int = 24, seed: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    high = torch.randint(0, 256, (2, 3, side, side), generator=generator, dtype=torch.uint8)
    return high[..., ::ratio, ::ratio].contiguous(), high


def test_at_the_first_step_drcn_learns_nothing_of_how_its_reconstructions_are_weighed() -> None:
    module = taught("drcn", deep_supervision=(1.0, 0.0))
    module.loss_of(batch(4)).backward()
    assert module.network.weights.grad is not None and not module.network.weights.grad.any()
    assert module.network.recursion.weight.grad.any()


def test_deep_supervision_reaches_what_the_output_does_not() -> None:
    with torch.no_grad():
        alone, both = (taught("memnet", deep_supervision=share) for share in (0.0, 0.5))
        for module in (alone, both):
            module.network.weights.zero_()  # the output is black
    for module in (alone, both):
        module.loss_of(batch(4)).backward()
    assert not alone.network.head[1].weight.grad.any() and both.network.head[1].weight.grad.any()


def test_carns_other_up_samplers_rest_while_one_learns() -> None:
    module = taught("carn", scales=[2, 3, 4])
    module.loss_of(batch(3)).backward()
    learning = {s for s in "234" if any(p.grad is not None for p in module.network.upsample[s].parameters())}
    assert learning == {"3"}


def test_enlarged_images_teach_a_refiner_and_no_other() -> None:
    low, high = batch(1)
    module = taught("vdsr")
    expected = F.l1_loss(module.network.at_scale(1)(module.prepared((low, high))[0]), module.prepared((low, high))[1])
    assert float(module.loss_of((low, high)).detach()) == pytest.approx(float(expected.detach()))
    with pytest.raises(InputError, match="enlarged beforehand"):
        taught("edsr").loss_of((low, high))


@pytest.mark.parametrize(
    ("name", "scales", "message"),
    [
        ("vdsr", [2, 3], "expected it among them"),
        ("edsr", [2, 4], "edsr's weights serve x4 alone; x2 was asked for"),
        ("carn", [4, 8], "x8 was asked for"),
    ],
)
def test_scales_that_a_network_cannot_have_are_refused(name: str, scales: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        taught(name, scales=scales)


RECIPE = """
seed_everything: 1
trainer: {{max_steps: 12, accelerator: cpu, log_every_n_steps: 1}}
model: {{network: vdsr, scale: 3, scales: [2, 3, 4], options: {{layers: 3, features: 4}}, learning_rate: 0.01}}
data: {{root: {root}, train: [photos], hold_out: 1, high_patch: 25, batch_size: 2, samples_per_epoch: 8}}
"""


def test_a_run_of_several_scales_resumes_exactly_and_its_checkpoint_serves_them_all(tmp_path: Path) -> None:
    photos(tmp_path / "photos", count=4)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(RECIPE.format(root=tmp_path))

    def fit(output: str, *more: object) -> int:
        return command(run, ["fit", str(recipe), "--output", str(tmp_path / output), *map(str, more)])

    assert fit("whole") == 0
    network, _ = load_checkpoint(tmp_path / "whole" / "vdsr_x3.safetensors")
    assert network.scale == 3 and network.serves == (3, 2, 4)
    for scale in (2, 3, 4):
        model, images = tmp_path / "whole" / "vdsr_x3.safetensors", tmp_path / "photos"
        assert command(run, ["evaluate", str(model), "--scale", str(scale), "--data", str(images)]) == 0

    assert fit("parted", "--trainer.max_epochs", 2) == 0
    assert fit("parted", "--resume") == 0
    again, _ = load_checkpoint(tmp_path / "parted" / "vdsr_x3.safetensors")
    for (name, a), b in zip(network.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b), name
