"""Every recipe can be read, names only what exists, and no network is without one."""

from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="recipes are read by Lightning's command line")

from edgesr.train.fit import RecipeCLI, find_recipe, quiet_lightning, read_recipe
from edgesr.train.networks import NETWORKS

RECIPES = sorted(path.stem for path in find_recipe("default_x4").parent.glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_builds_its_network(recipe: str, tmp_path: Path) -> None:
    with quiet_lightning():
        cli: RecipeCLI = read_recipe(find_recipe(recipe), tmp_path, ["--trainer.accelerator", "cpu"])
    assert cli.trainer.max_steps > 0
    assert cli.datamodule.scale == cli.model.network.scale and cli.datamodule.colour == cli.model.network.colour
    assert f"{cli.model.network.name}_x{cli.model.network.scale}" == recipe or recipe == "default_x4"


def test_every_network_has_a_recipe() -> None:
    usual = {name: 4 if 4 in kind.scales else max(kind.scales) for name, kind in NETWORKS.items()}
    assert {*RECIPES, "ecbsr_x4"} >= {f"{name}_x{scale}" for name, scale in usual.items()}  # ecbsr's is the default
