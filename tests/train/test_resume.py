"""A run that is killed and resumed is the run that was never killed, to the bit; damaged checkpoints are passed over by name."""

import importlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import torch
from safetensors.torch import load_file

from edgesr.runtime.command import command
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import load_checkpoint
from edgesr.train.resume import BEFORE, LAST, CheckpointFiles, last_sound

# Five steps an epoch; the last four of fourteen are no whole one.
RECIPE = """
seed_everything: 1
trainer: {{max_steps: 14, accelerator: cpu, log_every_n_steps: 1}}
model: {{network: ecbsr, scale: 2, options: {{blocks: 1, width: 4}}, learning_rate: 0.02, schedule: {{warmup_steps: 2}}, samples: 0}}
data: {{root: {root}, train: [photos], validate: [photos], patch: 8, batch_size: 2, samples_per_epoch: 11}}
"""
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["edgesr.train.fit", "skimage.metrics", "torch.utils.tensorboard"])

STEP, LOOK = "edgesr.train.module:SuperResolution.training_step", "edgesr.train.module:SuperResolution.validation_step"
SAVED, WRITE = "edgesr.train.saving:Saving._save_last", "edgesr.train.resume:CheckpointFiles.save_checkpoint"
FINISHED = "edgesr.train.fit:_finish"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, written: Callable[[Path, str], Path]) -> Path:
    return written(tmp_path_factory.mktemp("recipe"), RECIPE)


def fit(*arguments: object) -> int:
    return command(run, ["fit", *map(str, arguments)])


def in_child(*arguments: object, signal_at: tuple[str, int, int] | None = None) -> int:
    """The exit code of a process that trains.

    signal_at: (function, call, signal) that it sends itself and, as a terminal and SLURM do, the loader's processes; SIGKILL
    comes to it alone.
    """
    child = CHILDREN.Process(target=_child, args=([str(argument) for argument in arguments], signal_at))
    child.start()
    child.join()
    with suppress(ProcessLookupError):  # who is killed leaves the loader's processes behind
        os.killpg(child.pid, signal.SIGKILL)
    assert child.exitcode is not None
    return child.exitcode


def _child(arguments: list[str], signal_at: tuple[str, int, int] | None) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    if signal_at is not None:
        _signal_itself(*signal_at)
    sys.exit(fit(*arguments))


def _signal_itself(place: str, call: int, number: int) -> None:
    module, _, names = place.partition(":")
    *owners, name = names.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    function, calls = getattr(owner, name), iter(range(1, 1000))

    def signalling(*arguments: Any, **settings: Any) -> Any:
        if next(calls) == call:
            (os.kill if number == signal.SIGKILL else os.killpg)(os.getpid(), number)
        return function(*arguments, **settings)

    setattr(owner, name, signalling)


def state(run: Path) -> dict[str, Any]:
    """Everything that a run leaves, but for the time."""
    last = torch.load(run / LAST, weights_only=True)
    network, scores = load_checkpoint(run / "ecbsr_x2.safetensors")
    return {
        "weights": {name: value.numpy().tobytes() for name, value in network.state_dict().items()},
        "file": {name: value.numpy().tobytes() for name, value in load_file(run / "ecbsr_x2.safetensors").items()},
        "scores": scores,
        "optimizer": {
            (i, name): torch.as_tensor(value).numpy().tobytes()
            for i, of_one in last["optimizer_states"][0]["state"].items()
            for name, value in of_one.items()
        },
        "schedule": last["lr_schedulers"],
        "callbacks": last["callbacks"],
        "epoch": last["epoch"],
        "log": (run / "csv" / "version_0" / "metrics.csv").read_text(),
        "logs": sorted(path.name for path in [*run.glob("csv/*"), *run.glob("tensorboard/*")]),
    }


