"""Training: a recipe (YAML) drives Lightning; what comes out is a checkpoint with its scores."""

import math
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from edgesr.runtime.errors import RunError
from edgesr.runtime.quality import RULER, psnr
from edgesr.runtime.spec import Colour
from edgesr.train.data.folders import Crops, Pair, read_pairs
from edgesr.train.evaluate import sharpen
from edgesr.train.networks import build_network

__all__ = ["Images", "SuperResolution"]


class SuperResolution(L.LightningModule):
    """A network with its loss and schedule: L1, Adam, warm-up, then a cosine down to zero at the last step.

    network, scale, options: see `edgesr.train.networks`.
    learning_rate: at the top of the schedule.
    warmup_steps: linear rise at the start.
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
        steps = int(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
            return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Images(L.LightningDataModule):
    """Folders below `root`: random crops of `train`, the whole images of `validate`.

    patch: side of a crop at low resolution, in pixels.
    samples_per_epoch: crops between two looks at the validation images.
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
        self.root, self.train, self.validate = Path(root), train, validate
        self.scale, self.colour, self.patch = scale, colour, patch
        self.batch_size, self.samples_per_epoch = batch_size, samples_per_epoch
        self.workers, self.seed = workers, seed

    def setup(self, stage: str) -> None:
        self.validation_pairs = read_pairs([self.root / name for name in self.validate], self.scale)
        self.crops = Crops(
            read_pairs([self.root / name for name in self.train], self.scale),
            self.colour,
            self.scale,
            patch=self.patch,
            samples_per_epoch=self.samples_per_epoch,
            seed=self.seed,
        )

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        assert self.trainer is not None
        self.crops.epoch = self.trainer.current_epoch
        return DataLoader(self.crops, self.batch_size, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[Pair]:
        return DataLoader(_Whole(self.validation_pairs), collate_fn=list)


class _Whole(Dataset[Pair]):
    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]
