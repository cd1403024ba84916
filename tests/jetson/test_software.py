import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.jetson.facts import Fact
from edgesr.jetson.packages import Packages
from edgesr.jetson.software import board_search_path, find_package, read_software

Write = Callable[[str, str | bytes], Path]


def test_installed_package_has_its_distributions_version(tmp_path: Path, write: Write) -> None:
    write("/site/cv2/__init__.py", "raise SystemExit('never imported')")
    write(
        "/site/opencv_python-4.10.0.84.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.10.0.84\n",
    )
    package = find_package("cv2", [str(tmp_path / "site")], root=tmp_path)
    assert package.version == Fact("4.10.0.84", "opencv-python")
    assert package.distributions == ("opencv-python",)
    assert package.files == ("/site/cv2/__init__.py",)


def test_distribution_beside_another_copy_is_not_taken(tmp_path: Path, write: Write) -> None:
    """The board's cv2 comes first here; pip's metadata further down says nothing of it."""
    write("/system/cv2/__init__.py", "")
    write("/pip/cv2/__init__.py", "")
    write(
        "/pip/opencv_python-4.10.0.84.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.10.0.84\n",
    )
    package = find_package("cv2", [str(tmp_path / "system"), str(tmp_path / "pip")], root=tmp_path)
    assert (package.version.value, package.distributions) == (None, ())
    assert package.files == ("/system/cv2/__init__.py", "/pip/cv2/__init__.py")


def test_two_wheels_in_one_place_are_both_named(tmp_path: Path, write: Write) -> None:
    write("/cv2/__init__.py", "")
    for name in ("opencv_python", "opencv_python_headless"):
        dashed = name.replace("_", "-")
        write(f"/{name}-4.9.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {dashed}\nVersion: 4.9.0\n")
    assert find_package("cv2", [str(tmp_path)]).distributions == ("opencv-python", "opencv-python-headless")


def test_version_written_in_the_package_is_read_not_run(tmp_path: Path, write: Write) -> None:
    write("/tensorrt/__init__.py", '__version__ = "8.6.2"\nraise SystemExit\n')
    assert find_package("tensorrt", [str(tmp_path)], root=tmp_path).version == Fact("8.6.2", "/tensorrt/__init__.py")


def test_version_file_beside_the_package_is_read(tmp_path: Path, write: Write) -> None:
    write("/cv2/__init__.py", "")
    write("/cv2/version.py", 'opencv_version = "4.8.0.76"\ncontrib = False\n')
    assert find_package("cv2", [str(tmp_path)]).version.value == "4.8.0.76"


def test_metadata_without_a_version_falls_through_and_is_said(tmp_path: Path, write: Write) -> None:
    write("/numpy/__init__.py", "")
    write("/numpy-1.0.dist-info/METADATA", "damaged\n")
    version = find_package("numpy", [str(tmp_path)]).version
    assert (version.value, version.problem) == (None, "it is there, but no file beside it says which version")


def test_metadata_that_is_no_text_is_said(tmp_path: Path, write: Write) -> None:
    write("/numpy/__init__.py", "")
    write("/numpy-1.0.dist-info/METADATA", b"\xff\xfe")
    assert find_package("numpy", [str(tmp_path)]).version.problem == "numpy: its METADATA is no text"


def test_single_file_module_without_a_version(tmp_path: Path, write: Write) -> None:
    write("/cv2.abi3.so", b"\x7fELF")
    package = find_package("cv2", [str(tmp_path)], root=tmp_path)
    assert package.files == ("/cv2.abi3.so",)
    assert package.version.problem


def test_left_over_folder_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "cv2").mkdir()
    assert find_package("cv2", [str(tmp_path)]).files == ()


