"""RCAN: residual groups of residual blocks with channel attention."""

from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.networks.attention import ChannelAttention
from edgesr.train.networks.authors import renamed, without_mean_shift
from edgesr.train.networks.base import Claim, Network, Paper
from edgesr.train.networks.blocks import check_positive, conv, rgb_mean, upsampler

REDUCTION = 16


class ResidualChannelAttentionBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(features, features), conv(features, features)
        self.attention = ChannelAttention(features, REDUCTION)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(self.conv2(F.relu(self.conv1(x)))) + x


class ResidualGroup(nn.Module):
    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualChannelAttentionBlock(features) for _ in range(blocks)))
        self.fuse = conv(features, features)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(self.blocks(x)) + x


class RCAN(Network):
    """groups, blocks: G and B of the paper, residual groups and the blocks in each."""

    name = "rcan"
    paper = Paper(
        "Image Super-Resolution Using Very Deep Residual Channel Attention Networks",
        "ECCV",
        2018,
        "https://arxiv.org/abs/1807.02758",
    )
    scales = (2, 3, 4, 8)
    whole_frame_statistics = True
    claims = (
        Claim(4, None, None, psnr_db=32.63),
        Claim(4, 16e6, 919.9e9, source="tables of later papers", why="they round 15.6 M up"),
    )

    def __init__(self, scale: int, *, groups: int = 10, blocks: int = 20, features: int = 64) -> None:
        super().__init__(scale, groups=groups, blocks=blocks, features=features)
        check_positive(self.name, groups=groups, blocks=blocks)
        if features < REDUCTION:
            raise InputError(f"rcan cannot take features={features}; expected {REDUCTION} or more")
        self.head = conv(3, features)
        self.groups = nn.Sequential(*(ResidualGroup(features, blocks) for _ in range(groups)))
        self.fuse = conv(features, features)
        self.upsample = upsampler(features, scale)
        self.tail = conv(features, 3)
        self.register_buffer("mean", rgb_mean(), persistent=False)
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        shallow = self.head(x - self.mean)
        deep = self.fuse(self.groups(shallow)) + shallow
        return self.tail(self.upsample(deep)) + self.mean

    def published_keys(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The authors work in 0–255. All but the attention scales with its input, so the biases have to shrink; there,
        the first convolution has to make up for means that are smaller."""
        names = _published(self.options["groups"], self.options["blocks"])
        ours = renamed(without_mean_shift(state, top=255.0), names)
        for key in ours:
            if key.endswith("attention.squeeze.weight"):
                ours[key] = ours[key] * 255
            elif key.endswith("bias") and "attention" not in key:
                ours[key] = ours[key] / 255
        return ours


def _published(groups: int, blocks: int) -> list[tuple[str, str]]:
    return [
        *(
            (f"body.{g}.body.{b}.body.{theirs}", f"groups.{g}.blocks.{b}.{ours}")
            for g in range(groups)
            for b in range(blocks)
            for theirs, ours in _BLOCK
        ),
        *((f"body.{g}.body.{blocks}", f"groups.{g}.fuse") for g in range(groups)),
        (f"body.{groups}", "fuse"),
        ("head.0", "head"),
        ("tail.0", "upsample"),
        ("tail.1", "tail"),
    ]


_BLOCK = (("0", "conv1"), ("2", "conv2"), ("3.conv_du.0", "attention.squeeze"), ("3.conv_du.2", "attention.excite"))
