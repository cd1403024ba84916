from pathlib import Path

import pytest

from edgesr.export.builder.job import BuildSettings
from edgesr.export.builder.needs import GIB, MIB, Needs, build_needs, check_build_fits, default_workspace, swap_free
from edgesr.runtime.errors import BuildTooLarge

SMALL = build_needs(2 * MIB, 60 * MIB, BuildSettings(workspace_bytes=256 * MIB), integrated=True)


def test_every_part_counts_and_limits_lower_what_is_needed() -> None:
    base = build_needs(10 * MIB, 100 * MIB, BuildSettings(), integrated=True)
    more_weights = build_needs(110 * MIB, 100 * MIB, BuildSettings(), integrated=True)
    larger = build_needs(10 * MIB, 200 * MIB, BuildSettings(), integrated=True)
    assert more_weights.host_bytes >= base.host_bytes + 200 * MIB, "NVIDIA names two copies on the host at the least"
    assert more_weights.gpu_bytes > base.gpu_bytes
    assert larger.gpu_bytes >= base.gpu_bytes + 100 * MIB and larger.host_bytes == base.host_bytes
    little = build_needs(10 * MIB, 100 * MIB, BuildSettings(workspace_bytes=64 * MIB), integrated=True)
    less = build_needs(10 * MIB, 100 * MIB, BuildSettings(tactic_bytes=32 * MIB), integrated=True)
    assert base.gpu_bytes > little.gpu_bytes > less.gpu_bytes > 250 * MIB
    ample = build_needs(10 * MIB, 100 * MIB, BuildSettings(workspace_bytes=99 * GIB), integrated=True)
    assert ample == base, "a limit that is not reached costs nothing"


def test_a_small_network_fits_a_board_of_4_gb_without_desktop_and_not_one_that_is_full() -> None:
    check_build_fits(SMALL, free_host=int(2.5 * GIB), free_swap=0, free_gpu=GIB, integrated=True)
    with pytest.raises(BuildTooLarge):
        check_build_fits(SMALL, free_host=GIB, free_swap=0, free_gpu=GIB, integrated=True)


def test_swap_helps_the_host_part_alone() -> None:
    needs = Needs(host_bytes=2 * GIB, gpu_bytes=GIB)
    check_build_fits(needs, free_host=int(1.5 * GIB), free_swap=2 * GIB, free_gpu=0, integrated=True)
    with pytest.raises(BuildTooLarge, match=r"swapon") as short:
        check_build_fits(needs, free_host=int(1.5 * GIB), free_swap=GIB, free_gpu=0, integrated=True)
    for advice in ("fallocate -l 2G", "mkswap", "chmod 600", "multi-user.target", "--workspace", "--size"):
        assert advice in str(short.value)
    assert "3.0 GiB" in str(short.value) and "1.5 GiB" in str(short.value) and "\n" not in str(short.value)
    with pytest.raises(BuildTooLarge) as hopeless:
        check_build_fits(needs, free_host=GIB // 2, free_swap=99 * GIB, free_gpu=0, integrated=True)
    assert "fallocate" not in str(hopeless.value) and "--workspace" in str(hopeless.value)


def test_where_the_system_does_not_say_the_gpus_figure_counts() -> None:
    check_build_fits(SMALL, free_host=None, free_swap=0, free_gpu=8 * GIB, integrated=True)
    with pytest.raises(BuildTooLarge):
        check_build_fits(SMALL, free_host=None, free_swap=0, free_gpu=GIB, integrated=True)


def test_a_card_has_a_memory_of_its_own() -> None:
    needs = Needs(host_bytes=3 * GIB, gpu_bytes=2 * GIB)
    check_build_fits(needs, free_host=2 * GIB, free_swap=GIB, free_gpu=2 * GIB, integrated=False)
    check_build_fits(needs, free_host=None, free_swap=0, free_gpu=2 * GIB, integrated=False)
    with pytest.raises(BuildTooLarge, match=r"GPU memory.*nvidia-smi"):
        check_build_fits(needs, free_host=99 * GIB, free_swap=99 * GIB, free_gpu=GIB, integrated=False)
    with pytest.raises(BuildTooLarge, match=r"2.0 GiB and 0.5 GiB of swap.*swapon"):
        check_build_fits(needs, free_host=2 * GIB, free_swap=GIB // 2, free_gpu=8 * GIB, integrated=False)


@pytest.mark.parametrize(
    ("free", "limit"),
    [(0, 64 * MIB), (GIB, 256 * MIB), (5 * GIB, GIB), (6 * GIB, GIB), (140 * GIB, 4 * GIB)],
)
def test_the_workspace_is_a_quarter_in_round_numbers(free: int, limit: int) -> None:
    assert default_workspace(free) == limit


def test_swap_in_compressed_memory_is_no_swap(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    swaps = tmp_path / "proc" / "swaps"
    swaps.write_text(
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/zram0                              partition\t1003872\t\t1000\t\t5\n"
        "/mnt/4GB.swap                           file\t\t4194300\t\t300\t\t-2\n"
    )
    assert swap_free(tmp_path) == (4194300 - 300) * 1024


@pytest.mark.parametrize(
    "text", [None, "", "Filename Type Size Used Priority\n\n", "x\n/swap file many few -2\n", "x\n/s\n"]
)
def test_no_swap_and_no_answer_count_as_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "swaps").write_text(text)
    assert swap_free(tmp_path) == 0
