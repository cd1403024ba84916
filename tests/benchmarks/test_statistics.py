import numpy as np
import pytest

from edgesr.benchmarks.statistics import is_stable, ratio_of_medians, summary
from edgesr.runtime.errors import InputError

MS = 1_000_000


def test_summary_of_known_numbers() -> None:
    found = summary([ms * MS for ms in range(101)])
    assert (found.count, found.median_ms, found.p5_ms, found.p95_ms, found.p99_ms, found.max_ms) == (
        101, 50, 5, 95, 99, 100,
    )  # fmt: skip
    assert found.per_second == 20


def test_summary_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no sample"):
        summary([])


def test_rounds_are_drawn_for_both() -> None:
    """Twice the time in every round, however much the rounds differ: the interval has no width. Drawn apart, the
    samples would give a wide one."""
    base = np.random.default_rng(1).lognormal(3, 1, 40)
    found = ratio_of_medians(list(2 * base), list(base), seed=0)
    assert (found.value, found.low, found.high) == (2, 2, 2)


def test_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    held = 0
    for trial in range(100):
        generator = np.random.default_rng(trial)
        shared = generator.lognormal(3, 0.3, 40)  # what disturbs a whole round
        base, ours = (shared * generator.lognormal(0, 0.1, 40) for _ in range(2))
        found = ratio_of_medians(list(1.5 * ours), list(base), seed=trial)
        held += found.low <= 1.5 <= found.high
    assert 88 <= held <= 100  # of 95 expected; one standard deviation is 2.2


def test_interval_narrows_with_more_rounds() -> None:
    def width(rounds: int) -> float:
        generator = np.random.default_rng(7)
        ours, base = generator.lognormal(3, 0.2, (2, rounds))
        found = ratio_of_medians(list(ours), list(base), seed=0)
        return found.high - found.low

    assert width(1000) < width(10) / 3


def test_the_seed_decides() -> None:
    generator = np.random.default_rng(3)
    ours, base = (list(values) for values in generator.lognormal(3, 0.2, (2, 30)))
    assert ratio_of_medians(ours, base, seed=5) == ratio_of_medians(ours, base, seed=5)
    assert ratio_of_medians(ours, base, seed=5) != ratio_of_medians(ours, base, seed=6)


def test_many_rounds_are_drawn_in_portions() -> None:
    """3000 rounds: 6 million draws, in six portions that together are as many as asked for."""
    generator = np.random.default_rng(4)
    ours, base = (list(values) for values in generator.lognormal(3, 0.2, (2, 3000)))
    found = ratio_of_medians(ours, base, seed=0)
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.05


@pytest.mark.parametrize(("ours", "base"), [([1, 2], [1]), ([], [])])
def test_unpaired_samples_are_refused(ours: list[int], base: list[int]) -> None:
    with pytest.raises(InputError, match="cannot be paired"):
        ratio_of_medians(ours, base, seed=0)


@pytest.mark.parametrize(
    ("samples", "stable"),
    [
        ([100, 100, 100], False),  # too few
        ([100, 100, 100, 100], True),
        ([100, 100, 105, 105], True),  # on the edge
        ([100, 100, 106, 106], False),
        ([106, 106, 100, 100], False),  # still getting faster
        ([900, 500, 100, 100, 101, 101], True),  # what lies before does not count
        ([100, 100, 100, 100, 100, 900], False),
    ],
)
def test_stable(samples: list[int], stable: bool) -> None:
    assert is_stable(samples, window=2, tolerance=0.05) is stable


def test_one_outlier_does_not_hide_that_it_is_stable() -> None:
    assert is_stable([100, 900, 100, 100, 100, 100], window=3, tolerance=0.05)
