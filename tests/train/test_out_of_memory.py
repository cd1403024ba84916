"""What is said where a step does not fit: on a played device, whose memory is a number of pixels."""

import pytest

torch = pytest.importorskip("torch", reason="the errors are PyTorch's")

from edgesr.train.out_of_memory import advice, is_out_of_memory, largest


def holding(pixels: int) -> object:
    return lambda batch, patch: batch * patch**2 <= pixels


@pytest.mark.parametrize(
    ("pixels", "end"),
    [
        (25 * 64**2, "; batch 24 of patch 64 fits, or patch 32 with batch 64: add --data.batch_size 24"),
        (16 * 64**2, "; batch 16 of patch 64 fits, or patch 32 with batch 64: add --data.batch_size 16"),
        (50 * 64**2, "; batch 48 of patch 64 fits, or patch 48 with batch 64: add --data.batch_size 48"),
        (64**2 - 1, "; patch 6 with batch 64 fits: add --data.patch 6"),
        (63, "; neither a single crop nor smaller ones fit: train a smaller network, or on another device"),
    ],
)
def test_advice_names_what_was_seen_to_fit(pixels: int, end: str) -> None:
    assert advice(holding(pixels), 64, 64, "GPU memory") == "out of GPU memory with batch 64 of patch 64" + end


def test_advice_tries_only_patches_that_the_network_takes() -> None:
    tried: list[tuple[int, int]] = []

    def fits(batch: int, patch: int) -> bool:
        tried.append((batch, patch))
        return batch * patch <= 200

    assert "patch 40 with batch 4:" in advice(fits, 4, 60, "memory", multiple=20, least=40)
    assert all(patch % 20 == 0 and patch >= 40 for _, patch in tried)


def test_advice_calls_the_patch_what_the_recipe_does() -> None:
    line = advice(holding(18**2), 1, 41, "memory", setting="high_patch", multiple=3, least=3)
    assert line == (
        "out of memory with batch 1 of high_patch 41; high_patch 18 with batch 1 fits: add --data.high_patch 18"
    )


def test_few_steps_are_tried() -> None:
    tried: list[int] = []
    assert largest(lambda size: bool(tried.append(size)) or size <= 3, 4096) == 3
    assert tried == [2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 3]


@pytest.mark.parametrize(("multiple", "least", "found"), [(1, 1, 24), (8, 1, 24), (16, 1, 16), (1, 20, 20), (1, 64, 0)])
def test_sizes_are_multiples_and_not_below_the_least(multiple: int, least: int, found: int) -> None:
    assert largest(lambda size: size <= 25, 64, multiple=multiple, least=least) == found


def test_errors_of_both_kinds_are_known() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"))
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**50, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    assert not is_out_of_memory(RuntimeError("shapes differ")) and not is_out_of_memory(MemoryError())
