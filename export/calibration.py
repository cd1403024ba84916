"""What INT8 is chosen with and judged by: the user's frames by the ruler, and ONNX Runtime doing exactly what a graph says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.quality import RULER, crop_to_multiple, psnr
from edgesr.runtime.resize import downscale
from edgesr.runtime.spec import ModelSpec

__all__ = ["BEST_DB", "Pair", "exact_session", "frame_pairs", "scores", "upscaled"]

MOST_IMAGES, LEAST_IMAGES = 16, 4
MOST_WORK = 2e12
"""Multiply-adds in which a network shall have seen all frames: half a minute on two cores that run RDSRN at 67 G/s."""
LARGEST, LEAST = 256, 16  # sides of the network's input
BEST_DB = 50.0
"""An error of less than one code value: a black frame of a video shall not decide what INT8 costs."""


@dataclass(frozen=True)
class Pair:
    """A frame for the network and what should become of it: uint8 (H, W, 3) BGR, the second `scale` times as large."""

    low: Pixels
    high: Pixels


def frame_pairs(folder: Path, spec: ModelSpec, size: tuple[int, int] | None) -> list[Pair]:
    """Pairs by the ruler, from up to 16 images spread over a folder of high-resolution ones.

    size: of the network's input (width, height), where it is fixed: then the middle of every image. Otherwise whole images, as an
    evaluation takes them, or the middle of those that are larger than 256x256 for the network, less for a slow one.
    Raises InputError where no image is large enough.
    """
    files = image_files(folder)
    least, most, count = (size, size, _affordable(size, spec)) if size else _open_sizes(spec)
    width, height = (side * spec.scale for side in least)
    pairs = []
    for index in np.unique(np.linspace(0, len(files) - 1, count).astype(int)):
        image, _ = read_image(files[index])
        if image.shape[1] >= width and image.shape[0] >= height:
            whole = crop_to_multiple(image, spec.scale * spec.size_multiple)
            sides = (min(there, side * spec.scale) for there, side in zip(whole.shape[1::-1], most, strict=True))
            high = _middle(whole, *sides)
            pairs.append(Pair(downscale(high, spec.scale), high))
    if not pairs:
        raise InputError(
            f"no image in {folder} is {width}x{height} or larger; INT8 needs high-resolution ones to choose its steps with"
        )
    return pairs


def _open_sizes(spec: ModelSpec) -> tuple[tuple[int, int], tuple[int, int], int]:
    """Smallest and largest frame for a network that takes any, and how many."""
    step = spec.size_multiple
    least = -(-max(LEAST, spec.min_size) // step) * step
    side = (MOST_WORK / MOST_IMAGES / max(spec.multiply_adds_per_pixel, 1)) ** 0.5
    most = max(least, int(min(side, LARGEST)) // step * step)
    return (least, least), (most, most), MOST_IMAGES


def _affordable(size: tuple[int, int], spec: ModelSpec) -> int:
    work = max(spec.multiply_adds(*size), 1)
    return int(np.clip(MOST_WORK / work, LEAST_IMAGES, MOST_IMAGES))


def _middle(pixels: Pixels, width: int, height: int) -> Pixels:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def exact_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Q and DQ are executed as they stand. ONNX Runtime's own INT8 kernels, which it would put in their place, round biases and, on
    an x86 without VNNI, let sums of two products saturate."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def upscaled(session: onnxruntime.InferenceSession, frame: Pixels) -> Pixels:
    return np.asarray(session.run(["upscaled"], {"frame": frame[None]})[0][0])


def scores(model: onnx.ModelProto, pairs: Sequence[Pair], scale: int) -> list[float]:
    """PSNR in dB of each frame by the ruler, never above 50."""
    session = exact_session(model)
    return [
        min(psnr(RULER.luma(upscaled(session, pair.low)), RULER.luma(pair.high), border=scale), BEST_DB)
        for pair in pairs
    ]
