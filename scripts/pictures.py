"""For the scripts that show models side by side: open whatever upscales, and draw labelled crops."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesr.runtime.backends import open_backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import opencv

GAP = 4
CAPTION = 24
GROUND = 24  # dark grey


@dataclass(frozen=True)
class Upscaler:
    """upscale: uint8 (H, W, 3) BGR -> bytes of `scale` times the size."""

    title: str
    scale: int
    upscale: Callable[[Pixels], Pixels]


def open_upscaler(given: str) -> Upscaler:
    """`FILE` or `LABEL=FILE`: a .safetensors checkpoint, an .onnx file, an .engine, or bicubic:4. Open until the script ends."""
    label, equals, model = ("", "", given) if Path(given).exists() else given.partition("=")
    label, model = (label, model) if equals else ("", given)
    if Path(model).suffix == ".safetensors":
        from edgesr.export.verify import reference
        from edgesr.train.checkpoint import load_checkpoint

        network = load_checkpoint(Path(model))[0].eval()
        return Upscaler(label or Path(model).stem, network.scale, lambda low: reference(network, low))
    backend = open_backend(model)
    title = "bicubic" if model.startswith("bicubic") else Path(model).stem
    return Upscaler(label or title, backend.spec.scale, lambda low: backend.infer(low).copy())


def open_upscalers(given: Sequence[str]) -> list[Upscaler]:
    """Raises InputError where they have not all the same scale."""
    opened = [open_upscaler(one) for one in given]
    if len({one.scale for one in opened}) > 1:
        scales = ", ".join(f"{one.title} x{one.scale}" for one in opened)
        raise InputError(f"models of one scale can be compared; given are {scales}")
    return opened


def sheet(rows: Sequence[Mapping[str, Pixels]], zoom: int) -> Pixels:
    """Each row's crops beside each other with their labels above, magnified without smoothing."""
    lines = [np.hstack([_labelled(label, crop, zoom) for label, crop in row.items()]) for row in rows]
    width = max(line.shape[1] for line in lines)
    padded = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=GROUND) for line in lines]
    return np.asarray(np.vstack(padded), np.uint8)


def _labelled(label: str, crop: Pixels, zoom: int) -> Pixels:
    cv2 = opencv()
    large = crop.repeat(zoom, 0).repeat(zoom, 1)
    caption = np.full((CAPTION, large.shape[1], 3), GROUND, np.uint8)
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    (width, _), _ = cv2.getTextSize(label, font, size, 1)
    size *= min(1.0, (large.shape[1] - 8) / width)
    cv2.putText(caption, label, (4, 17), font, size, (255, 255, 255), 1, cv2.LINE_AA)
    picture = np.vstack([caption, large])
    return np.pad(picture, ((0, GAP), (0, GAP), (0, 0)), constant_values=GROUND)
