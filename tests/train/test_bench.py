"""The bench: four parts take turns, figures follow from the turns alone, and the verdict says what to change."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch
from lightning.pytorch.callbacks import WeightAveraging

import edgesr.train.bench
from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError
from edgesr.train.bench import FORCED, PARTS, BenchResult, BenchSettings, Turn, _open_images, measure
from edgesr.train.bench_command import add_to, bench
from edgesr.train.fit import quiet_lightning, read_recipe
from edgesr.train.plain_step import PlainStep

RECIPE = """
seed_everything: 1
trainer: {max_steps: 12, accelerator: cpu, precision: 32-true}
model: {network: ecbsr, scale: 2, options: {blocks: 1, width: 4}, schedule: {warmup_steps: 2}}
data: {root: nowhere, train: [photos], validate: [others], test: [others], hold_out: 1, patch: 8, batch_size: 2}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgesr.train.bench, "MADE_IMAGES", 2)
    monkeypatch.setattr(edgesr.train.bench, "MADE_SIDE", 48)


def run(arguments: Sequence[str]) -> None:
    make = Parser("edgesr-train")
    add_to(make.add_subparsers(dest="verb"))
    options, rest = make.parse_known_args(arguments)
    assert isinstance(options, Namespace)
    bench(options, rest)


def result(*, lightning: float = 0.1, plain: float = 0.1, loader: float = 0.01, workers: int = 0) -> BenchResult:
    """Seconds of a turn of ten steps; the second round is of a machine that has become twice as slow."""
    seconds = {"loader": loader, "step": 0.1, "plain": plain, "lightning": lightning}
    turns = [
        Turn(part, place, 10, pace * seconds[part], seconds[part])
        for place, pace in ((0, 99), (1, 1), (2, 2))
        for part in PARTS
    ]
    settings = BenchSettings("tiny", steps=20, rounds=2)
    return BenchResult(settings, "tiny x2", "a CPU", "32-true", 4, workers, 1, 2, None, "2026-11-21", tuple(turns))


def test_the_four_parts_take_turns_over_lightnings_own_loop(tmp_path: Path, recipe: Path) -> None:
    told: list[int] = []
    settings = BenchSettings(str(recipe), ("--trainer.accumulate_grad_batches=2",), steps=6, rounds=2, synthetic=True)
    found = measure(settings, tell=told.append)
    assert told == [0, 1, 2]
    for turn in range(3):
        assert {one.part for one in found.turns if one.round == turn} == set(PARTS)
    assert all(turn.steps == 3 and turn.wall_s > 0 for turn in found.turns)
    assert [turn.part for turn in found.turns[4:8]] == ["lightning", "loader", "step", "plain"]
    assert [turn.part for turn in found.turns[8:]] == ["lightning", "plain", "step", "loader"]
    assert found.network == "ecbsr x2" and found.batch_size == 2 and found.threads == torch.get_num_threads()


def test_the_command_writes_table_verdicts_and_every_turn(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    words = ["bench", str(recipe), "--synthetic", "--steps", "4", "--rounds", "2", "--data.batch_size", "3"]
    assert command(run, [*words, "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert "ecbsr x2, batch 3" in out and "Lightning adds" in out and "the loader gives" in out
    told = json.loads(file.read_text())
    assert len(told["turns"]) == 3 * len(PARTS) and told["settings"]["steps"] == 4 and told["versions"]["torch"]
    assert set(told["parts"]) == set(PARTS) and told["ratio_to_plain"]["plain"]["median"] == 1
    assert command(run, [*words, "--json", str(file)]) == 2, "a file that is there is not overwritten"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--synthetic"),
        (["--synthetic", "--steps", "3"], "3 steps in 10 rounds"),
        (["--synthetic", "--trainer.precision", "64-true"], "bench knows 32-true"),
        (["--synthetic", "--data.workes", "2"], "workes"),
    ],
)
def test_a_mistake_gives_one_line_and_code_2(
    recipe: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(run, ["bench", str(recipe), *words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and message in lines[0]


def test_ratios_are_taken_within_a_round() -> None:
    found = result(lightning=0.11)
    assert found.rate_ratio("lightning", "plain").low == pytest.approx(found.rate_ratio("lightning", "plain").high)
    assert found.overhead == pytest.approx(0.1)
    assert found.overhead_ms().median == pytest.approx(1.5), "1 ms a step in one round, 2 in the slower"
    assert found.overhead_cpu_ms().high == pytest.approx(1)
    assert found.samples_per_s("step").median == pytest.approx(300), "the warm-up is not counted"


@pytest.mark.parametrize(
    ("lightning", "plain", "lean"),
    [(1.04, 1.0, True), (1.06, 1.0, False), (0.012, 0.010, True), (0.090, 0.100, True)],
)
def test_lightning_may_cost_a_share_of_the_step_or_a_millisecond(lightning: float, plain: float, lean: bool) -> None:
    found = result(lightning=lightning, plain=plain)
    assert found.loop_is_lean is lean
    assert ("missed" in found.verdicts()[0]) is not lean


def test_what_is_within_the_noise_is_no_verdict() -> None:
    turns = [
        Turn(part, place, 10, seconds, seconds)
        for place, lightning in enumerate((9, 1, 1, 1.2, 1.2, 1.2))
        for part, seconds in {**dict.fromkeys(PARTS, 1.0), "lightning": lightning}.items()
    ]
    found = replace(result(), turns=tuple(turns))
    assert not found.loop_is_lean and "differ too much" in found.verdicts()[0]
    assert "differ too much" not in result(lightning=1.2, plain=1.0).verdicts()[0]


@pytest.mark.parametrize(
    ("loader", "workers", "advice"),
    [(0.06, 0, "met"), (0.07, 0, "--data.workers 2"), (0.07, 2, "edgesr-train prepare")],
)
def test_a_slow_loader_is_told_what_to_do(loader: float, workers: int, advice: str) -> None:
    found = result(loader=loader, workers=workers)
    assert advice in found.verdicts()[1] and found.loader_is_fast is (advice == "met")


def test_the_plain_loop_learns_what_lightnings_does(tmp_path: Path, recipe: Path) -> None:
    """Else it would be no measure of it. Two batches a step, gradients cut, a running average."""
    overrides = ["--trainer.accumulate_grad_batches=2", "--trainer.gradient_clip_val=0.01", "--model.average=0.5"]
    overrides += ["--model.adjustable_clip=0.00001"]
    made = BenchSettings(str(recipe), synthetic=True)
    with quiet_lightning():
        cli = read_recipe(recipe, tmp_path / "run", [*overrides, *FORCED, "--trainer.logger=false"])
        cli.trainer.callbacks = [one for one in cli.trainer.callbacks if isinstance(one, WeightAveraging)]
        _open_images(cli, made, tmp_path)
        cli.datamodule.samples_per_epoch = 12
        plain = PlainStep(cli)
        cli.datamodule.trainer = cli.trainer
        for batch in cli.datamodule.train_dataloader():
            plain(plain.placed(batch))
        cli.trainer.fit(cli.model, cli.datamodule)
    assert cli.trainer.global_step == 3 and plain.average is not None
    for ours, theirs in zip(plain.average.module.parameters(), cli.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="10 steps in 0 rounds"):
        BenchSettings("tiny", steps=10, rounds=0)