def test_link_out_of_a_recorded_tree_is_not_followed(tmp_path: Path, write: Write) -> None:
    write("/this-machine/cv2/__init__.py", "")
    board = tmp_path / "board"
    board.mkdir()
    (board / "cv2").symlink_to(tmp_path / "this-machine/cv2")
    assert find_package("cv2", [str(board)], root=board).files == ()
    assert find_package("cv2", [str(board)], root=tmp_path).files == ("/board/cv2/__init__.py",)


def test_absent_package(tmp_path: Path) -> None:
    assert find_package("cv2", [str(tmp_path)]).version == Fact()


def test_search_path_of_a_board_has_ubuntus_order(tmp_path: Path) -> None:
    assert [str(Path(entry).relative_to(tmp_path)) for entry in board_search_path(tmp_path, "3.10.12")] == [
        "usr/local/lib/python3.10/dist-packages",
        "usr/lib/python3/dist-packages",
        "usr/lib/python3.10/dist-packages",
    ]


def test_search_path_without_a_known_python_takes_those_that_are_there(tmp_path: Path, write: Write) -> None:
    write("/usr/lib/python3.8/dist-packages/x.py", "")
    write("/usr/lib/python3/dist-packages/x.py", "")
    assert str(tmp_path / "usr/lib/python3.8/dist-packages") in board_search_path(tmp_path, None)


def test_recorded_board_shows_nothing_of_this_python(tmp_path: Path) -> None:
    software = read_software(tmp_path, Packages(), recorded=True)
    assert (software.python.version, software.python.executable, software.python.virtual_environment) == (
        Fact(),
        None,
        None,
    )
    assert {package.version for package in software.packages} == {Fact()}
    assert (software.opencv.package.files, software.opencv.gstreamer) == ((), Fact())


def test_recorded_opencv_is_found_and_not_run(tmp_path: Path, write: Write) -> None:
    marker = tmp_path / "was-run"
    write("/usr/lib/python3/dist-packages/cv2/__init__.py", f"open({str(marker)!r}, 'w')")
    opencv = read_software(tmp_path, Packages({"python3": "3.10.6-1"}), recorded=True).opencv
    assert opencv.package.files == ("/usr/lib/python3/dist-packages/cv2/__init__.py",)
    assert opencv.gstreamer == Fact(problem="a recorded board's programs are not run")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("versions", "python"),
    [
        ({"python3": "3.10.6-1~22.04.1", "python3.10": "3.10.12-1~22.04.8"}, "3.10.12"),
        ({"python3": "3.12.3-0ubuntu2"}, "3.12.3"),
        ({}, None),
    ],
)
def test_python_of_a_recorded_board_is_its_packages(
    tmp_path: Path, versions: dict[str, str], python: str | None
) -> None:
    assert read_software(tmp_path, Packages(versions), recorded=True).python.version.value == python


def test_this_machines_packages_are_those_that_would_be_imported() -> None:
    software = read_software(Path("/"), Packages(), recorded=False)
    (numpy,) = (package for package in software.packages if package.name == "numpy")
    assert numpy.version == Fact(importlib.metadata.version("numpy"), "numpy")
    assert software.python.executable == sys.executable
    assert (software.python.virtual_environment is not None) == (sys.prefix != sys.base_prefix)


def test_virtual_environment_says_whether_it_sees_the_systems_packages(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])

    def read() -> bool | None:
        return read_software(tmp_path, Packages(), recorded=False).python.sees_system_packages

    assert read() is None
    write("/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    assert read() is False
    write("/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = true\n")
    assert read() is True


def test_opencv_that_cannot_be_imported_keeps_its_version_on_disk(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("/cv2/__init__.py", '__version__ = "4.8.0"\nraise ImportError("libGL.so.1")\n')
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    opencv = read_software(tmp_path, Packages(), recorded=False).opencv
    assert opencv.package.version == Fact("4.8.0", "/cv2/__init__.py", "import cv2 failed: ImportError: libGL.so.1")
    assert opencv.gstreamer.problem == "import cv2 failed: ImportError: libGL.so.1"
