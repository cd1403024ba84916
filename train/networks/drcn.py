"""DRCN: one convolution applied 16 times, the frame reconstructed after each."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.base import Claim, Paper
from edgesr.train.networks.blocks import check_positive, conv, he_initialised
from edgesr.train.networks.refiner import Refiner


class DRCN(Refiner):
    """recursions: D of the paper. The frames are weighed by learnt scalars and added; the weights serve any scale, though the
    authors trained them for one at a time."""

    name = "drcn"
    paper = Paper(
        "Deeply-Recursive Convolutional Network for Image Super-Resolution",
        "CVPR",
        2016,
        "https://arxiv.org/abs/1511.04491",
    )
    multi_scale = True
    claims = (
        Claim(4, None, None, psnr_db=31.53),
        Claim(4, 1_774e3, 17_974.3e9, source="CARN, ECCV 2018"),
    )

    def __init__(self, scale: int, *, recursions: int = 16, features: int = 256) -> None:
        super().__init__(scale, recursions=recursions, features=features)
        check_positive(self.name, recursions=recursions, features=features)
        self.recursions = recursions
        self.embed = nn.Sequential(conv(1, features), nn.ReLU(), conv(features, features), nn.ReLU())
        self.recursion = conv(features, features)
        self.reconstruct = nn.Sequential(conv(features, features), nn.ReLU(), conv(features, 1))
        self.weights = nn.Parameter(torch.full((recursions,), 1 / recursions))
        he_initialised(self)
        nn.init.dirac_(self.recursion.weight)  # as the paper: a recursion begins as the identity

    def refine(self, blurred: Tensor) -> Tensor:  # (N, 1, H*scale, W*scale)
        return self._weighed(self._frames(blurred))

    def predictions(self, x: Tensor) -> list[Tensor]:
        frames = list(self._frames(self.enlarge(x)))
        return [self._weighed(frames), *frames]

    def _frames(self, blurred: Tensor) -> Iterator[Tensor]:
        """After each recursion."""
        out = self.embed(blurred)
        for _ in range(self.recursions):
            out = F.relu(self.recursion(out))
            yield self.reconstruct(out) + blurred

    def _weighed(self, frames: Iterable[Tensor]) -> Tensor:
        first, *others = [weight * frame for weight, frame in zip(self.weights.unbind(), frames, strict=True)]
        return sum(others, first)
