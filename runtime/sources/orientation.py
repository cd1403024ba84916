"""A video's display matrix: by how much a decoded frame must be turned to stand upright."""

import struct
from dataclasses import dataclass
from typing import Any

import av

from edgesr.runtime.errors import UnreadableVideo
from edgesr.runtime.frame import Pixels

__all__ = ["UPRIGHT", "Orientation", "orientation_of"]


@dataclass(frozen=True)
class Orientation:
    """Rows and columns exchanged first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @property
    def words(self) -> str:
        """`turned by 90° clockwise`, `mirrored`, ..."""
        turn = {
            (False, True, True): "turned by 180°",
            (True, True, False): "turned by 90° clockwise",
            (True, False, True): "turned by 90° counter-clockwise",
        }
        return turn.get((self.transposed, self.mirrored_x, self.mirrored_y), "mirrored") + " as its display matrix says"

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) as decoded -> (H, W, 3) as shown, a view."""
        turned = pixels.swapaxes(0, 1) if self.transposed else pixels
        return turned[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1]


UPRIGHT = Orientation()


def orientation_of(frame: av.VideoFrame, title: str) -> Orientation:
    """Raises UnreadableVideo for a matrix that turns by anything but right angles."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")  # PyAV's stubs lack this
    if data is None:
        return UPRIGHT
    # x' = a x + c y, y' = b x + d y, in 16.16 fixed point: ISO/IEC 14496-12, 6.2.2
    a, b, _, c, d = struct.unpack_from("=5i", data)
    if not b and not c and a and d:
        return Orientation(False, a < 0, d < 0)
    if not a and not d and b and c:
        return Orientation(True, c < 0, b < 0)
    raise UnreadableVideo(f"{title} is to be shown at a slant; expected turns by 90°: rotate it with ffmpeg first")
