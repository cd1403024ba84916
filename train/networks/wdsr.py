"""WDSR: residual blocks with many channels before the activation and few after it, weight-normalised."""

from typing import ClassVar, Literal

from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.train.networks.authors import renamed
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, normed_conv, rgb_mean

Form = Literal["a", "b"]
LOW_RANK = 0.8
"""Of form b: channels between the 1x1 and the 3x3 behind the activation, by features."""


class WideBlock(nn.Module):
    """Form a: 3x3, ReLU, 3x3. Form b: 1x1, ReLU, 1x1, 3x3, the last two a 3x3 of lower rank. Plus x."""

    def __init__(self, form: Form, features: int, expansion: int) -> None:
        super().__init__()
        wide, low = features * expansion, max(1, int(features * LOW_RANK))
        layers = {
            "a": [normed_conv(features, wide), nn.ReLU(), normed_conv(wide, features)],
            "b": [normed_conv(features, wide, 1), nn.ReLU(), normed_conv(wide, low, 1), normed_conv(low, features)],
        }
        self.layers = nn.Sequential(*layers[form])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + x


class WDSR(Network):
    """form: the paper's WDSR-A or WDSR-B; expansion: channels before the activation, by features."""

    name = "wdsr"
    paper = Paper(
        "Wide Activation for Efficient and Accurate Image Super-Resolution",
        "arXiv",
        2018,
        "https://arxiv.org/abs/1808.08718",
    )
    scales = (2, 3, 4)
    variants: ClassVar = {"b": {"form": "b", "features": 64, "expansion": 6}}
    claims = (Claim(2, 1_190_100, None, source="the authors' code"),)

    def __init__(
        self, scale: int, *, form: Form = "a", blocks: int = 16, features: int = 32, expansion: int = 4
    ) -> None:
        super().__init__(scale, form=form, blocks=blocks, features=features, expansion=expansion)
        if form not in ("a", "b"):
            raise InputError(f"wdsr has no form {form!r}; it has a and b")
        check_positive(self.name, blocks=blocks, features=features, expansion=expansion)
        self.head = normed_conv(3, features)
        self.body = nn.Sequential(*(WideBlock(form, features, expansion) for _ in range(blocks)))
        self.tail = normed_conv(features, 3 * scale**2)
        self.skip = normed_conv(3, 3 * scale**2, 5)
        self.shuffle = nn.PixelShuffle(scale)
        self.register_buffer("mean", rgb_mean(), persistent=False)
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        centred = 2 * (x - self.mean)  # about -1 to 1
        out = self.tail(self.body(self.head(centred)))
        return self.shuffle(out + self.skip(centred)) / 2 + self.mean

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return renamed(state, _PUBLISHED)


_PUBLISHED = [("head.0", "head"), ("tail.0", "tail"), ("skip.0", "skip"), (".body.", ".layers.")]
