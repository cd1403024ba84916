"""The data of a recipe, as Lightning takes them."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edgesr.runtime.errors import InputError
from edgesr.train.data.crops import Batches, Crops
from edgesr.train.data.degradations import chain_from
from edgesr.train.data.multi_scale import MultiScaleCrops, open_at_scales
from edgesr.train.data.stores import Chosen, Pair, Paired, Store, joined, whole
from edgesr.train.saving import sit_out

__all__ = ["Images"]


class Images(L.LightningDataModule):
    """Random crops of `train`; the whole images of `validate` and those held out.

    An entry of `train` or `validate` is a folder of high-resolution images below `root`, whose low resolution is made by the ruler's
    bicubic; a file made by `edgesr-train prepare` (.h5); or {low: FOLDER, high: FOLDER}.

    Args:
        root: where the entries lie.
        train: what is trained on.
        scale: the model's; filled in.
        scales: the model's; filled in.
        validate: what the PSNR is taken of after each epoch.
        hold_out: that many images of `train`, drawn by seed, are kept from training and validated on.
        test: folders that the finished weights are scored on, and that nothing looks at before.
        patch: side of a crop at low resolution, in pixels, at every scale.
        high_patch: side of a crop at high resolution in its place, as the early papers have it; at each scale as much of it as is
            whole low-resolution pixels: 41 is 40, 39 and 40 at x2, x3 and x4.
        batch_size: crops a step and process.
        samples_per_epoch: crops between two looks at the validation images.
        degradations: steps from high to low resolution, in order, such as [{kind: bicubic}, {kind: noise, sigma: 25}]; none: bicubic.
        workers: processes that cut crops; 0 cuts them in the training process.
        seed: of crops, flips, turns, degradations, and of the images held out.
        skip_unreadable: leave damaged images out instead of refusing them.
    """

    def __init__(
        self,
        root: Path,
        train: list[str | Paired],
        scale: int,
        scales: list[int] | None = None,
        validate: list[str | Paired] | None = None,
        hold_out: int = 0,
        test: list[str] | None = None,
        patch: int = 48,
        high_patch: int = 0,
        batch_size: int = 16,
        samples_per_epoch: int = 16000,
        degradations: list[dict[str, Any]] | None = None,
        workers: int = 0,
        seed: int = 1,
        skip_unreadable: bool = False,
    ) -> None:
        super().__init__()
        self.root, self.train, self.validate = Path(root), train, validate or []
        self.test_folders = [self.root / name for name in test or []]
        self.scale, self.hold_out = scale, hold_out
        self.scales = [scale, *sorted({*(scales or ())} - {scale})]
        if (high_patch // max(self.scales) if high_patch else patch) < 1:
            wrong = f"data.high_patch {high_patch}" if high_patch else f"data.patch {patch}"
            raise InputError(
                f"a crop of {wrong} holds no pixel of low resolution at x{max(self.scales)}; use a larger one"
            )
        self.patch, self.high_patch = patch, high_patch
        self.batch_size, self.samples_per_epoch = batch_size, samples_per_epoch
        self.chain = chain_from(degradations) if degradations else None
        self.workers, self.seed, self.skip_unreadable = workers, seed, skip_unreadable
        self.crops: Crops | MultiScaleCrops | None = None

    def setup(self, stage: str) -> None:
        if self.crops is None:
            stores = self._opened(self.train, self.scales)
            parts = {scale: store.split(self.hold_out, self.seed) for scale, store in stores.items()}
            crops = {scale: self._crops(train) for scale, (train, _) in parts.items()}
            together = self.batch_size * (self.trainer.world_size if self.trainer else 1)
            several = len(crops) > 1
            self.crops = MultiScaleCrops(crops, seed=self.seed, together=together) if several else crops[self.scale]
            held_out, others = parts[self.scale][1], self._opened(self.validate, [self.scale])[self.scale]
            self.validation = joined([held_out, others], self.scale)
            if self.validation.channels == 1:
                raise InputError(
                    "images of Y alone cannot be validated on; name a folder in data.validate, and hold out none"
                )

    def _opened(self, entries: list[str | Paired], scales: list[int]) -> dict[int, Chosen]:
        """All entries as one store, by scale."""
        opened = [open_at_scales(entry, self.root, scales, skip_unreadable=self.skip_unreadable) for entry in entries]
        return {scale: joined([stores[scale] for stores in opened], scale) for scale in scales}

    def _crops(self, store: Chosen) -> Crops:
        patch = self.high_patch // store.scale if self.high_patch else self.patch
        return Crops(store, patch=patch, seed=self.seed, chain=self.chain)

    def order(self) -> dict[str, Any]:
        """What decides, beside the position, which samples come next; a checkpoint notes it."""
        names = ("batch_size", "samples_per_epoch", "patch", "high_patch", "scales", "seed", "hold_out")
        return {name: getattr(self, name) for name in names}

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        assert self.crops is not None and self.trainer is not None
        order = Batches(
            self.samples_per_epoch,
            self.batch_size,
            self._position,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            accumulate=self.trainer.accumulate_grad_batches,
        )
        return crops_loader(self.crops, order, self.workers)

    def _position(self) -> int:
        """Batches done, counted from the steps, which are in the checkpoint."""
        assert self.trainer is not None
        return self.trainer.global_step * self.trainer.accumulate_grad_batches

    def val_dataloader(self) -> list[DataLoader[Pair]]:
        return [DataLoader(_Whole(self.validation, self), collate_fn=list)] if len(self.validation) else []


def crops_loader(crops: Crops | MultiScaleCrops, order: Batches, workers: int) -> DataLoader[tuple[Tensor, Tensor]]:
    return DataLoader(
        crops,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=sit_out,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _as_it_is(batch: Any) -> Any:
    return batch


class _Whole(Dataset[Pair]):
    """Whole images; degraded, where the recipe says so, the same way each time."""

    def __init__(self, store: Store, data: Images) -> None:
        self.store, self.chain, self.seed = store, data.chain, data.seed

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> Pair:
        low, high = whole(self.store, index)
        if self.chain is not None:
            low = self.chain(high, self.store.scale, np.random.default_rng((self.seed, index)))
        return low, high
