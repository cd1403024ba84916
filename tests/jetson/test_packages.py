from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.jetson.facts import Fact
from edgesr.jetson.packages import Packages, parse_status, read_packages

Write = Callable[[str, str | bytes], Path]

TWO = """Package: libnvinfer10
Status: install ok installed
Architecture: arm64
Version: 10.3.0.30-1+cuda12.5
Description: the runtime
 Version: 99 in a description is no field
 .
 Package: neither

Package: libnvinfer8
Status: deinstall ok config-files
Version: 8.5.2-1+cuda11.4
"""


def test_only_installed_packages_count() -> None:
    assert parse_status(TWO) == {"libnvinfer10": "10.3.0.30-1+cuda12.5"}


@pytest.mark.parametrize(
    ("full", "upstream"),
    [
        ("10.3.0.30-1+cuda12.5", "10.3.0.30"),
        ("6.2+b77", "6.2"),
        ("5.1.2-b104", "5.1.2"),
        ("36.4.3-20250107174145", "36.4.3"),
        ("2:1.2.3-4ubuntu1", "1.2.3"),
        ("4.6.0+dfsg-12", "4.6.0"),
    ],
)
def test_upstream_version(full: str, upstream: str) -> None:
    assert Packages({"x": full}).fact("x") == Fact(upstream, f"dpkg x {full}")


def test_version_without_a_number_is_said() -> None:
    fact = Packages({"x": "unstable"}).fact("x")
    assert fact.value is None
    assert "'unstable'" in fact.problem


def test_missing_package_is_not_found() -> None:
    assert Packages({"x": "1"}).fact("y") == Fact()


def test_highest_number_comes_first() -> None:
    packages = Packages({"libnvinfer8": "8.6.2-1", "libnvinfer10": "10.3.0-1", "libnvinfer-bin": "1-1"})
    assert [fact.value for fact in packages.facts(r"libnvinfer\d+")] == ["10.3.0", "8.6.2"]


def test_no_list_means_no_packages(tmp_path: Path) -> None:
    assert read_packages(tmp_path) == Packages()


@pytest.mark.parametrize("damaged", [b"", b"\0\0\0\0", b"Package: half\nVersion", b"\xff" * 100])
def test_damaged_list_is_said_wherever_a_package_is_asked_for(tmp_path: Path, write: Write, damaged: bytes) -> None:
    write("/var/lib/dpkg/status", damaged)
    packages = read_packages(tmp_path)
    assert packages.problem.startswith("/var/lib/dpkg/status: expected dpkg's list")
    assert packages.fact("nvidia-jetpack").problem == packages.problem
    assert packages.facts(r"libnvinfer\d+") == [Fact(problem=packages.problem)]


def test_folder_in_place_of_the_list_is_said(tmp_path: Path, write: Write) -> None:
    write("/var/lib/dpkg/status/oops", "")
    assert read_packages(tmp_path).problem == "/var/lib/dpkg/status: not a regular file"
