from pathlib import Path

import pytest

from edgesr.runtime.errors import OutputExists, OutputFailed
from edgesr.runtime.files import check_output, replaced


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replaced(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old" and beside.suffix == ".txt"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
    other = tmp_path / "b.txt"
    other.write_text("")
    assert path.stat().st_mode == other.stat().st_mode, "no stricter than any other file"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replaced(path) as beside:
        beside.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_disk_that_refuses_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="No space left"), replaced(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    with pytest.raises(OutputFailed), replaced(tmp_path / "nowhere" / "a.txt"):
        pass


def test_outputs_are_checked_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    check_output(tmp_path / "new", force=False)
    check_output(tmp_path / "a", force=True)
    with pytest.raises(OutputExists, match="--force"):
        check_output(tmp_path / "a", force=False)
    with pytest.raises(OutputExists, match="is a folder"):
        check_output(tmp_path, force=True)
    with pytest.raises(OutputFailed, match="make it first"):
        check_output(tmp_path / "nowhere" / "a", force=False)
