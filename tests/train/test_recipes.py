"""Every recipe can be read, names only what exists, is what it says, and teaches its network; no network is without one."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning", reason="recipes are read by Lightning's command line")

import torch
import yaml
from tests.small import SMALL

from edgesr.runtime.images import write_image
from edgesr.train.data.multi_scale import MultiScaleCrops
from edgesr.train.fit import RecipeCLI, find_recipe, quiet_lightning, read_recipe, recipes
from edgesr.train.networks import NETWORKS, network_class

RECIPES = sorted(recipes())
PAPERS = [name for name in RECIPES if not name.startswith("shipped/")]
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def read(recipe: str, output: Path, *overrides: object) -> RecipeCLI:
    with quiet_lightning():
        return read_recipe(find_recipe(recipe), output, ["--trainer.accelerator", "cpu", *map(str, overrides)])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two, as smooth as photographs are."""
    root = tmp_path_factory.mktemp("root")
    (root / "photos").mkdir()
    y, x = np.mgrid[0:96, 0:100]
    for i, waves in enumerate((7.0, 11.0)):
        planes = [127 + 100 * np.sin(x / waves + i) * np.cos(y / (waves + c)) for c in range(3)]
        write_image(root / "photos" / f"{i}.png", np.ascontiguousarray(np.stack(planes, axis=-1).astype(np.uint8)))
    return root


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_builds_its_network(recipe: str, tmp_path: Path) -> None:
    cli = read(recipe, tmp_path)
    assert cli.trainer.max_steps > 0
    network = cli.model.network
    assert cli.datamodule.scale == network.scale and cli.datamodule.scales == list(network.serves)
    if not recipe.startswith("shipped/"):
        assert recipe == f"{network.name}_x{network.scale}"


def test_every_network_has_a_recipe() -> None:
    usual = {name: 4 if 4 in kind.scales else max(kind.scales) for name, kind in NETWORKS.items()}
    assert {*PAPERS} == {f"{name}_x{scale}" for name, scale in usual.items()}


@pytest.mark.parametrize("recipe", PAPERS)
def test_recipe_is_what_it_says_and_teaches_its_network(recipe: str, tmp_path: Path, photos: Path) -> None:
    said = yaml.safe_load(find_recipe(recipe).read_text())
    cli = read(recipe, tmp_path, *tiny(said, photos))
    module, data, rate = cli.model, cli.datamodule, said["model"]["learning_rate"]
    check_optimizer(module.optimizer.over(module.network, rate), said["model"], module.network)
    check_course(module.schedule, said["model"].get("schedule", {}), cli.trainer.max_steps)

    data.setup("fit")
    assert isinstance(data.crops, MultiScaleCrops) == ("scales" in said["model"])
    before = {name: parameter.detach().clone() for name, parameter in module.network.named_parameters()}
    optimizer = torch.optim.Adam(module.network.parameters(), 1e-4)  # moves whatever has a gradient
    for batch in range(6):  # enough for every scale
        loss = module.loss_of(data.crops.__getitems__([(0, 2 * batch), (0, 2 * batch + 1)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    changed = [
        name for name, parameter in module.network.named_parameters() if not torch.equal(parameter, before[name])
    ]
    assert len(changed) >= 0.75 * len(before), sorted(before.keys() - {*changed})[:5]


def tiny(said: dict[str, Any], root: Path) -> list[object]:
    """Overrides for two photographs, and a small form of the network."""
    model, kind = said["model"], network_class(said["model"]["network"])
    options = {**model.get("options", {}), **SMALL.get(kind.name, {})}
    network = kind(model["scale"], **options)
    multiple = network.size_multiple
    patch = network.fixed_size or -(-max(network.min_size, 6) // multiple) * multiple
    high = ["--data.high_patch", 30] if "high_patch" in said["data"] else ["--data.patch", patch]
    images = ["--data.root", root, "--data.train", "[photos]", "--data.validate", "[]", "--data.hold_out", 0]
    small = ["--model.options", options] if options else []
    return [*images, *high, *small, "--data.batch_size", 2, "--model.start", "null"]


def check_optimizer(made: torch.optim.Optimizer, said: dict[str, Any], network: Any) -> None:
    settings = said.get("optimizer", {})
    kind = settings.get("kind", "adam")
    assert type(made) is OPTIMIZERS[kind]
    rest = made.param_groups[0]
    assert rest["weight_decay"] == settings.get("weight_decay", 0)
    if kind == "sgd":
        assert rest["momentum"] == settings["momentum"]
    else:
        assert rest["betas"] == tuple(settings.get("betas", (0.9, 0.999)))
    factors = {1.0}
    for setting in ("tail", "biases"):
        factors |= {factor * settings.get(setting, 1.0) for factor in factors}
    rates = sorted(said["learning_rate"] * factor for factor in factors)
    assert sorted(group["lr"] for group in made.param_groups) == pytest.approx(rates)
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert sum(len(group["params"]) for group in made.param_groups) == len(learnt)


def check_course(schedule: Any, said: dict[str, Any], steps: int) -> None:
    at, kind = schedule.over(steps), said.get("kind", "cosine")
    assert at(0) == 1
    if kind == "step":
        falls = said.get("milestones") or [*range(said["every"], steps, said["every"])]
        assert falls and falls[-1] < steps, "a fall that never comes"
        for number, fall in enumerate(falls):
            assert at(fall - 1) == pytest.approx(said["factor"] ** number)
            assert at(fall) == pytest.approx(said["factor"] ** (number + 1))
    elif kind == "cosine":
        assert sum(said.get("periods", [steps])) == steps, "the last cosine ends with the run"
        assert at(steps) == pytest.approx(said.get("floor", 0.0), abs=1e-9)
        for restart in np.cumsum(said.get("periods", [steps]))[:-1]:
            assert at(int(restart)) == 1
    else:
        assert at(steps) == 1


@pytest.mark.parametrize("recipe", PAPERS)
def test_settings_that_a_recipes_comment_names_exist(recipe: str, tmp_path: Path) -> None:
    text = find_recipe(recipe).read_text()
    comment = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    named = re.findall(r"--((?:model|data|trainer)\.[\w.]+\w) (?:'([^']+)'|([^\s,;).]+(?:\.[\w]+)*))", comment)
    words = [word for key, quoted, plain in named for word in (f"--{key}", quoted or plain)]
    if not words:
        return
    known = [word for word in words if not word.startswith("runs/") and word != "--model.start"]
    read(recipe, tmp_path, *known)


@pytest.mark.parametrize("recipe", PAPERS)
def test_recipe_serves_the_networks_other_scales_by_one_override(recipe: str, tmp_path: Path) -> None:
    name = recipe.rsplit("_x", 1)[0]
    said = yaml.safe_load(find_recipe(recipe).read_text())["model"]
    options = ["--model.options", {**said.get("options", {}), **SMALL.get(name, {})}]
    if name == "glean":
        return  # its small form has one scale
    for scale in {*said.get("scales", NETWORKS[name].scales)} - {said["scale"]}:
        cli = read(recipe, tmp_path, "--model.scale", scale, *options)
        assert cli.model.network.scale == cli.datamodule.scale == scale
