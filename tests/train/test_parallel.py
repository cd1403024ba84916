"""Two processes, as `--trainer.devices 2` starts them: they share the samples, end with the same weights, and one of them writes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch

from edgesr.runtime.command import command
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import load_checkpoint

RECIPE = """
seed_everything: 1
trainer: {{max_steps: 8, accelerator: cpu, log_every_n_steps: 1}}
model: {{network: ecbsr, scale: 2, options: {{blocks: 1, width: 4}}, learning_rate: 0.005, samples: 0}}
data: {{root: {root}, train: [photos], validate: [photos], patch: 8, batch_size: 4, samples_per_epoch: 40}}
"""

# Notes in FOLDER what each process draws, and its last weights; rank 0 is killed in step KILLED_IN.
PROGRAM = """
import os, signal, sys
from pathlib import Path
import torch
from edgesr.runtime.command import command
from edgesr.train import fit, module
from edgesr.train.__main__ import run
from edgesr.train.data.crops import Crops

folder, killed_in, arguments = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
rank = int(os.environ.get("LOCAL_RANK", 0))
draw, step, finish = Crops.__getitems__, module.SuperResolution.training_step, fit._finish

def drawn(self, places):
    with (folder / f"places{rank}").open("a") as file:
        file.writelines(f"{epoch} {index}\\n" for epoch, index in places)
    return draw(self, places)

def stepping(self, batch, index):
    if rank == 0 and self.global_step + 1 == killed_in:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)

def finished(cli, *rest):
    torch.save(cli.model.network.state_dict(), folder / f"weights{rank}.pt")
    return finish(cli, *rest)

Crops.__getitems__, module.SuperResolution.training_step, fit._finish = drawn, stepping, finished
sys.exit(command(run, ["fit", *arguments]))
"""
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, written: Callable[[Path, str], Path]) -> Path:
    return written(tmp_path_factory.mktemp("recipe"), RECIPE)


def train(folder: Path, recipe: Path, *arguments: str, killed_in: int = 0) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    program = folder / "program.py"
    program.write_text(PROGRAM)
    fit = [str(folder), str(killed_in), str(recipe), "--output", str(folder / "run"), *arguments]
    alone = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, str(program), *fit], capture_output=True, text=True, env=alone, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def together(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of a run of two processes."""
    folder = tmp_path_factory.mktemp("together")
    done = train(folder, recipe, *TWO)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def places(folder: Path, rank: int) -> list[tuple[int, ...]]:
    return [tuple(map(int, line.split())) for line in (folder / f"places{rank}").read_text().splitlines()]


def weights(folder: Path, rank: int = 0) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / f"weights{rank}.pt")
    return state


def test_two_processes_draw_disjoint_samples(together: tuple[Path, str]) -> None:
    first, second = (places(together[0], rank) for rank in (0, 1))
    assert len(first) == len(second) == 8 * 4 and not set(first) & set(second)
    assert sorted(first + second) == [(0, i) for i in range(40)] + [(1, i) for i in range(24)]


def test_two_processes_end_with_equal_weights(together: tuple[Path, str]) -> None:
    first, second = (weights(together[0], rank) for rank in (0, 1))
    saved = load_checkpoint(together[0] / "run" / "ecbsr_x2.safetensors")[0].state_dict()
    for name, value in first.items():
        assert torch.equal(value, second[name]) and torch.equal(value, saved[name]), name


def test_one_process_writes_and_prints(together: tuple[Path, str]) -> None:
    folder, told = together
    assert "Warning" not in told and told.count("Trainable params") == 1 and told.count("wrote ") == 1
    events = list((folder / "run").glob("tensorboard/version_*/events*"))
    assert len({path.name.split(".")[-2] for path in events}) == 1, "of one process, by its number"
    lines = (folder / "run" / "csv" / "version_0" / "metrics.csv").read_text().splitlines()
    assert len([line for line in lines[1:] if line.split(",")[1]]) == 8, "a loss for each step"


def test_two_processes_take_the_steps_of_one_with_twice_the_batch(
    recipe: Path, together: tuple[Path, str], tmp_path: Path
) -> None:
    arguments = ["fit", str(recipe), "--output", str(tmp_path), "--data.batch_size", "8"]
    assert command(run, arguments) == 0
    one, two = load_checkpoint(tmp_path / "ecbsr_x2.safetensors")[0].state_dict(), weights(together[0])
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_two_processes_killed_and_resumed_are_as_never_killed(
    recipe: Path, together: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    assert train(folder, recipe, *TWO, "--save-steps", "2", killed_in=4).returncode == -9
    assert torch.load(folder / "run" / "last.ckpt", weights_only=True)["global_step"] == 2
    resumed = train(folder, recipe, *TWO, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    for name, value in weights(together[0]).items():
        assert torch.equal(weights(folder)[name], value), name
