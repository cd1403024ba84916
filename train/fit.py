"""Training: a recipe (YAML) drives Lightning; what comes out is a checkpoint with its scores.

A recipe has four parts: `seed_everything`, `trainer` (Lightning's own settings), `model` (the arguments of `SuperResolution`) and
`data` (those of `Images`). Every one can be overridden on the command line; an unknown one is an error.
"""

import argparse
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from edgesr.runtime.errors import InputError, MissingFile, OutputExists, OutputFailed, RunError
from edgesr.runtime.quality import RULER, psnr
from edgesr.runtime.spec import Colour
from edgesr.train.checkpoint import save_checkpoint
from edgesr.train.data.folders import Crops, EpochSampler, Pair, read_pairs
from edgesr.train.evaluate import PROTOCOLS, evaluate, mean_score, sharpen
from edgesr.train.networks import build_network, network_class

__all__ = ["Images", "SuperResolution", "find_recipe", "fit", "read_recipe"]


class SuperResolution(L.LightningModule):
    """A network with its loss and schedule: L1, Adam, a linear warm-up, then a cosine down to zero at the last step.

    Args:
        network: name in the table of `edgesr.train.networks`.
        scale: 2, 3 or 4, as the network has it.
        options: the network's own, such as {blocks: 6, width: 16}.
        learning_rate: at the top of the schedule.
        warmup_steps: length of the rise.
    """

    def __init__(
        self,
        network: str,
        scale: int,
        options: dict[str, Any] | None = None,
        learning_rate: float = 5e-4,
        warmup_steps: int = 500,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = build_network(network, scale, options)
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        low, high = (part.contiguous(memory_format=torch.channels_last) for part in batch)
        loss = F.l1_loss(self.network(low), high)
        if not torch.isfinite(loss):
            raise RunError(f"the loss is {loss.item()} at step {self.global_step}; lower model.learning_rate")
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: list[Pair], _index: int) -> None:
        (low, high), scale = batch[0], self.network.scale
        luma = sharpen(self.network, low)
        self.log("psnr", psnr(luma, RULER.luma(high), border=scale), prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.network.parameters(), self.learning_rate, fused=True)
        # max_steps sets the length even where max_epochs or max_time ends the run earlier, so that it can be resumed.
        steps = self.trainer.max_steps if self.trainer.max_steps > 0 else int(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
            return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Images(L.LightningDataModule):
    """Folders below `root`: random crops of `train`, the whole images of `validate`.

    Args:
        root: where the folders lie.
        train: folders of high-resolution images; low resolution is made by the ruler's bicubic.
        validate: folders whose PSNR is taken after each epoch.
        scale: the model's; filled in.
        colour: the network's; filled in.
        patch: side of a crop at low resolution, in pixels.
        batch_size: crops a step.
        samples_per_epoch: crops between two looks at the validation images.
        workers: processes that cut crops; 0 cuts them in the training process.
        seed: of crops, flips and turns.
    """

    def __init__(
        self,
        root: Path,
        train: list[str],
        validate: list[str],
        scale: int,
        colour: Colour,
        patch: int = 48,
        batch_size: int = 16,
        samples_per_epoch: int = 16000,
        workers: int = 0,
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.train_folders = [Path(root) / name for name in train]
        self.validation_folders = [Path(root) / name for name in validate]
        self.scale, self.colour, self.patch = scale, colour, patch
        self.batch_size, self.samples_per_epoch = batch_size, samples_per_epoch
        self.workers, self.seed = workers, seed
        self.crops: Crops | None = None

    def setup(self, stage: str) -> None:
        if self.crops is None:
            self.validation_pairs = read_pairs(self.validation_folders, self.scale)
            pairs = read_pairs(self.train_folders, self.scale)
            self.crops = Crops(pairs, self.colour, self.scale, patch=self.patch, seed=self.seed)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        assert self.crops is not None
        sampler = EpochSampler(self.samples_per_epoch, self._epoch)
        return DataLoader(self.crops, self.batch_size, sampler=sampler, num_workers=self.workers)

    def _epoch(self) -> int:
        """Counted from the steps done: Lightning's own count skips one when a run is resumed."""
        assert self.trainer is not None
        batches = self.trainer.global_step * self.trainer.accumulate_grad_batches
        return batches // -(-self.samples_per_epoch // self.batch_size)

    def val_dataloader(self) -> DataLoader[Pair]:
        return DataLoader(_Whole(self.validation_pairs), collate_fn=list)


class _Whole(Dataset[Pair]):
    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]


class RecipeCLI(LightningCLI):
    """Scale and colour are the network's: a recipe states them once."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("model.scale", "data.scale")
        parser.link_arguments("model.network", "data.colour", compute_fn=lambda name: network_class(name).colour)


def find_recipe(recipe: str) -> Path:
    """A path, or the bare name of a recipe that edgesr brings."""
    shipped = Path(str(files("edgesr.train"))) / "recipes"
    for path in (Path(recipe), shipped / f"{recipe}.yaml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in shipped.glob("*.yaml")))
    raise MissingFile(f"there is no recipe {recipe}; expected a YAML file or one of: {known}")


def fit(recipe: str, output: Path, overrides: Sequence[str] = (), *, resume: bool = False) -> Path:
    """Train as the recipe says and return the checkpoint's path, `output`/<network>_x<scale>.safetensors.

    output: folder for checkpoints, logs (CSV and TensorBoard) and the result.
    overrides: such as ["--trainer.max_steps", "1000"].
    resume: go on from the folder's last checkpoint.
    The weights are those of the last step, where the schedule has come to rest; none is chosen by its score.
    """
    path, last = find_recipe(recipe), output / "last.ckpt"
    if last.exists() and not resume:
        raise OutputExists(f"{output} holds a run already; add --resume to go on with it, or choose another --output")
    if resume and not last.exists():
        raise MissingFile(f"{last} does not exist; there is nothing to resume")
    output.mkdir(parents=True, exist_ok=True)
    with quiet_lightning():
        cli = read_recipe(path, output, overrides)
        try:
            cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=str(last) if resume else None)
        except SystemExit as error:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from error
        except (OSError, RuntimeError) as error:
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
            r".*Checkpoint directory .* exists and is not empty",  # `fit` has looked already
            r".*is smaller than the logging interval.*",
            r".*could not find the monitored key.*",  # when resumed, before the first look at the images
        ):
            warnings.filterwarnings("ignore", message=message)
        for category in (DeprecationWarning, FutureWarning):  # how Lightning uses jsonargparse and torch
            warnings.simplefilter("ignore", category)
        yield


def read_recipe(recipe: Path, output: Path, overrides: Sequence[str]) -> RecipeCLI:
    """Trainer, model and data as the recipe and the overrides say; nothing is read or written yet."""
    # Two, since Lightning's own save_last writes only when the score has become better.
    each_epoch: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    last = ModelCheckpoint(output, filename="last", **each_epoch)
    best = ModelCheckpoint(output, filename="best", monitor="psnr", mode="max", **each_epoch)
    loggers = {
        "csv": "lightning.pytorch.loggers.CSVLogger",
        "tensorboard": "lightning.pytorch.loggers.TensorBoardLogger",
    }
    defaults: dict[str, Any] = {
        "callbacks": [last, best],
        "logger": [
            {"class_path": kind, "init_args": {"save_dir": str(output), "name": name}} for name, kind in loggers.items()
        ],
        "default_root_dir": str(output),
    }
    try:
        return RecipeCLI(
            SuperResolution,
            Images,
            run=False,
            args=["--config", str(recipe), *overrides],
            trainer_defaults=defaults,
            parser_kwargs={"exit_on_error": False},
            save_config_kwargs={"overwrite": True},
        )
    except (argparse.ArgumentError, MisconfigurationException, ValueError) as error:
        raise InputError(f"{recipe}: {error}") from error


def _finish(cli: RecipeCLI, output: Path, recipe: str) -> Path:
    network = cli.model.network.cpu().eval()
    scores: dict[str, float] = {}
    for folder in cli.datamodule.validation_folders:
        mean = mean_score(list(evaluate(network, folder, PROTOCOLS["matlab"])))
        assert mean.psnr_db is not None  # a network has it
        scores |= {f"{folder.name} PSNR": mean.psnr_db, f"{folder.name} SSIM": mean.ssim}
    result = output / f"{network.name}_x{network.scale}.safetensors"
    save_checkpoint(result, network, scores, recipe=recipe, steps=str(cli.trainer.global_step))
    return result
