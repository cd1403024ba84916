"""Training: a recipe (YAML) drives Lightning; what comes out is a checkpoint with its scores.

A recipe has four parts: `seed_everything`, `trainer` (Lightning's own settings), `model` (the arguments of `SuperResolution`) and
`data` (those of `Images`). Every one can be overridden on the command line; an unknown one is an error.
"""

import argparse
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import lightning as L
import yaml  # type: ignore[import-untyped]
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import LearningRateMonitor, RichProgressBar, WeightAveraging
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import DDPStrategy
from torch.optim.swa_utils import get_ema_multi_avg_fn

from edgesr.runtime.errors import InputError, MissingFile, OutputExists, OutputFailed, RunError
from edgesr.train.checkpoint import save_checkpoint
from edgesr.train.curves import Curves
from edgesr.train.data.module import Images
from edgesr.train.evaluate import PROTOCOLS, evaluate, mean_score
from edgesr.train.module import SuperResolution
from edgesr.train.out_of_memory import is_out_of_memory, what_would_fit
from edgesr.train.recipe_errors import told
from edgesr.train.resume import Begun, CheckpointFiles, changes, last_sound, run_exists
from edgesr.train.samples import Samples
from edgesr.train.saving import Saving, note

__all__ = ["Fitted", "RecipeCLI", "find_recipe", "fit", "quiet_lightning", "read_recipe", "recipes"]


class Progress(RichProgressBar):
    """Without Lightning's `Epoch 3/-2`, where a run is as long as its steps; told of a step as often as it is drawn: Lightning
    makes its texts anew at each."""

    told = -math.inf

    def on_train_batch_end(self, trainer: L.Trainer, *others: Any) -> None:
        now = time.monotonic()
        if now - self.told >= 1 / self.refresh_rate or trainer.is_last_batch:
            self.told = now
            super().on_train_batch_end(trainer, *others)

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch}"


NOTHING = nullcontext()


class Unprofiled(PassThroughProfiler):
    """Lightning asks its profiler some eighty times a step, once for each callback and hook; its own answer costs 0.2 ms of it."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return NOTHING


class RecipeCLI(LightningCLI):
    """Scale is the network's: a recipe states it once. Callbacks of ours that have nothing to write to are left out."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("model.scale", "data.scale")
        parser.link_arguments("model.scales", "data.scales")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        try:
            super().parse_arguments(parser, args)
        except argparse.ArgumentError as error:
            known = [action.dest for action in parser._actions if action.dest]
            raise InputError(told(error, known)) from error

    def before_instantiate_classes(self) -> None:
        for recipe in self.config["config"]:
            data = yaml.safe_load(Path(recipe).read_text()).get("data")
            stated = data if isinstance(data, dict) else {}
            for key in ("scale", "scales"):
                of_model = self.config["model"][key]
                if stated.get(key) not in (None, of_model):
                    raise InputError(
                        f"data.{key} is {stated[key]} and model.{key} {of_model}; data take the model's: leave out data.{key}"
                    )

    def instantiate_trainer(self, **settings: Any) -> L.Trainer:
        given = self.config_init["trainer"]
        needs = {
            Progress: given["enable_progress_bar"] is not False,
            LearningRateMonitor: given["logger"] not in (False, []),
        }
        ours = self.trainer_defaults["callbacks"]
        self.trainer_defaults["callbacks"] = [callback for callback in ours if needs.get(type(callback), True)]
        return super().instantiate_trainer(**settings)

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        if self.model.average:
            # Lightning's EMAWeightAveraging rounds its two factors apart: constant weights drift, by 1e-5 at a decay of 0.9999.
            average = get_ema_multi_avg_fn(self.model.average)
            callbacks.insert(0, WeightAveraging(multi_avg_fn=average))
        if self.model.samples:
            callbacks.insert(0, Samples(self.model.samples, Path(self.trainer.default_root_dir)))
        if isinstance(self.trainer.strategy, DDPStrategy) and self.model.network.multi_scale:
            # CARN's tails of other scales than the batch's have no gradient.
            self.trainer.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)


@dataclass(frozen=True)
class Fitted:
    """checkpoint: <network>_x<scale>.safetensors. scores: of the test folders, or of those validated on."""

    checkpoint: Path
    scores: dict[str, float]


def recipes() -> dict[str, Path]:
    """The recipes that edgesr brings: name -> file. Those of the weights that it ships are called shipped/…"""
    folder = Path(str(files("edgesr.train"))) / "recipes"
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def find_recipe(recipe: str) -> Path:
    """A path, or the bare name of a recipe that edgesr brings."""
    known = recipes()
    for path in (Path(recipe), known.get(recipe), known.get(f"shipped/{recipe}")):
        if path is not None and path.is_file():
            return path
    raise MissingFile(f"there is no recipe {recipe}; expected a YAML file or one of: {', '.join(known)}")


