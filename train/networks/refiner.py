"""What SRCNN, VDSR, DRCN, DRRN and MemNet have in common: bicubic enlarges the frame, and the network refines it."""

from typing import Any

from torch import Tensor, nn

from edgesr.train.networks.base import Network
from edgesr.train.networks.blocks import Bicubic

__all__ = ["Refiner"]


class Refiner(Network):
    """Frames that were enlarged beforehand, as the papers prepared them, are taken at x1: `at_scale(1)`."""

    scales = (2, 3, 4)
    colour = "luma"

    def __init__(self, scale: int, **options: Any) -> None:
        super().__init__(scale, **options)
        self.enlarge: nn.Module = Bicubic(scale)

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, H, W)
        return self.refine(self.enlarge(x))

    def refine(self, blurred: Tensor) -> Tensor:
        """(N, 1, H*scale, W*scale), enlarged -> the same, sharp."""
        raise NotImplementedError

    def at_scale(self, scale: int) -> Network:
        if scale != 1:
            other = super().at_scale(scale)
            if other is not self:
                other.enlarge = Bicubic(scale).to(next(self.parameters()).device)
            return other
        behind = self._sharing(1)
        behind.enlarge = nn.Identity()
        return behind
