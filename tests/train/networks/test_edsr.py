"""EDSR and RCAN, whose authors work in 0–255: after import, the same function on 0–1."""

import pytest

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from torch import Tensor, nn

from edgesr.runtime.errors import InputError
from edgesr.train.networks import build_network, folded, seeded_network
from edgesr.train.networks.blocks import conv, rgb_mean

WIDTH, MANY = 32, 11  # two digits in the names


class Residual(nn.Module):
    """Modules under `body`, and the skip around them: how the authors nest theirs."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_du = nn.Sequential(conv(WIDTH, 2, 1), nn.ReLU(), conv(2, WIDTH, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv_du(x.mean((2, 3), keepdim=True))


class Authors(Residual):
    """Head, body and tail on 0–255, the mean taken away and given back by 1x1 convolutions."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__(*body, conv(WIDTH, WIDTH))
        self.head = nn.Sequential(conv(3, WIDTH))
        up = [conv(WIDTH, 4 * WIDTH), nn.PixelShuffle(2), conv(WIDTH, 4 * WIDTH), nn.PixelShuffle(2)]
        self.tail = nn.Sequential(nn.Sequential(*up), conv(WIDTH, 3))
        for name, sign in (("sub_mean", -1), ("add_mean", 1)):
            shift = conv(3, 3, 1)
            shift.weight.data, shift.bias.data = torch.eye(3).view(3, 3, 1, 1), sign * 255 * rgb_mean().flatten()
            self.add_module(name, shift)

    def forward(self, x: Tensor) -> Tensor:
        return self.add_mean(self.tail(super().forward(self.head(self.sub_mean(x)))))


def residual_block(*attention: nn.Module) -> Residual:
    return Residual(conv(WIDTH, WIDTH), nn.ReLU(), conv(WIDTH, WIDTH), *attention)


def edsr() -> Authors:
    return Authors(*(residual_block() for _ in range(MANY)))


def rcan() -> Authors:
    groups = ([residual_block(Attention()) for _ in range(MANY)] for _ in range(2))
    return Authors(*(Residual(*blocks, conv(WIDTH, WIDTH)) for blocks in groups))


@pytest.mark.parametrize(
    ("name", "make", "options"),
    [("edsr", edsr, {"blocks": MANY}), ("rcan", rcan, {"groups": 2, "blocks": MANY})],
)
def test_weights_of_0_to_255_compute_the_same_on_0_to_1(name, make, options) -> None:
    torch.manual_seed(3)
    theirs = make()
    with torch.no_grad():
        for key, parameter in theirs.named_parameters():
            if key.endswith("bias") and "mean" not in key:
                parameter *= 50  # so that a bias left as it is would show
        ours = build_network(name, 4, {"features": WIDTH, **options})
        ours.load_state_dict(ours.published_keys(theirs.state_dict()))
        x = torch.rand(2, 3, 9, 7)
        assert torch.allclose(ours(x), theirs(x * 255) / 255, atol=1e-5)


def test_the_residual_scale_is_folded_into_the_weights() -> None:
    network = seeded_network("edsr", 2, {"blocks": 1, "features": 8, "residual_scale": 0.1})
    plain = folded(network).blocks[0]
    assert plain.residual_scale == 1
    assert torch.equal(plain.conv2.weight, network.blocks[0].conv2.weight * 0.1)


@pytest.mark.parametrize(
    ("name", "options"), [("edsr", {"blocks": 0}), ("rcan", {"features": 15}), ("rcan", {"groups": 0})]
)
def test_an_impossible_size_is_refused(name: str, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected"):
        build_network(name, 4, options)