RUNS = {
    "plain": [],
    "workers": ["--data.workers", "2"],
    "accumulated": ["--trainer.accumulate_grad_batches", "2", "--data.samples_per_epoch", "22"],
    "averaged": ["--model.average", "0.9"],
    "epochs": ["--trainer.max_steps", "-1", "--trainer.max_epochs", "3"],
    "degraded": [
        *("--data.workers", "2", "--data.degradations"),
        "[{kind: bicubic}, {kind: noise, sigma: [0, 25]}, {kind: h264, qp: [20, 34], probability: 0.5}]",
    ],
    "long": ["--trainer.max_steps", "40", "--data.workers", "2"],
    "often looked at": ["--trainer.val_check_interval", "2"],
}


@pytest.fixture(scope="module")
def unbroken(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The state of a run that was never stopped, by name in RUNS."""
    states: dict[str, dict[str, Any]] = {}

    def of(name: str) -> dict[str, Any]:
        if name not in states:
            run = tmp_path_factory.mktemp("unbroken")
            assert in_child(recipe, "--output", run, "--save-steps", 3, *RUNS[name]) == 0
            states[name] = state(run)
        return dict(states[name])

    return of


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("plain", [(STEP, 9)]),
        ("workers", [(STEP, 9)]),
        ("plain", [(LOOK, 4)]),  # two more looked before the first step; so within the first epoch's
        ("plain", [(SAVED, 2), (STEP, 4)]),  # at the first epoch's end, and once more in the next
        pytest.param("plain", [(STEP, 6)], marks=pytest.mark.slow),
        pytest.param("workers", [(STEP, 4), (LOOK, 3)], marks=pytest.mark.slow),
        ("plain", [(FINISHED, 1)]),
        ("accumulated", [(STEP, 12)]),
        ("averaged", [(STEP, 9), (LOOK, 2)]),
        pytest.param("averaged", [(FINISHED, 1)], marks=pytest.mark.slow),
        ("epochs", [(STEP, 6), (STEP, 3)]),
        ("often looked at", [(STEP, 9)]),
    ],
)
def test_killed_and_resumed_is_as_never_killed(
    recipe: Path, tmp_path: Path, unbroken: Any, name: str, places: list[tuple[str, int]]
) -> None:
    settings = ["--output", tmp_path / "run", "--save-steps", 3, *RUNS[name]]
    for i, (place, call) in enumerate(places):
        again = ["--resume"] if i else []
        assert in_child(recipe, *settings, *again, signal_at=(place, call, signal.SIGKILL)) == -signal.SIGKILL
    assert in_child(recipe, *settings, "--resume") == 0
    resumed, whole = state(tmp_path / "run"), unbroken(name)
    if places[-1][0] == FINISHED:  # the look after the last step is logged beside the others
        del resumed["log"], whole["log"]
    for key in resumed:
        assert resumed[key] == whole[key], key


def test_degraded_crops_are_the_same_whoever_cuts_them(recipe: Path, tmp_path: Path, unbroken: Any) -> None:
    """Noise and an encoder's artefacts, by two processes before the kill and by the training process after it."""
    settings = ["--output", tmp_path / "run", "--save-steps", 3, *RUNS["degraded"]]
    assert in_child(recipe, *settings, signal_at=(STEP, 9, signal.SIGKILL)) == -signal.SIGKILL
    assert in_child(recipe, *settings, "--resume", "--data.workers", 0) == 0
    resumed, whole = state(tmp_path / "run"), unbroken("degraded")
    for key in resumed:
        assert resumed[key] == whole[key], key


def test_a_command_killed_from_outside_is_resumed_to_the_same_weights(
    recipe: Path, tmp_path: Path, unbroken: Any
) -> None:
    run, settings = tmp_path / "run", [*RUNS["long"], "--save-steps", "3"]
    command_line = [sys.executable, "-m", "edgesr.train", "fit", str(recipe), "--output", str(run), *settings]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command_line, start_new_session=True, **quiet) as process:
        while process.poll() is None and not (run / BEFORE).exists():
            time.sleep(0.01)
        process.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was done before it was killed"
    assert in_child(recipe, "--output", run, "--resume", *settings) == 0
    assert state(run)["weights"] == unbroken("long")["weights"]


