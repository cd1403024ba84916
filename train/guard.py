"""What stops a run that goes wrong: a loss that is no number or explodes, weights that are none."""

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from edgesr.runtime.errors import OutputFailed, RunError
from edgesr.runtime.files import replaced
from edgesr.runtime.images import write_image
from edgesr.train.samples import enlarged, picture, sheet

if TYPE_CHECKING:
    from edgesr.train.data.crops import Place
    from edgesr.train.module import SuperResolution

__all__ = ["Guard", "Trouble", "save_batch", "stop", "worst_first"]

SETTLED = 100
"""Losses that a mean is taken of before another is held against it."""
MEMORY = 0.99
"""Of the running mean."""
SHOWN = 16
"""Samples on the sheet."""

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Trouble:
    """batch: as the loader gave it. step: counted from 1. position: batches that this process had before it."""

    reason: str
    loss: float
    batch: Batch
    step: int
    position: int


@dataclass
class _Seen:
    loss: Callable[[], float]
    batch: Batch
    step: int
    position: int
    judged: bool = False


class Guard:
    """Looks at every loss of a run.

    explosion: a loss so many times the running mean is one; 0: none is.
    late: look at each loss when the next one is known, so that a GPU is never waited for.
    """

    def __init__(self, explosion: float, *, late: bool = False) -> None:
        self.explosion, self.late = explosion, late
        self.mean, self.seen = 0.0, 0
        self._latest: _Seen | None = None

    def see(self, loss: Tensor, batch: Batch, step: int, position: int) -> Trouble | None:
        """What is wrong with this loss or, where the guard is late, with the one before it."""
        before = self.settled() if self.late else None
        self._latest = _Seen(_read_later(loss.detach()), batch, step, position)
        return before if self.late else self.settled()

    def settled(self, network: nn.Module | None = None) -> Trouble | None:
        """What is wrong with the latest loss, if it was not looked at, and with the network's weights."""
        seen = self._latest
        if seen is None:
            return None
        reason = "" if seen.judged else self._judged(seen.loss())
        seen.judged = True
        if not reason and network is not None and (name := _not_finite(network)):
            reason = f"{name} is no longer finite"
        return Trouble(reason, seen.loss(), seen.batch, seen.step, seen.position) if reason else None

    def _judged(self, loss: float) -> str:
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        # The weights of the mean sum to 1 - MEMORY ** seen.
        usual = self.mean / (1 - MEMORY**self.seen) if self.seen >= SETTLED else math.inf
        if self.explosion and loss > self.explosion * usual > 0:
            return f"the loss is {loss:.4g}, {loss / usual:.0f} times its running mean"
        self.mean, self.seen = MEMORY * self.mean + (1 - MEMORY) * loss, self.seen + 1
        return ""


def _read_later(loss: Tensor) -> Callable[[], float]:
    """Copies the value without waiting for it; the result waits for the copy alone, not for what was begun since."""
    if not loss.is_cuda:
        return lambda: float(loss)
    host = torch.empty((), dtype=loss.dtype, pin_memory=True)
    host.copy_(loss, non_blocking=True)
    done = torch.cuda.Event()
    done.record()

    def read() -> float:
        done.synchronize()
        return float(host)

    return read


def _not_finite(network: nn.Module) -> str:
    """The name of a parameter that is not; empty: all are."""
    return next((name for name, value in network.named_parameters() if not torch.isfinite(value).all()), "")


def stop(trouble: Trouble, module: "SuperResolution") -> NoReturn:
    """Save the batch in the run's folder and raise RunError."""
    low, high = trouble.batch
    with torch.no_grad():
        losses = [float(module.loss_of((low[i : i + 1], high[i : i + 1]))) for i in range(len(low))]
    line = f"training stopped at step {trouble.step}: {trouble.reason}"
    if any(map(math.isfinite, losses)):
        worst = worst_first(losses)[0]
        epoch, index = _places(module, trouble.position)[worst]
        line += f"; sample {worst} of the batch is the worst, (epoch, index) ({epoch}, {index})"
    path = save_batch(Path(module.trainer.default_root_dir), trouble, losses)
    raise RunError(
        f"{line}. The batch is in {path}, a picture of it beside; lower model.learning_rate, raise model.schedule.warmup_steps, "
        "or clip gradients (trainer.gradient_clip_val)"
    )


def _places(module: "SuperResolution", position: int) -> list["Place"]:
    loader: Any = module.trainer.train_dataloader
    sampler = loader.batch_sampler
    order = copy(getattr(sampler, "order", sampler))  # within batches of several scales
    order.position = lambda: position
    return next(iter(order))


def save_batch(folder: Path, trouble: Trouble, losses: list[float]) -> Path:
    """Write <folder>/stopped_at_step_N.safetensors (low, high, loss, losses, step) and a sheet beside it: low and high
    resolution of each sample, the worst first. losses: of each sample alone.

    Raises OutputFailed where the disk refuses.
    """
    path = folder / f"stopped_at_step_{trouble.step}.safetensors"
    low, high = (part.detach().cpu().contiguous() for part in trouble.batch)
    tensors = {"low": low, "high": high, "loss": torch.tensor(trouble.loss), "losses": torch.tensor(losses)}
    with replaced(path) as beside:
        try:
            save_file({**tensors, "step": torch.tensor(trouble.step)}, beside)
        except SafetensorError as error:
            raise OutputFailed(f"{path} cannot be written: {error}") from error
    scale = high.shape[-1] // low.shape[-1]
    rows = [[enlarged(picture(low[i]), scale), picture(high[i])] for i in worst_first(losses)[:SHOWN]]
    write_image(path.with_suffix(".png"), sheet(rows))
    return path


def worst_first(losses: list[float]) -> list[int]:
    """Places of a batch, by loss; what is no number is worst of all."""
    return sorted(range(len(losses)), key=lambda i: -losses[i] if math.isfinite(losses[i]) else -math.inf)
