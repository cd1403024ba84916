"""LESRCNN: 3x3 and 1x1 convolutions in turn, a pixel shuffle of first and last features, and refinement at full size."""

from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.train.networks.authors import renamed, without_mean_shift
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, conv, rgb_mean, upsampler


class EnhancementStep(nn.Module):
    """A 3x3 with ReLU and a 1x1, added to what came in; the sum goes through a ReLU."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.wide = conv(features, features, bias=False)
        self.narrow = conv(features, features, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.narrow(F.relu(self.wide(x))) + x)


class LESRCNN(Network):
    """steps: of information extraction and enhancement; refinements: convolutions behind the pixel shuffle.

    In the paper's text a step carries on the sum from before its ReLU; the authors' code carries on that from behind it,
    and so do their weights.
    """

    name = "lesrcnn"
    paper = Paper(
        "Lightweight Image Super-Resolution with Enhanced CNN",
        "Knowledge-Based Systems",
        2020,
        "https://arxiv.org/abs/2007.04344",
    )
    scales = (2, 3, 4)
    claims = (
        Claim(4, None, None, psnr_db=31.88),
        Claim(
            2,
            516_000,
            None,
            why="the figure fits x2 with one convolution of 3x3 behind the pixel shuffle; the authors' code and weights have four",
        ),
    )

    def __init__(self, scale: int, *, steps: int = 8, refinements: int = 4, features: int = 64) -> None:
        super().__init__(scale, steps=steps, refinements=refinements, features=features)
        check_positive(self.name, steps=steps, refinements=refinements, features=features)
        self.head = conv(3, features, bias=False)
        self.steps = nn.Sequential(*(EnhancementStep(features) for _ in range(steps)))
        self.upsample = upsampler(features, scale)
        self.refine = nn.ModuleList(conv(features, features, bias=False) for _ in range(refinements))
        self.tail = conv(features, 3, bias=False)
        self.register_buffer("mean", rgb_mean(), persistent=False)
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        first = F.relu(self.head(x - self.mean))
        last = self.steps(first)
        out = F.relu(self.upsample(last) + self.upsample(first))  # (N, 64, H*scale, W*scale)
        for layer in self.refine:
            out = F.relu(layer(out))
        return self.tail(out) + self.mean

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(without_mean_shift(state), _PUBLISHED)


_PUBLISHED = [
    *((f"conv17_{i + 1}.0", f"refine.{i}") for i in range(4)),
    *((f"conv{2 * i + 2}.0", f"steps.{i}.wide") for i in reversed(range(8))),
    *((f"conv{2 * i + 3}.0", f"steps.{i}.narrow") for i in reversed(range(8))),
    ("conv18.0", "tail"),
    ("conv1.0", "head"),
    ("upsample.up.body", "upsample"),
]
