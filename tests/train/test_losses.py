"""Losses against numbers worked out by hand and by numpy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="losses are PyTorch's")

from edgesr.runtime.errors import InputError
from edgesr.train.losses import LOSSES, WeightedLoss

OUTPUT = torch.tensor([[[[0.25, 0.5], [0.75, 1.0]]]])
TRUTH = torch.tensor([[[[0.0, 0.5], [0.5, 0.0]]]])  # differences 0.25, 0, 0.25, 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l1", 1.5 / 4),
        ("mse", (0.0625 + 0.0625 + 1) / 4),
        ("charbonnier", (2 * (0.0625 + 1e-6) ** 0.5 + 1e-3 + (1 + 1e-6) ** 0.5) / 4),
    ],
)
def test_loss_is_the_one_worked_out_by_hand(name: str, value: float) -> None:
    assert LOSSES[name](OUTPUT, TRUTH).item() == pytest.approx(value, rel=1e-6)


def test_frequency_loss_is_the_mean_over_real_and_imaginary_parts_of_numpys_transforms() -> None:
    rng = np.random.default_rng(1)
    output, truth = (rng.random((2, 3, 8, 6), np.float32) for _ in range(2))
    spectra = [np.fft.rfft2(image.astype(np.float64)) for image in (output, truth)]
    difference = spectra[0] - spectra[1]
    expected = np.abs(np.stack([difference.real, difference.imag])).mean()
    assert LOSSES["frequency"](*map(torch.from_numpy, (output, truth))).item() == pytest.approx(expected, rel=1e-5)


def test_every_loss_is_zero_or_nearly_so_for_the_truth_and_can_be_learnt_from() -> None:
    for name, loss in LOSSES.items():
        assert loss(TRUTH, TRUTH).item() == pytest.approx(0, abs=1.1e-3), name
        output = OUTPUT.clone().requires_grad_()
        loss(output, TRUTH).backward()
        assert torch.isfinite(output.grad).all() and output.grad[0, 0, 1, 1] > 0, name


def test_weighted_loss_is_the_weighted_sum() -> None:
    both = WeightedLoss({"l1": 2.0, "mse": 0.5})(OUTPUT, TRUTH)
    assert both.item() == pytest.approx(2 * 0.375 + 0.5 * 0.28125)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_taken_in_float32_under_autocast(name: str) -> None:
    output = OUTPUT.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        low = WeightedLoss({name: 1.0})(output, TRUTH + 1e-3)
    assert low.dtype == torch.float32
    assert low.item() == WeightedLoss({name: 1.0})(output.float(), TRUTH + 1e-3).item()


@pytest.mark.parametrize(
    "weights", [{}, {"l3": 1.0}, {"l1": 0.0}, {"l1": -1.0}, {"l1": float("nan")}, {"l1": float("inf")}]
)
def test_weights_that_teach_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(InputError, match="l1, mse, charbonnier, frequency"):
        WeightedLoss(weights)
