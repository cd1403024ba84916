"""One training step and one look at a validation image: the LightningModule of every recipe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.runtime.quality import RULER, psnr, ssim
from edgesr.train.checkpoint import begin_from, brought
from edgesr.train.data.colour import network_batch
from edgesr.train.data.stores import Pair
from edgesr.train.distillation import Distillation, Teacher
from edgesr.train.evaluate import sharpen
from edgesr.train.guard import Guard, Trouble, stop
from edgesr.train.layers import outputs_of
from edgesr.train.losses import LossName, WeightedLoss
from edgesr.train.networks import Network, build_network
from edgesr.train.schedule import Optimizer, Schedule
from edgesr.train.supervision import DeepSupervision

__all__ = ["SuperResolution"]


class SuperResolution(L.LightningModule):
    """A network in its training form, with loss, optimiser and schedule.

    Args:
        network: name in the table of `edgesr.train.networks`, such as rdsrn, or fsrcnn:s for a variant.
        scale: one that the network has; what is validated, and the checkpoint's own.
        scales: those that one set of weights is trained for, `scale` among them; each batch is of one. None: `scale` alone.
        options: the network's own, such as {blocks: 6, width: 16}.
        loss: weight by name: l1, mse, charbonnier, frequency.
        deep_supervision: share of the loss, 0 to 1, that a network's reconstructions on the way to its output have (DRCN,
            MemNet, LapSRN); or two, at the first step and at the last.
        learning_rate: at the top of the schedule.
        optimizer: see `edgesr.train.schedule.Optimizer`.
        schedule: see `edgesr.train.schedule.Schedule`.
        average: decay of a running average of the weights, such as 0.999, that is validated and kept; 0: none.
        start: a checkpoint of the same kind of network to begin from; what does not fit (another scale's tail) stays fresh.
        channels_last: memory format of network and batches.
        compile: run the network through torch.compile.
        teacher: a network to learn from beside the truth; see `edgesr.train.distillation.Teacher`.
        adjustable_clip: the gradient's norm is clipped to this over the learning rate, as the code of DRRN and MemNet does
            (0.01); 0: not. Each value for itself, as their papers have it, does not hold VDSR: it diverges in the first steps.
        explosion: a loss so many times its running mean stops the run, as one that is no number does; 0: only that.
        samples: validation images of which a part is drawn after each look at them; 0: none.
    """

    def __init__(
        self,
        network: str,
        scale: int,
        options: dict[str, Any] | None = None,
        scales: list[int] | None = None,
        loss: dict[LossName, float] | None = None,
        deep_supervision: float | tuple[float, float] = 0.0,
        learning_rate: float = 5e-4,
        optimizer: Optimizer = Optimizer(),  # noqa: B008 - frozen
        schedule: Schedule = Schedule(),  # noqa: B008 - frozen
        average: float = 0.0,
        start: Path | None = None,
        channels_last: bool = True,
        compile: bool = False,
        teacher: Teacher | None = None,
        adjustable_clip: float = 0.0,
        explosion: float = 1000.0,
        samples: int = 3,
    ) -> None:
        super().__init__()
        if not 0 <= average < 1:
            raise InputError(f"model.average is {average}; expected a decay from 0 (none) to below 1, such as 0.999")
        if not learning_rate > 0 or min(adjustable_clip, explosion, samples) < 0:
            raise InputError(
                "expected a model.learning_rate above 0, and model.adjustable_clip, explosion and samples from 0"
            )
        if compile and teacher is not None and teacher.pairs:
            raise InputError(
                "features cannot be looked at in a compiled network; leave out model.compile or model.teacher.pairs"
            )
        self.save_hyperparameters()
        self.network = build_network(network, scale, options)
        self.network.serves = _served(self.network, scales, teacher)
        if start is not None:
            begin_from(self.network, brought(start))
        if channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.passes: dict[int, Callable[[Tensor], list[Tensor]]] = {}
        self.compiled = compile
        self.loss, self.supervision = WeightedLoss(loss or {"l1": 1.0}), DeepSupervision(deep_supervision)
        self.total_steps = 0
        self.learning_rate, self.optimizer, self.schedule, self.average = learning_rate, optimizer, schedule, average
        self.distillation = Distillation(self.network, teacher) if teacher is not None else None
        self.adjustable_clip, self.samples = adjustable_clip, samples
        self.guard = Guard(explosion)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":  # by Lightning, some forty times a step; torch's own way makes 0.2 ms of it
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def on_fit_start(self) -> None:
        self.guard.late = self.device.type == "cuda"

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self.loss_of(batch)
        before = self.trainer.accumulate_grad_batches
        self._check(self.guard.see(loss, batch, self.global_step + 1, self.global_step * before + index % before))
        often: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (self.global_step + 1) % often == 0:  # when Lightning's loggers write
            self.log("loss", loss, prog_bar=True)
        return loss

    def loss_of(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Of a batch as the loader gives it."""
        low, high = self.prepared(batch)
        scale = high.shape[-1] // low.shape[-1]
        if self.distillation is None:
            return self._supervised(self.predictions(low, scale), high)
        if scale != self.network.scale:
            raise InputError(f"a teacher looks at x{self.network.scale}, and the images of data.train are x{scale}")
        with outputs_of(self.network, self.distillation.settings.pairs) as features:
            predictions = self.predictions(low, scale)
        loss: Tensor = self._supervised(predictions, high) + self.distillation(batch[0], predictions[0], features)
        return loss

    def predictions(self, low: Tensor, scale: int) -> list[Tensor]:
        """As `Network.predictions`, the output first.

        scale: the batch's; 1 where its images were enlarged beforehand. Raises InputError where the network has no such form.
        """
        if scale not in self.passes:
            given = self.network.at_scale(scale).predictions
            self.passes[scale] = torch.compile(given) if self.compiled else given
        return self.passes[scale](low)

    def _supervised(self, predictions: list[Tensor], truth: Tensor) -> Tensor:
        return self.supervision(self.loss, predictions, truth, self.global_step / max(1, self.total_steps - 1))

    def _check(self, trouble: Trouble | None) -> None:
        if trouble is not None:
            stop(trouble, self)

    def on_train_end(self) -> None:
        self._check(self.guard.settled(self.network))

    def prepared(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """uint8 RGB as the loader gives it -> what the network takes and should give."""
        with torch.autocast(self.device.type, enabled=False):  # which would round Y to half precision
            low, high = (network_batch(part, self.network.colour) for part in batch)
        return low.contiguous(memory_format=self.memory_format), high.contiguous(memory_format=self.memory_format)

    def validation_step(self, batch: list[Pair], _index: int) -> None:
        (low, high), scale = batch[0], self.network.scale
        network = self.network.at_scale(high.shape[1] // low.shape[1])
        with torch.autocast(self.device.type, enabled=False):
            luma, truth = sharpen(network, low), RULER.luma(high)
        self.log("psnr", psnr(luma, truth, border=scale), prog_bar=True, batch_size=1, sync_dist=True)
        self.log("ssim", ssim(luma.round(), truth, border=scale), batch_size=1, sync_dist=True)

    def on_save_checkpoint(self, _checkpoint: dict[str, Any]) -> None:
        self._check(self.guard.settled(self.network))

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer.over(
            self.network,
            self.learning_rate,
            beside=self.distillation.parameters() if self.distillation else (),
            fused=self.trainer.precision != "16-mixed",
        )
        # max_steps sets the length even where max_epochs or max_time ends the run earlier, so that it can be resumed.
        steps = self.trainer.max_steps if self.trainer.max_steps > 0 else int(self.trainer.estimated_stepping_batches)
        self.total_steps = steps
        course = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule.over(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": course, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        rate = optimizer.param_groups[0]["lr"]
        if self.adjustable_clip and rate:
            nn.utils.clip_grad_norm_(self.parameters(), self.adjustable_clip / rate)


def _served(network: Network, scales: list[int] | None, teacher: Teacher | None) -> tuple[int, ...]:
    """Its own scale first; raises InputError where the network's weights do not serve the others."""
    others = sorted({*(scales or ())} - {network.scale})
    if scales and network.scale not in scales:
        raise InputError(f"model.scales is {scales} and model.scale {network.scale}; expected it among them")
    if others and teacher is not None:
        raise InputError("a teacher has one scale, and model.scales several; leave one of them out")
    for other in others:
        network.at_scale(other)
    return (network.scale, *others)
