"""A teacher's share of the loss, against the same worked out plainly; and that it leaves no trace in what is kept."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from edgesr.runtime.command import command
from edgesr.runtime.errors import InputError
from edgesr.runtime.quality import RULER
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import save_checkpoint
from edgesr.train.data.colour import network_batch
from edgesr.train.distillation import Teacher
from edgesr.train.module import SuperResolution
from edgesr.train.networks import seeded_network

LUMA, RGB = ("ecbsr", {"blocks": 2, "width": 6}), ("imdn", {"blocks": 1, "features": 16})


def fit(*arguments: object) -> int:
    return command(run, ["fit", *map(str, arguments)])


@pytest.fixture
def teachers(tmp_path: Path) -> dict[str, Path]:
    """Colour -> a checkpoint."""
    paths = {}
    for name, options in (LUMA, RGB):
        network = seeded_network(name, 2, options, seed=7)
        paths[network.colour] = tmp_path / f"{name}.safetensors"
        save_checkpoint(paths[network.colour], network)
    return paths


def student(colour: str, teacher: Teacher | None, **settings: Any) -> SuperResolution:
    torch.manual_seed(1)
    name, options = {"luma": ("ecbsr", {"blocks": 1, "width": 4}), "rgb": ("imdn", {"blocks": 1, "features": 16})}[
        colour
    ]
    return SuperResolution(name, 2, options, teacher=teacher, **settings)


def batch(samples: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    low, high = (torch.randint(256, (samples, 3, n, n), generator=generator, dtype=torch.uint8) for n in (12, 24))
    return low, high


def luma(rgb: Tensor) -> Tensor:
    """Of RGB in 0–1, in 0–1."""
    red, green, blue = rgb.double().unbind(1)
    return ((RULER.offset / 255) + RULER.red * red + RULER.green * green + RULER.blue * blue)[:, None].float()


@pytest.mark.parametrize("ours", ["luma", "rgb"])
@pytest.mark.parametrize("theirs", ["luma", "rgb"])
def test_output_loss_is_l1_to_the_teachers_output_in_the_colours_that_both_have(
    ours: str, theirs: str, teachers: dict[str, Path]
) -> None:
    module = student(ours, Teacher(teachers[theirs], output=0.5))
    alone = student(ours, None)
    low, high = batch()
    network = seeded_network(*{"luma": LUMA, "rgb": RGB}[theirs][:1], 2, {"luma": LUMA, "rgb": RGB}[theirs][1], seed=7)
    with torch.no_grad():
        wanted = network(network_batch(low, network.colour))
        output = module.network(network_batch(low, module.network.colour))
        expected = F.l1_loss(output, wanted) if ours == theirs else None
        if expected is None:
            expected = F.l1_loss(*(luma(x) if x.shape[1] == 3 else x for x in (output, wanted)))
        added = module.loss_of((low, high)) - alone.loss_of((low, high))
    assert added.item() == pytest.approx(0.5 * expected.item(), rel=1e-4)


def test_feature_loss_goes_through_an_adapter_where_channels_differ(teachers: dict[str, Path]) -> None:
    pairs = {"body.0": "body.0", "body": "body"}
    module = student("luma", Teacher(teachers["luma"], output=0, features=0.3, pairs=pairs))
    alone = student("luma", None)
    assert [tuple(p.shape) for p in module.distillation.parameters()] == [(6, 4, 1, 1), (6,)]
    low, high = batch()
    teacher = seeded_network(LUMA[0], 2, LUMA[1], seed=7)
    given = network_batch(low, "luma")
    with torch.no_grad():
        adapter = module.distillation.adapters[0]
        first = F.l1_loss(adapter(module.network.body[0](given)), teacher.body[0](given))
        whole = F.l1_loss(module.network.body(given), teacher.body(given))
        added = module.loss_of((low, high)) - alone.loss_of((low, high))
    assert added.item() == pytest.approx(0.3 * (first + whole).item() / 2, rel=1e-4)


def test_student_and_adapters_learn_and_the_teacher_does_not(teachers: dict[str, Path]) -> None:
    module = student("luma", Teacher(teachers["luma"], features=0.3, pairs={"body.0": "body.0"})).train()
    teacher = module.distillation.apart.network
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    module.loss_of(batch()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.distillation.adapters.parameters())
    assert module.network.body[0].plain.weight.grad.abs().sum() > 0
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not any(part._forward_hooks for network in (module.network, teacher) for part in network.modules())


def test_teacher_is_no_part_of_the_module_and_is_not_copied_with_it(teachers: dict[str, Path]) -> None:
    module = student("luma", Teacher(teachers["rgb"]))
    own = student("luma", None)
    assert module.state_dict().keys() == own.state_dict().keys()
    assert len(list(module.parameters())) == len(list(own.parameters()))
    assert deepcopy(module).distillation.apart is module.distillation.apart


def test_losses_are_float32_under_autocast(teachers: dict[str, Path]) -> None:
    module = student("luma", Teacher(teachers["rgb"], features=0.1, pairs={"body": "fuse"}))
    plain = module.loss_of(batch()).item()
    with torch.autocast("cpu", torch.bfloat16):
        low = module.loss_of(batch())
    assert low.dtype == torch.float32 and low.item() == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output": 0}, "teaches nothing"),
        ({"output": -1}, "teaches nothing"),
        ({"features": 0.1}, "features need a weight .* and pairs"),
        ({"pairs": {"body": "body"}}, "features need a weight .* and pairs"),
        ({"features": 1, "pairs": {"boddy": "body"}}, "ecbsr has no layer 'boddy'; near are body"),
        ({"features": 1, "pairs": {"body": "body.77"}}, "ecbsr has no layer 'body.77'; near are body"),
        ({"features": 1, "pairs": {"": "body"}}, "has no layer ''"),
        (
            {"features": 1, "pairs": {"body": "shuffle"}},
            "'body' gives 1x1, the teacher's 'shuffle' 2x2; pair layers of one size",
        ),
        ({"weights": Path("nowhere.safetensors")}, "nowhere.safetensors does not exist"),
    ],
)
def test_a_mistake_is_one_line(settings: dict[str, Any], message: str, teachers: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=message) as raised:
        student("luma", Teacher(**{"weights": teachers["luma"], **settings}))
    assert "\n" not in str(raised.value)


def test_teacher_of_another_scale_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x3.safetensors", seeded_network("espcn", 3))
    with pytest.raises(InputError, match="has no x2: its weights serve x3"):
        student("luma", Teacher(tmp_path / "x3.safetensors"))


def test_features_of_a_compiled_network_are_refused(teachers: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"leave out model\.compile"):
        student("luma", Teacher(teachers["luma"], features=1, pairs={"body.0": "body.0"}), compile=True)


def test_images_of_y_alone_are_refused_for_a_teacher_of_colour(teachers: dict[str, Path]) -> None:
    module = student("luma", Teacher(teachers["rgb"]))
    with pytest.raises(InputError, match="imdn takes RGB"):
        module.loss_of(tuple(part[:, :1].float() for part in batch()))


def test_run_resumes_to_the_same_weights_and_keeps_the_student_alone(
    tmp_path: Path,
    recipe: Path,
    teachers: dict[str, Path],
) -> None:
    taught = f"{{weights: {teachers['luma']}, features: 0.1, pairs: {{body.0: body.0}}}}"
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    settings = ["--model.teacher", taught, "--model.average", "0.9"]
    assert fit(recipe, "--output", whole, *settings) == 0
    assert fit(recipe, "--output", parted, *settings, "--trainer.max_epochs", 2) == 0
    saved = torch.load(parted / "last.ckpt", weights_only=False)["state_dict"]
    assert {key for key in saved if "distillation" in key} == {
        f"distillation.adapters.0.{kind}" for kind in ("weight", "bias")
    }
    assert fit(recipe, "--output", parted, *settings, "--resume") == 0
    states = [load_file(folder / "ecbsr_x2.safetensors") for folder in (whole, parted)]
    assert states[0].keys() == seeded_network("ecbsr", 2, {"blocks": 1, "width": 4}).state_dict().keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