def fit(
    recipe: str,
    output: Path,
    overrides: Sequence[str] = (),
    *,
    resume: bool = False,
    save_steps: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Fitted:
    """Train as the recipe says.

    output: folder for checkpoints, logs (CSV and TensorBoard) and the result.
    overrides: such as ["--trainer.max_steps", "1000"].
    resume: go on from the folder's last checkpoint that can be read.
    save_steps: write one after so many steps instead of five minutes, and in both cases after every epoch.
    tell: is given a line where a checkpoint had to be passed over, or the recipe has changed.
    The weights are those of the last step, where the schedule has come to rest (their running average, where the recipe has one);
    none is chosen by its score.
    """
    path, tell = find_recipe(recipe), rank_zero_only(tell)
    if save_steps < 0:
        raise InputError(f"--save-steps is {save_steps}; expected a number of steps, or 0 for five minutes")
    if run_exists(output) and not resume:
        raise OutputExists(f"{output} holds a run already; add --resume to go on with it, or choose another --output")
    begun: Begun | None = None
    if resume:
        begun, passed = last_sound(output)
        for line in passed:
            tell(f"{line}; going on from {begun.path.name}")
    output.mkdir(parents=True, exist_ok=True)
    with quiet_lightning():
        saving = Saving(output, save_steps, tell)
        cli = read_recipe(path, output, overrides, saving, first_step=begun.steps if begun else 0)
        if begun is not None:
            for line in changes(begun, note(cli.trainer, cli.model, cli.datamodule)):
                tell(f"{line}; the run is no longer the one that would have been without the interruption")
        try:
            cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=begun.path if begun else None, weights_only=True)
            _settle(cli, saving)
        except SystemExit as error:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from error
        except (OSError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise RunError(what_would_fit(error, cli.model, cli.datamodule)) from None
            if isinstance(error, OSError) or "PytorchStreamWriter" in str(error):  # how torch says that a disk is full
                reason = str(error).strip().splitlines()[0]
                raise OutputFailed(f"the run's files in {output} cannot be written: {reason}") from error
            raise
    return _finish(cli, output, path.stem)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without its advertisement, and without warnings that say nothing of the run."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            r".*LightningCLI's args parameter is intended to run from within Python.*",
            r".*does not have many workers.*",  # ours cut crops from memory
            r".*is smaller than the logging interval.*",
            r"Grad strides do not match bucket view strides.*",  # DDP of 1x1 kernels in channels_last
            r".*is not supported by the model summary.*",
            r".*across ranks is zero.*",  # a recipe may validate on nothing
            r".*resuming from a checkpoint that ended before the epoch ended.*",  # `Batches` knows where
        ):
            warnings.filterwarnings("ignore", message=message)
        for category in (DeprecationWarning, FutureWarning):  # how Lightning uses jsonargparse and torch
            warnings.simplefilter("ignore", category)
        yield


def read_recipe(
    recipe: Path, output: Path, overrides: Sequence[str], saving: Saving | None = None, *, first_step: int = 0
) -> RecipeCLI:
    """Trainer, model and data as the recipe and the overrides say; nothing is read or written yet.

    first_step: what the logs of an earlier process hold from there on is dropped.
    """
    where = {"save_dir": str(output)}
    csv = {"class_path": _path(Curves), "init_args": {**where, "name": "csv", "first_step": first_step}}
    tensorboard: dict[str, Any] = {
        "class_path": _path(TensorBoardLogger),
        "init_args": {**where, "name": "tensorboard", "version": 0},
        "dict_kwargs": {"purge_step": first_step},
    }
    defaults: dict[str, Any] = {
        "callbacks": [saving or Saving(output), LearningRateMonitor("step"), Progress(refresh_rate=2)],
        "logger": [csv, tensorboard],
        "default_root_dir": str(output),
        "profiler": {"class_path": _path(Unprofiled)},
        "plugins": [{"class_path": _path(CheckpointFiles)}],
        "use_distributed_sampler": False,  # `Batches` shares the samples out itself
    }
    try:
        return RecipeCLI(
            SuperResolution,
            Images,
            run=False,
            args=["--config", str(recipe), *overrides],
            trainer_defaults=defaults,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False},
            save_config_kwargs={"overwrite": True},
        )
    except InputError as error:
        raise type(error)(f"{recipe}: {error}") from error
    except (MisconfigurationException, ValueError, TypeError) as error:  # Lightning's own, of its settings
        raise InputError(f"{recipe}: {' '.join(str(error).split())}") from error


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _settle(cli: RecipeCLI, saving: Saving) -> None:
    """The average in place of the weights, and a look at the validation images with the last of them: Lightning does neither
    where a run is resumed that had no step left, and looks only where an epoch ends."""
    for callback in cli.trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, WeightAveraging):
            callback.on_train_end(cli.trainer, cli.model)
    if saving.looked_at != cli.trainer.global_step and len(cli.datamodule.validation):
        cli.trainer.validate(cli.model, cli.datamodule, verbose=False)


def _finish(cli: RecipeCLI, output: Path, recipe: str) -> Fitted:
    network = cli.model.network.cpu().eval()
    result = Fitted(output / f"{network.name}_x{network.scale}.safetensors", {})
    if not cli.trainer.is_global_zero:
        return result
    for folder in cli.datamodule.test_folders:
        mean = mean_score(list(evaluate(network, folder, PROTOCOLS["matlab"])))
        assert mean.psnr_db is not None  # a network has it
        result.scores.update({f"{folder.name} PSNR": mean.psnr_db, f"{folder.name} SSIM": mean.ssim})
    validated = {name: float(value) for name, value in cli.trainer.callback_metrics.items() if name in ("psnr", "ssim")}
    result.scores.update({f"validation {name.upper()}": value for name, value in validated.items()})
    save_checkpoint(result.checkpoint, network, result.scores, recipe=recipe, steps=str(cli.trainer.global_step))
    return result
