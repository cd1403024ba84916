"""Pictures of a run: a few validation images after each look at them, bicubic, network and truth side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import write_image
from edgesr.runtime.quality import RULER
from edgesr.runtime.resize import upscale
from edgesr.train.data.colour import network_input
from edgesr.train.networks import Network

if TYPE_CHECKING:
    from edgesr.train.data.stores import Pair

__all__ = ["Samples", "enlarged", "picture", "sheet", "upscaled"]

SIDE = 192
"""Pixels of high resolution, about."""
GAP = 4


class Samples(Callback):
    """The middle of the first `count` validation images: to <folder>/samples/step_N.png, a row each, and to TensorBoard."""

    def __init__(self, count: int, folder: Path) -> None:
        self.count, self.folder = count, folder / "samples"
        self.rows: list[list[Pixels]] = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: "list[Pair]",
        batch_idx: int,
        *_: Any,
    ) -> None:
        """At the end of a batch, not of all: a running average of the weights is in the network only until then."""
        if trainer.sanity_checking or not trainer.is_global_zero or len(self.rows) >= self.count:
            return
        network: Any = pl_module.network
        low, high = _middle(batch[0], network)
        self.rows.append([upscale(low, network.scale), upscaled(network, low), high])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        rows, self.rows = self.rows, []
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_image(self.folder / f"step_{trainer.global_step:07}.png", sheet(rows))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for i, row in enumerate(rows):
                    shown = np.ascontiguousarray(sheet([row])[..., ::-1])
                    logger.experiment.add_image(f"sample {i}", shown, trainer.global_step, dataformats="HWC")


def _middle(pair: "Pair", network: Network) -> "Pair":
    """About SIDE pixels of the high resolution, of a size that the network takes."""
    (low, high), scale, multiple = pair, network.scale, network.size_multiple
    wanted = max(SIDE // scale, network.min_size)
    height, width = (
        side if network.fixed_size else max(multiple, min(side, wanted) // multiple * multiple)
        for side in low.shape[:2]
    )
    top, left = (low.shape[0] - height) // 2, (low.shape[1] - width) // 2
    inside = slice(top, top + height), slice(left, left + width)
    return low[inside], high[top * scale : (top + height) * scale, left * scale : (left + width) * scale]


@torch.no_grad()
def upscaled(network: Network, low: Pixels) -> Pixels:
    """uint8 (H, W, 3) BGR -> the same, `scale` times as wide: as it deploys, a luma network's chroma by bicubic."""
    given = network_input(low, network.colour)[None].to(next(network.parameters()).device)
    with torch.autocast(given.device.type, enabled=False):
        values = network(given)[0].nan_to_num().clamp(0, 1).double().cpu().numpy() * 255
    if network.colour == "rgb":
        return np.asarray(np.rint(values[::-1].transpose(1, 2, 0)), np.uint8)
    bicubic = upscale(low.astype(np.float64), network.scale)
    # With Cb and Cr as they are, a difference in Y is the same difference in R, G and B.
    brighter = RULER.grey(values[0]) - RULER.grey(RULER.luma(bicubic))
    return np.asarray(np.rint(np.clip(bicubic + brighter[..., None], 0, 255)), np.uint8)


def picture(sample: Tensor) -> Pixels:
    """(3 or 1, H, W) in 0–255, RGB or Y, as the loader gives it -> uint8 (H, W, 3) BGR."""
    values = np.nan_to_num(sample.float().cpu().numpy()).clip(0, 255)
    return np.ascontiguousarray(np.rint(values)[::-1].transpose(1, 2, 0).repeat(3 // len(values), axis=2)).astype(
        np.uint8
    )


def enlarged(pixels: Pixels, scale: int) -> Pixels:
    """Every pixel a square."""
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def sheet(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    """Pictures in rows, with white between them."""
    height = sum(row[0].shape[0] + GAP for row in rows) - GAP
    width = max(sum(one.shape[1] + GAP for one in row) for row in rows) - GAP
    out = np.full((height, width, 3), 255, np.uint8)
    top = 0
    for row in rows:
        left = 0
        for one in row:
            out[top : top + one.shape[0], left : left + one.shape[1]] = one
            left += one.shape[1] + GAP
        top += row[0].shape[0] + GAP
    return out
