import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.jetson.facts import Fact, first, names_in, one_line, path_below, read_fact, read_number, read_text

Write = Callable[[str, str | bytes], Path]


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    assert read_text(tmp_path, "/etc/nothing") is None
    assert read_fact(tmp_path, "/etc/nothing", one_line) == Fact()


def test_value_carries_its_source(tmp_path: Path, write: Write) -> None:
    write("/proc/device-tree/model", b"NVIDIA Jetson AGX Thor Developer Kit\0")
    assert read_fact(tmp_path, "/proc/device-tree/model", one_line) == Fact(
        "NVIDIA Jetson AGX Thor Developer Kit", "/proc/device-tree/model"
    )


@pytest.mark.parametrize("damaged", [b"", b"\0", b"\xff\xfe\x00\x01garbage", b"two\nlines\n", b"bell\x07"])
def test_what_is_no_line_of_text_is_said(tmp_path: Path, write: Write, damaged: bytes) -> None:
    write("/f", damaged)
    fact = read_fact(tmp_path, "/f", one_line)
    assert (fact.value, fact.source) == (None, "/f")
    assert fact.problem.startswith("/f: expected one line of text, found ")


def test_folder_in_place_of_a_file_is_said(tmp_path: Path, write: Write) -> None:
    write("/etc/os-release/oops", "")
    assert read_fact(tmp_path, "/etc/os-release", one_line).problem == "/etc/os-release: not a regular file"


def test_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_fact(tmp_path, "/pipe", one_line).problem == "/pipe: not a regular file"


def test_file_that_cannot_be_read_is_said() -> None:
    """Start of one's own memory: there, a regular file to stat, and reading it fails even for root."""
    assert read_fact(Path("/"), "/proc/self/mem", one_line).problem == "/proc/self/mem: Input/output error"


def test_absolute_link_stays_below_the_root(tmp_path: Path, write: Write) -> None:
    write("/usr/local/cuda-12.6/version.txt", "inside")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/cuda").symlink_to("/usr/local/cuda-12.6")
    (tmp_path / "usr/local/cuda").symlink_to("/etc/cuda")
    assert read_text(tmp_path, "/usr/local/cuda/version.txt") == "inside"


def test_link_to_a_file_of_this_machine_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "os-release").symlink_to("/etc/os-release")
    assert Path("/etc/os-release").exists()
    assert read_text(tmp_path, "/os-release") is None


def test_relative_link_cannot_climb_out_of_the_root(tmp_path: Path, write: Write) -> None:
    root = tmp_path / "board"
    write("/board/etc/x", "inside")
    write("/etc/x", "outside")
    (root / "link").symlink_to("../../../etc/x")
    assert path_below(root, "/link") == root / "etc/x"
    assert read_text(root, "/link") == "inside"


def test_relative_link_is_followed_from_its_folder(tmp_path: Path, write: Write) -> None:
    write("/etc/nvpmodel/a.conf", "modes")
    (tmp_path / "etc/nvpmodel.conf").symlink_to("nvpmodel/a.conf")
    (tmp_path / "etc/deep").mkdir()
    (tmp_path / "etc/deep/conf").symlink_to("../nvpmodel/a.conf")
    assert read_text(tmp_path, "/etc/nvpmodel.conf") == read_text(tmp_path, "/etc/deep/conf") == "modes"


def test_links_in_a_circle_are_said(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "symbolic links" in read_fact(tmp_path, "/a", one_line).problem


def test_first_value_wins_and_the_problem_before_it_stays() -> None:
    damaged, found = Fact(None, "/a", "/a: damaged"), Fact("1.2", "/b")
    assert first([Fact(), found, Fact("9", "/c")]) == found
    assert first([damaged, found]) == Fact("1.2", "/b", "/a: damaged")
    assert first([Fact(), damaged, Fact(None, "/c", "/c: damaged")]) == damaged
    assert first([]) == Fact()


def test_first_reads_no_further_than_the_value() -> None:
    def facts() -> object:
        yield Fact("1", "/a")
        raise AssertionError("read on")

    assert first(facts()) == Fact("1", "/a")


@pytest.mark.parametrize(
    ("text", "number"),
    [("1020000000\n", 1020000000), ("0", 0), ("-1", None), ("x", None), ("", None), ("9" * 5000, None)],
)
def test_number_of_sysfs(tmp_path: Path, write: Write, text: str, number: int | None) -> None:
    write("/n", text)
    assert read_number(tmp_path, "/n") == number


def test_names_are_sorted_and_a_missing_folder_is_empty(tmp_path: Path, write: Write) -> None:
    write("/d/b", "")
    write("/d/a", "")
    assert names_in(tmp_path, "/d") == ["a", "b"]
    assert names_in(tmp_path, "/none") == names_in(tmp_path, "/d/a") == []