@pytest.mark.parametrize(
    ("number", "code", "workers"), [(signal.SIGTERM, 143, 2), (signal.SIGINT, 130, 2), (signal.SIGTERM, 143, 0)]
)
def test_a_signal_ends_the_run_after_a_checkpoint(
    recipe: Path, tmp_path: Path, unbroken: Any, number: int, code: int, workers: int
) -> None:
    run = tmp_path / "run"
    assert in_child(recipe, "--output", run, "--data.workers", workers, signal_at=(STEP, 9, number)) == code
    assert last_sound(run)[0].steps == 9, "the step that it came in is done"
    assert in_child(recipe, "--output", run, "--resume", "--save-steps", 3) == 0
    assert state(run)["weights"] == unbroken("plain")["weights"]


@pytest.fixture(scope="module")
def stopped(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two checkpoints of a run that was killed: of steps 6 and 5."""
    run = tmp_path_factory.mktemp("stopped")
    assert in_child(recipe, "--output", run, "--save-steps", 3, signal_at=(STEP, 8, signal.SIGKILL)) == -signal.SIGKILL
    return run


@pytest.fixture
def two(stopped: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    run = tmp_path / "two"
    shutil.copytree(stopped, run)
    assert last_sound(run)[0].steps == 6
    return run


def _flip(path: Path) -> None:
    """A bit of a weight."""
    content = bytearray(path.read_bytes())
    content[content.index(_weights(torch.load(path, weights_only=True))[0])] ^= 1
    path.write_bytes(content)


def _weights(checkpoint: dict[str, Any]) -> list[bytes]:
    return [value.numpy().tobytes() for value in checkpoint["state_dict"].values()]


DAMAGES = {
    "a flipped byte": (_flip, "is damaged"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is damaged"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged"),
    "missing": (Path.unlink, "is missing"),
    "another program's": (lambda path: torch.save({"state_dict": {}}, path), "is none of edgesr"),
    "code in it": (lambda path: torch.save({"edgesr": Path()}, path), "holds more than weights and settings"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_checkpoint_is_passed_over(two: Path, damage: str) -> None:
    spoil, reason = DAMAGES[damage]
    spoil(two / LAST)
    begun, passed = last_sound(two)
    assert begun.path == two / BEFORE and begun.steps == 5
    assert len(passed) == 1 and str(two / LAST) in passed[0] and reason in passed[0]


def test_every_damaged_byte_is_noticed_or_does_no_harm(two: Path) -> None:
    whole = (two / LAST).read_bytes()
    weights = _weights(torch.load(two / LAST, weights_only=True))
    for place in range(0, len(whole), len(whole) // 150):
        (two / LAST).write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        begun, passed = last_sound(two)
        assert passed or _weights(torch.load(begun.path, weights_only=True)) == weights, place


def test_a_run_resumed_from_the_checkpoint_before_says_so_and_ends_the_same(
    recipe: Path, two: Path, unbroken: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    _flip(two / LAST)
    assert fit(recipe, "--output", two, "--resume", "--save-steps", 3) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "last" in line]
    assert told == [f"{two / LAST} is damaged; going on from {BEFORE}"]
    assert state(two)["weights"] == unbroken("plain")["weights"]


def test_a_damaged_checkpoint_never_takes_the_place_of_the_sound_one(two: Path) -> None:
    _flip(two / LAST)
    files = CheckpointFiles()
    files.save_checkpoint(files.load_checkpoint(two / BEFORE), two / LAST)
    assert last_sound(two)[1] == []
    (two / LAST).unlink()
    assert last_sound(two)[0].steps == 5


def test_killed_between_the_two_renamings_something_is_left(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = CheckpointFiles()
    content = files.load_checkpoint(two / LAST)
    rename = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target == two / LAST:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        files.save_checkpoint(content, two / LAST)
    begun, passed = last_sound(two)
    assert begun.path == two / BEFORE and begun.steps == 6 and "is missing" in passed[0]


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a run that ended in an error."""
    told = capsys.readouterr().err
    lines = [line for line in told.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and "Traceback" not in told
    return lines[0]


def test_without_a_sound_checkpoint_one_line_says_so(
    recipe: Path, two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _flip(two / LAST)
    (two / BEFORE).write_bytes(b"")
    assert fit(recipe, "--output", two, "--resume") == 2
    assert f"{LAST} is damaged and" in (line := refusal(capsys)) and "nothing is left to resume" in line


def test_a_checkpoint_of_a_newer_edgesr_is_refused(recipe: Path, two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = torch.load(two / LAST, weights_only=True)
    content["edgesr"]["format"] += 1
    torch.save(content, two / LAST)
    assert fit(recipe, "--output", two, "--resume") == 2
    assert "pip install -U edgesr" in refusal(capsys)


def test_another_network_is_refused(recipe: Path, two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(recipe, "--output", two, "--resume", "--model.options", "{blocks: 2, width: 4}") == 2
    assert "'blocks': 1" in (line := refusal(capsys)) and "'blocks': 2" in line


def test_another_optimiser_is_refused(recipe: Path, two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(recipe, "--output", two, "--resume", "--model.optimizer.kind", "sgd") == 2
    assert "kind='adam'" in (line := refusal(capsys)) and "kind='sgd'" in line


def test_changed_settings_are_told_and_gone_on_with(
    recipe: Path, two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = ["--data.seed", 5, "--data.batch_size", 4, "--model.learning_rate", 0.001, "--trainer.max_steps", 8]
    assert fit(recipe, "--output", two, "--resume", *changed) == 0
    told = [line.partition(";")[0] for line in capsys.readouterr().err.splitlines() if "no longer" in line]
    assert told == [
        "trainer.max_steps was 14 and is 8",
        "model.learning_rate was 0.02 and is 0.001",
        "data.batch_size was 2 and is 4",
        "data.seed was 1 and is 5",
    ]


def _small_disk(arguments: list[str], limit: int, told: str) -> None:
    os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT), sys.stderr.fileno())
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.exit(fit(*arguments))


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoints(recipe: Path, two: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in two.glob("*.ckpt")}
    arguments = [str(recipe), "--output", str(two), "--resume", "--save-steps", "3"]
    limit, told = (two / LAST).stat().st_size // 2, tmp_path / "told"
    child = CHILDREN.Process(target=_small_disk, args=(arguments, limit, str(told)))
    child.start()
    child.join()
    assert child.exitcode == 1
    errors = [line for line in told.read_text().splitlines() if "rror" in line]
    assert len(errors) == 1 and f"{LAST} cannot be written" in errors[0]
    assert {path.name: path.read_bytes() for path in two.glob("*.ckpt")} == before
    assert not list(two.glob(".*")), "nothing half-written is left"


def test_the_best_score_is_kept_over_a_resume(recipe: Path, two: Path) -> None:
    best = torch.load(two / "best.ckpt", weights_only=True)["global_step"]
    worse = ["--model.schedule.kind", "constant", "--model.learning_rate", 5, "--trainer.max_epochs", 2]
    assert fit(recipe, "--output", two, "--resume", *worse) == 0
    assert torch.load(two / LAST, weights_only=True)["global_step"] == 10
    assert torch.load(two / "best.ckpt", weights_only=True)["global_step"] == best == 5


@pytest.mark.parametrize("setting", [["--trainer.limit_train_batches", 2], ["--trainer.overfit_batches", 1]])
def test_an_epoch_of_another_length_is_refused(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: list[object]
) -> None:
    assert fit(recipe, "--output", tmp_path / "run", *setting) == 2
    assert "data.samples_per_epoch" in refusal(capsys)
