"""When a run is saved, and how it goes on from there: between two steps, where nothing is half done."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from edgesr.runtime.errors import InputError
from edgesr.train.resume import FORMAT, LAST

__all__ = ["BEST", "Saving", "note", "sit_out"]

BEST = "best.ckpt"
SAVE_EVERY_S = 300.0
GRACE_S = 30  # SLURM's own, between SIGTERM and SIGKILL


class Saving(Checkpoint):
    """Writes `last.ckpt` before a step, when it is time, and after each epoch with its look at the validation images, and
    `best.ckpt` when that look saw the highest PSNR yet.

    Never in between, where Lightning's ModelCheckpoint writes too: gradients that wait for more, an average that is swapped in
    for validation, and a look that is still to come are not in a checkpoint.

    steps: write after so many steps instead of five minutes; 0: after five minutes.
    tell: is given a line where SIGTERM or Ctrl-C ends the run.
    """

    def __init__(self, folder: Path, steps: int = 0, tell: Callable[[str], None] = lambda line: None) -> None:
        self.folder, self.steps, self.tell = folder, steps, tell
        self.best = float("-inf")
        self.looked_at = -1
        """The step whose weights the latest look at the validation images saw."""
        self.interruption = Interruption()
        self._saved_at, self._saved_when = -1, 0.0

    def setup(self, trainer: Any, pl_module: L.LightningModule, stage: str) -> None:
        if not trainer.fast_dev_run and (trainer.limit_train_batches != 1.0 or trainer.overfit_batches):
            raise InputError(
                "an epoch is as long as data.samples_per_epoch says; leave out limit_train_batches and overfit_batches"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved_at, self._saved_when = trainer.global_step, time.monotonic()
        loop = trainer.fit_loop.epoch_loop
        loop.restarting = loop.batch_progress.current.ready > 0  # or an epoch's first batch would be passed over
        self.interruption.listen()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return
        interrupted = self.interruption.heard is not None
        if not _any(trainer, interrupted or self._due(trainer.global_step)):
            return
        self._save_last(trainer)
        if _any(trainer, interrupted):
            self._stop(trainer.global_step)

    def _due(self, step: int) -> bool:
        if self.steps:
            return step % self.steps == 0 and step != self._saved_at
        return time.monotonic() - self._saved_when >= SAVE_EVERY_S

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save_last(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if _any(trainer, self.interruption.heard is not None):
            self._stop(trainer.global_step)
        self.interruption.ignore()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn is not TrainerFn.FITTING:
            return
        self.looked_at = trainer.global_step
        psnr = float(trainer.callback_metrics["psnr"])
        if psnr > self.best:
            self.best = psnr
            self._save(trainer, BEST)

    def _save_last(self, trainer: L.Trainer) -> None:
        for logger in trainer.loggers:
            logger.save()  # so that a run that is killed now has no gap in its curves
        self._save(trainer, LAST)
        self._saved_at, self._saved_when = trainer.global_step, time.monotonic()

    def _save(self, trainer: Any, name: str) -> None:
        if not trainer.fast_dev_run:
            trainer.save_checkpoint(self.folder / name, weights_only=False)

    def _stop(self, step: int) -> None:
        self.tell(f"{self.folder / LAST} holds all {step} steps; add --resume to go on")
        self.interruption.go_on()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["edgesr"] = note(trainer, pl_module, trainer.datamodule)  # type: ignore[attr-defined]

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        batches = len(trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
        steps = checkpoint["global_step"]
        for course in checkpoint["lr_schedulers"]:
            del course["base_lrs"]  # the recipe's holds, should it have changed
        checkpoint["loops"]["fit_loop"].update(_progress(steps, steps * trainer.accumulate_grad_batches, batches))


def _progress(steps: int, done: int, each_epoch: int) -> dict[str, Any]:
    """Lightning's counters after so many steps and batches, with so many batches in each epoch.

    What it saved itself depends on where in its loops that was; resumed from, it skips a validation, counts an epoch twice, or
    begins one that is over. These are the two states from which it goes on exactly: before an epoch and, within one, where the
    end of a batch is all that is still to be counted.
    """
    epochs, batches = divmod(done, each_epoch)
    within = batches > 0
    return {
        "epoch_progress": {key: _counters(epochs + within, epochs, epochs) for key in ("total", "current")},
        "epoch_loop.batch_progress": {
            "total": _counters(done, done, done - within),
            "current": _counters(batches, batches, batches - within),
            "is_last_batch": False,
        },
        "epoch_loop.val_loop.batch_progress": {
            "total": _counters(0, 0, 0),
            "current": _counters(0, 0, 0),
            "is_last_batch": False,
        },
        "epoch_loop.state_dict": {"_batches_that_stepped": steps - within},
    }


def _counters(started: int, processed: int, completed: int) -> dict[str, int]:
    return {"ready": started, "started": started, "processed": processed, "completed": completed}


def _any(trainer: L.Trainer, wanted: bool) -> bool:
    """Whether one of the processes wants it: they save together or not at all."""
    return trainer.strategy.reduce_boolean_decision(wanted, all=False)


def note(trainer: L.Trainer, module: Any, data: Any) -> dict[str, Any]:
    """What of a run's settings decides its course, for its checkpoints."""
    network = module.network
    length = ("max_steps", trainer.max_steps) if trainer.max_steps > 0 else ("max_epochs", trainer.max_epochs)
    elsewhere = ("network", "scale", "options", "optimizer", "start", "_instantiator")
    return {
        "format": FORMAT,
        "network": {"network": network.name, "scale": network.scale, "options": network.options},
        "optimizer": str(module.optimizer),
        "trainer": {
            length[0]: length[1],
            "accumulate_grad_batches": trainer.accumulate_grad_batches,
            "gradient_clip_val": trainer.gradient_clip_val,
            "precision": trainer.precision,
            "processes": trainer.world_size,
        },
        "model": {key: str(value) for key, value in module.hparams.items() if key not in elsewhere},
        "data": data.order(),
    }


class Interruption:
    """SIGTERM and Ctrl-C, held back until the steps so far are saved; the second goes through at once."""

    def __init__(self) -> None:
        self.before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.heard: int | None = None

    def listen(self) -> None:
        """Instead of Lightning, whose answer to SIGTERM may come where the processes wait for each other."""
        if threading.current_thread() is threading.main_thread():
            for number, before in self.before.items():
                if before not in (signal.SIG_IGN, None):
                    signal.signal(number, self._hear)

    def ignore(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, before in self.before.items():
                if before is not None:
                    signal.signal(number, before)

    def go_on(self) -> None:
        """Do what would have been done without us; a process that heard nothing follows the one that did."""
        self.ignore()
        signal.raise_signal(self.heard or signal.SIGTERM)

    def _hear(self, number: int, _frame: Any) -> None:
        again, self.heard = self.heard is not None, number
        if again:
            self.go_on()


def sit_out(_worker: int) -> None:
    """For the loader's processes, which a signal to a whole group reaches too: until its step is done, the training process needs
    them, and then it ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_S))
