"""A wrong setting of a recipe is told in one short line, whatever jsonargparse says of it."""

from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="recipes are read by Lightning's command line")

from edgesr.runtime.errors import InputError
from edgesr.train.fit import quiet_lightning, read_recipe

RECIPE = """
seed_everything: 1
trainer: {{accelerator: cpu, max_steps: 1, {trainer}}}
model: {{network: espcn, scale: 2, {model}}}
data: {{root: ., {data}}}
{top}
"""


@pytest.mark.parametrize(
    ("part", "setting", "message"),
    [
        (
            "model",
            "schedule: {warmup: 3}",
            "there is no setting model.schedule.warmup; near are model.schedule.warmup_steps",
        ),
        ("model", "schedule: {kind: cosin}", "model.schedule.kind is cosin; expected cosine, step, constant"),
        ("model", "schedule: {milestones: [1, x]}", "model.schedule.milestones is x; expected a whole number"),
        ("model", "optimizer: {beta: 3}", "there is no setting model.optimizer.beta; near are model.optimizer.betas"),
        ("model", "teacher: {weigths: a}", "there is no setting model.teacher.weigths; near are model.teacher.weights"),
        ("model", "teacher: {weights: a, output: b}", "model.teacher.output is b; expected a number"),
        ("model", "teacher: 5", "model.teacher is 5; expected a mapping"),
        ("model", "loss: 5", "model.loss is 5; expected a mapping"),
        ("model", "loss: {l3: 1}", "expected weights above 0 of: l1, mse"),
        ("model", "los: 5", "there is no setting model.los; near are model.loss"),
        ("data", "train: [{lo: a, high: b}]", "there is no setting data.train.lo; near are data.train.low"),
        ("data", "train: [a], patch: large", "data.patch is large; expected a whole number"),
        ("trainer", "precision: bf17", "trainer.precision is bf17; expected .*bf16-mixed"),
        ("trainer", "devices: x", "should be an int"),
        ("trainer", "max_stps: 1", "there is no setting trainer.max_stps; near are trainer.max_steps"),
        ("trainer", "callbacks: [{class_path: nope.Nope}]", "trainer.callbacks: nope.Nope: No module named 'nope'"),
        ("top", "foo: 3", "there is no setting foo; see docs/training.md"),
    ],
)
def test_wrong_setting_is_one_short_line(part: str, setting: str, message: str, tmp_path: Path) -> None:
    parts = {"trainer": "", "model": "", "data": "train: [a]", "top": ""} | {part: setting}
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(**parts))
    with quiet_lightning(), pytest.raises(InputError, match=message) as raised:
        read_recipe(path, tmp_path, [])
    line = str(raised.value)
    assert line.startswith(str(path)) and "\n" not in line and len(line) < len(str(path)) + 300


def test_shortened_name_on_the_command_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(trainer="", model="", data="train: [a]", top=""))
    with quiet_lightning(), pytest.raises(InputError, match=r"there is no setting model\.schedule\.warm"):
        read_recipe(path, tmp_path, ["--model.schedule.warm", "3"])
