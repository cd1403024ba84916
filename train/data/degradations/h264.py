"""H.264, by libx264: the last frame of a short, slowly drifting clip, so that it is predicted as most frames of a stream are."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import opencv
from edgesr.train.data.degradations.base import (
    Frames,
    Image,
    Span,
    Step,
    as_bytes,
    as_floats,
    between,
    draw,
    draw_whole,
    number,
    one_of,
)
from edgesr.train.data.degradations.x264 import last_decoded

__all__ = ["H264"]

MATRICES = {601: (0.299, 0.114), 709: (0.2126, 0.0722)}
"""ITU-R BT.601 and BT.709: the weights of red and blue in luma."""

PRESETS = ("superfast", "veryfast", "faster", "fast", "medium", "slow")
"""Not ultrafast: it has no deblocking, which cameras do, and opens five times as slowly (1.8 ms, x264 165)."""


@dataclass(frozen=True, kw_only=True)
class H264(Step):
    """yuv420p, limited range. Give qp, the quantiser of the predicted frames in whole numbers, or crf, x264's rate factor.

    frames: of the clip, drawn in whole numbers; the first is coded alone, the others are predicted, the last one stays. The
    steps before see them all: noise is fresh in each.
    drift: how far, in pixels of the low resolution, the picture moves at most from frame to frame, in either direction.
    preset: x264's.
    matrix: 601 or 709, from BGR and back."""

    qp: Span | None = field(default=None, metadata=between(0, 51, whole=True))
    crf: Span | None = field(default=None, metadata=between(0, 51))
    frames: Span = field(default=2, metadata=between(1, 8, whole=True))
    drift: float = field(default=1.0, metadata=number(0, 16))
    preset: str = field(default="veryfast", metadata=one_of(*PRESETS))
    matrix: int = field(default=601, metadata=one_of(*MATRICES))

    kind, main = "h264", "qp"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.qp is None) == (self.crf is None):
            given = "neither is" if self.qp is None else "both are"
            raise InputError(f"degradation h264: expected qp or crf; {given} given")

    def clip(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        count = draw_whole(self.frames, rng)
        step = rng.uniform(-self.drift, self.drift, size=2) * pitch
        if len(frames) > 1:  # another step has made a clip
            return frames
        return [_moved(frames[0], *np.rint(step * back).astype(int)) for back in range(count - 1, 0, -1)] + frames

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        options = {"qp": str(draw_whole(self.qp, rng))} if self.qp is not None else {}
        options |= {"crf": f"{draw(self.crf, rng):.3f}"} if self.crf is not None else {}
        height, width = frames[0].shape[:2]
        coded = [_planes(_even(as_bytes(frame)), self.matrix) for frame in frames]
        last = last_decoded(coded, options | {"preset": self.preset})
        return [_pixels(last, self.matrix)[:height, :width]]


def _moved(image: Image, down: int, right: int) -> Image:
    """What lies `down` and `right` of the image, as far as it is known; beyond, its edge is mirrored."""
    cv2 = opencv()
    height, width = image.shape[:2]
    top, left = max(0, -down), max(0, -right)
    wider = cv2.copyMakeBorder(image, top, max(0, down), left, max(0, right), cv2.BORDER_REFLECT)
    moved: Image = wider[max(0, down) :, max(0, right) :][:height, :width]
    return moved


def _even(pixels: Pixels) -> Pixels:
    """4:2:0 needs even sizes."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if height % 2 or width % 2 else pixels


@lru_cache
def _yuv_from_bgr(matrix: int) -> NDArray[np.float32]:
    """(3, 4), the last column an offset: BGR in 0–255 -> Y in 16–235, Cb and Cr in 16–240."""
    red, blue = MATRICES[matrix]
    luma = np.array([blue, 1 - red - blue, red])
    rows = [luma * 219, (np.array([1, 0, 0]) - luma) * 112 / (1 - blue), (np.array([0, 0, 1]) - luma) * 112 / (1 - red)]
    return np.column_stack([np.array(rows) / 255, [16, 128, 128]]).astype(np.float32)


@lru_cache
def _bgr_from_yuv(matrix: int) -> NDArray[np.float32]:
    forward = _yuv_from_bgr(matrix).astype(np.float64)
    back = np.linalg.inv(forward[:, :3])
    return np.column_stack([back, -back @ forward[:, 3]]).astype(np.float32)


def _planes(pixels: Pixels, matrix: int) -> Pixels:
    """(H, W, 3) BGR -> (H * 3/2, W): Y, and below it Cb and Cr of a quarter, each the mean of four pixels."""
    cv2 = opencv()
    height, width = pixels.shape[:2]
    yuv = cv2.transform(as_floats(pixels), _yuv_from_bgr(matrix))
    chroma = cv2.resize(yuv[..., 1:], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    planes = np.concatenate([yuv[..., 0].ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel()])
    return as_bytes(planes).reshape(height * 3 // 2, width)


def _pixels(planes: Pixels, matrix: int) -> NDArray[np.float32]:
    """The way back from `_planes`, chroma interpolated."""
    cv2 = opencv()
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    chroma = planes[height:].reshape(2, height // 2, width // 2).astype(np.float32)
    whole = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in chroma]
    bgr = cv2.transform(cv2.merge([as_floats(planes[:height]), *whole]), _bgr_from_yuv(matrix))
    result: NDArray[np.float32] = np.clip(bgr, 0, 255)
    return result
