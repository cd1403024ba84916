"""A recipe's training step without Lightning: what `bench` holds Lightning's loop against."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgesr.runtime.errors import InputError
from edgesr.train.fit import RecipeCLI
from edgesr.train.module import SuperResolution

__all__ = ["PlainStep"]

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}

Batch = tuple[Tensor, Tensor]


class PlainStep:
    """The recipe's training step, as one writes it by hand in PyTorch."""

    def __init__(self, cli: RecipeCLI) -> None:
        trainer = cli.trainer
        if trainer.precision not in AUTOCAST:
            raise InputError(f"trainer.precision is {trainer.precision}; bench knows {', '.join(AUTOCAST)}")
        self.device = trainer.strategy.root_device
        self.module: SuperResolution = deepcopy(cli.model).to(self.device).train()
        self.module.trainer = trainer  # for the length of the schedule alone
        made = self.module.configure_optimizers()
        self.module.trainer = None
        self.optimizer, self.schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
        self.dtype = AUTOCAST[trainer.precision]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)
        self.clip, self.clip_by = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        self.average: AveragedModel | None = None
        if decay := self.module.average:
            self.average = AveragedModel(self.module, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.every, self.batches = trainer.accumulate_grad_batches, 0

    def placed(self, batch: Batch) -> Batch:
        low, high = (part.to(self.device, non_blocking=True) for part in batch)
        return low, high

    def __call__(self, batch: Batch) -> None:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            loss = self.module.loss_of(batch) / self.every
        self.scaler.scale(loss).backward()
        self.batches += 1
        if self.batches % self.every:
            return
        self.scaler.unscale_(self.optimizer)
        self._clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.module)

    def _clip(self) -> None:
        if self.clip:
            cut = nn.utils.clip_grad_value_ if self.clip_by == "value" else nn.utils.clip_grad_norm_
            cut(self.module.parameters(), self.clip)
        rate = self.optimizer.param_groups[0]["lr"]
        if self.module.adjustable_clip and rate:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.module.adjustable_clip / rate)
