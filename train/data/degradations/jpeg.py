"""JPEG, by OpenCV's libjpeg."""

from dataclasses import dataclass, field

import numpy as np

from edgesr.runtime.images import opencv
from edgesr.train.data.degradations.base import Frames, Image, Span, Step, as_bytes, between, draw_whole, one_of

__all__ = ["Jpeg"]


@dataclass(frozen=True, kw_only=True)
class Jpeg(Step):
    """quality: libjpeg's, drawn in whole numbers; chroma: 444 for all of it, 422 for half, 420 for a quarter."""

    quality: Span = field(metadata=between(0, 100, whole=True))
    chroma: int = field(default=420, metadata=one_of(420, 422, 444))

    kind, main = "jpeg", "quality"

    def apply(self, frames: Frames, pitch: int, rng: np.random.Generator) -> Frames:
        cv2 = opencv()
        sampling = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{self.chroma}")
        settings = [cv2.IMWRITE_JPEG_QUALITY, draw_whole(self.quality, rng)]
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]

        def coded(frame: Image) -> Image:
            _, data = cv2.imencode(".jpg", as_bytes(frame), settings)
            decoded: Image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            return decoded

        return [coded(frame) for frame in frames]
