"""One contract for every network in the table, and what is particular to each."""

import pytest
from tests.small import SMALL

torch = pytest.importorskip("torch", reason="networks are defined in PyTorch")

from edgesr.runtime.errors import CheckpointMismatch, InputError
from edgesr.train.networks import NETWORKS, Claim, Network, build_network, folded, seeded_network
from edgesr.train.networks.attention import ContrastChannelAttention
from edgesr.train.networks.counting import multiply_adds_per_pixel, parameters
from edgesr.train.networks.ecbsr import EdgeOrientedConv

EVERY = [(name, scale) for name, kind in NETWORKS.items() for scale in kind.scales]


def picture(network: Network, frames: int = 1) -> torch.Tensor:
    """A small input that the network takes, its sides unequal, and odd where it allows that."""
    step, least = network.size_multiple, network.min_size
    height, width = (network.fixed_size or -(-max(side, least) // step) * step for side in (9, 14 + least))
    return torch.rand(frames, 1 if network.colour == "luma" else 3, height, width)


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_network_multiplies_height_and_width(name: str, scale: int) -> None:
    network = seeded_network(name, scale, SMALL.get(name))
    x = picture(network, frames=2)
    with torch.no_grad():
        out = network(x)
    assert out.shape == (*x.shape[:2], x.shape[2] * scale, x.shape[3] * scale) and out.dtype == torch.float32


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_folded_form_computes_the_same_and_leaves_the_original_alone(name: str, scale: int) -> None:
    network = seeded_network(name, scale, SMALL.get(name))
    keys = list(network.state_dict())
    x = picture(network)
    with torch.no_grad():
        before, plain = network(x), folded(network)(x)
        after = network(x)
    assert torch.allclose(before, plain, atol=1e-5)
    assert torch.equal(before, after) and list(network.state_dict()) == keys
    assert not any("parametrizations" in key or "edge" in key for key in folded(network).state_dict())


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_gradient_reaches_every_parameter(name: str, scale: int) -> None:
    network = build_network(name, scale, SMALL.get(name))
    network(picture(network)).mean().backward()
    unused = {key for key, p in network.named_parameters() if p.grad is None}
    if network.multi_scale:  # up-samplers of the other scales wait
        unused = {key for key in unused if not key.startswith("upsample") or key.startswith(f"upsample.{scale}")}
    for part, module in network.named_modules():
        if isinstance(module, EdgeOrientedConv):  # behind masks that sum to zero, the 1x1's bias has no effect
            unused -= {f"{part}.edges.{branch}.bias" for branch in range(3)}
    assert not unused


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_names_its_paper(name: str) -> None:
    kind = NETWORKS[name]
    assert kind.name == name and kind.paper.title and kind.paper.venue and kind.paper.year > 2010
    assert kind.paper.link.startswith("https://") and (kind.__doc__ or "").strip()


CLAIMS = [
    (f"{name}:{claim.variant}" if claim.variant else name, claim)
    for name, kind in NETWORKS.items()
    for claim in kind.claims
]


@pytest.mark.parametrize(("title", "claim"), CLAIMS)
def test_what_a_source_says_is_what_we_count_or_the_reason_is_given(title: str, claim: Claim) -> None:
    with torch.device("meta"):
        network = build_network(title, claim.scale)
    deployed = folded(network)
    counted = [(parameters(deployed), claim.parameters)]
    counted.append((multiply_adds_per_pixel(deployed, network) * 1280 * 720 / claim.scale**2, claim.multiply_adds))
    off = [ours / said - 1 for ours, said in counted if said]
    assert off or claim.psnr_db, "a claim says something"
    off = off or [0.0]
    assert claim.why or max(map(abs, off)) <= 0.02, [f"{share:+.1%}" for share in off]
    assert not claim.why or max(map(abs, off)) > 0.02, "no reason is needed"


@pytest.mark.parametrize("name", NETWORKS)
def test_variants_are_options_that_the_network_has(name: str) -> None:
    for variant in NETWORKS[name].variants:
        with torch.device("meta"):
            build_network(f"{name}:{variant}", max(NETWORKS[name].scales))
    with pytest.raises(InputError, match="has no variant 'none'"):
        build_network(f"{name}:none", max(NETWORKS[name].scales))


def test_contrast_of_a_1080p_frame_fits_into_fp16() -> None:
    """Worst-case content: half of the pixels at one end, half at the other, of what features may reach."""
    frame = torch.full((1, 2, 1080, 1920), 3900.0)
    frame[..., ::2] = -3900.0
    frame[:, 1] += 3900.0  # far from zero, too
    attention = ContrastChannelAttention(2, reduction=1)
    exact, half = attention.statistic(frame), attention.half().statistic(frame.half())
    assert exact.flatten().tolist() == pytest.approx([3900, 7800], rel=1e-3)
    assert half.dtype == torch.float16 and half.flatten().tolist() == pytest.approx([3900, 7800], rel=2e-3)


@pytest.mark.parametrize(
    ("name", "parameters_said", "giga"),
    [
        ("rdsrn", 682_500, 135.73),  # ICCE 2022: 0.68 M, 136 G
        ("rdn", 22_271_107, 1309.21),  # CVPR 2018: 22 M, 1,309 G
        ("carn", 1_591_939, 90.88),  # ECCV 2018: 1.59 M, 90.9 G; the authors' file stores 24 more for the mean
        ("ecbsr", 16_400, 0.937),  # ours: 6 blocks of 16
    ],
)
def test_cost_at_x4_is_the_papers(name: str, parameters_said: int, giga: float) -> None:
    spec = build_network(name, 4).spec()
    assert spec.parameters == parameters_said
    assert spec.multiply_adds(320, 180) / 1e9 == pytest.approx(giga, rel=2e-3)


def test_receptive_field_is_where_a_change_arrives() -> None:
    network = seeded_network("ecbsr", 2, {"blocks": 3})
    reach = network.spec().receptive_field
    assert reach == 5  # head, three blocks, tail: one pixel each
    low = torch.rand(1, 1, 31, 31)
    changed = low.clone()
    changed[0, 0, 15, 15] += 1
    with torch.no_grad():
        touched = (network(low) != network(changed))[0, 0].nonzero() // 2 - 15
    assert int(touched.abs().max()) == reach


def test_whole_frame_statistics_have_no_receptive_field() -> None:
    assert seeded_network("rdsrn", 2, SMALL["rdsrn"]).spec().receptive_field is None


def test_edge_oriented_convolution_is_the_sum_of_its_branches() -> None:
    """Run side by side as the paper draws them: each 1x1's output is padded with its bias before its 3x3."""
    torch.manual_seed(1)
    block = EdgeOrientedConv(3, 5)
    x = torch.randn(2, 3, 8, 9)

    def padded(one: torch.nn.Conv2d) -> torch.Tensor:
        inside = torch.nn.functional.conv2d(x, one.weight, one.bias)
        out = one.bias.view(1, -1, 1, 1).expand(2, -1, 10, 11).clone()
        out[:, :, 1:-1, 1:-1] = inside
        return out

    total = block.plain(x)
    total = total + torch.nn.functional.conv2d(padded(block.expand), block.squeeze.weight, block.squeeze.bias)
    for i, edge in enumerate(block.edges):
        kernel = block.edge_scale[i].view(-1, 1, 1, 1) * block.masks[i]
        total = total + torch.nn.functional.conv2d(padded(edge), kernel, block.edge_bias[i], groups=5)
    assert torch.allclose(block(x), total, atol=1e-5)


def test_recursions_share_their_weights() -> None:
    one, three = (build_network("rdsrn", 4, {"recursions": u}) for u in (1, 3))
    surplus = sum(p.numel() for p in three.parameters()) - sum(p.numel() for p in one.parameters())
    assert surplus == 64 * 64 * 2  # only the fusion of the recursions' outputs grows


def test_published_rdsrn_with_another_residual_scale_is_refused() -> None:
    network = build_network("rdsrn", 4)
    with pytest.raises(CheckpointMismatch, match="res_scale"):
        network.published_keys({"rbs.0.rdbs.res_scale_1.scale": torch.tensor([0.5])})


@pytest.mark.parametrize(
    ("name", "scale", "options", "message"),
    [
        ("nonet", 4, {}, "there is no network 'nonet'; did you mean"),
        ("zzz", 4, {}, "known are rdsrn"),
        ("rdn", 5, {}, "has no x5"),
        ("rdn", 4, {"depth": 3}, "no option depth; it has blocks"),
    ],
)
def test_unknown_network_scale_or_option_is_refused(
    name: str, scale: int, options: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_network(name, scale, options)


def test_seeded_networks_are_equal_and_leave_the_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    a, b = seeded_network("ecbsr", 4), seeded_network("ecbsr", 4)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
