"""The CSV log of a run that was cut off."""

from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

from edgesr.train.curves import Curves


def rows(folder: Path) -> list[str]:
    return (folder / "csv" / "version_0" / "metrics.csv").read_text().splitlines()


def log(folder: Path, first_step: int, steps: range, name: str = "loss") -> None:
    curves = Curves(str(folder), "csv", first_step)
    for step in steps:
        curves.log_metrics({name: 0.5}, step)
    curves.save()


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    log(tmp_path, 0, range(6))
    log(tmp_path, 4, range(4, 7))
    assert rows(tmp_path) == ["loss,step", *(f"0.5,{step}" for step in range(7))]


def test_a_new_quantity_gets_a_column(tmp_path: Path) -> None:
    log(tmp_path, 0, range(2))
    log(tmp_path, 2, range(2, 3), "psnr")
    assert rows(tmp_path) == ["loss,psnr,step", "0.5,,0", "0.5,,1", ",0.5,2"]


@pytest.mark.parametrize(("left", "kept"), [("loss,step\n0.5,0\n0.5", ["0.5,0"]), ("loss,st", []), ("", [])])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, left: str, kept: list[str]) -> None:
    log(tmp_path, 0, range(1))
    (tmp_path / "csv" / "version_0" / "metrics.csv").write_text(left)
    log(tmp_path, 1, range(1, 2))
    assert rows(tmp_path) == ["loss,step", *kept, "0.5,1"]
