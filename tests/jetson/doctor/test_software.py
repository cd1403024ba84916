import pytest
from tests.jetson.doctor.made import changed, with_package

from edgesr.jetson.doctor import Findings, Verdict
from edgesr.jetson.doctor.software import (
    cuda,
    gstreamer,
    jetpack,
    numpy,
    opencv,
    pycuda,
    python_environment,
    tensorrt,
    tensorrt_module,
)
from edgesr.jetson.facts import Fact
from edgesr.jetson.known import known
from edgesr.jetson.software import PythonPackage


def test_jetpack(orin: Findings) -> None:
    check = jetpack(orin)
    assert (check.verdict, check.reason) == (Verdict.OK, "JetPack 6.2, L4T 36.4.3")


def test_jetpack_whose_python_is_too_old(orin: Findings) -> None:
    check = jetpack(changed(orin, machine__board__release=known().releases["35.4.1"]))
    assert check.verdict is Verdict.FAIL
    assert "Python 3.8" in check.reason


def test_release_that_nobody_knows(orin: Findings) -> None:
    check = jetpack(changed(orin, machine__board__release=None, machine__board__l4t=Fact("41.0.0")))
    assert check.verdict is Verdict.WARN
    assert "L4T 41.0.0 is unknown" in check.reason


def test_board_without_a_release(orin: Findings) -> None:
    broken = changed(orin, machine__board__l4t=Fact(None, "/etc/nv_tegra_release", "/etc/nv_tegra_release: garbage"))
    check = jetpack(broken)
    assert (check.verdict, check.reason) == (Verdict.FAIL, "/etc/nv_tegra_release: garbage")


def test_device_tree_that_cannot_be_read_is_not_called_a_pc(plain: Findings) -> None:
    assert jetpack(plain).verdict is Verdict.NOT_HERE
    check = jetpack(
        changed(plain, machine__board__compatible_problem="/proc/device-tree/compatible: Permission denied")
    )
    assert check.verdict is Verdict.WARN
    assert "Permission denied" in check.reason


@pytest.mark.parametrize(
    ("fact", "verdict", "fix"),
    [
        (Fact("12.6.11", "/usr/local/cuda/version.json"), Verdict.OK, ""),
        (Fact("12.6.68", "dpkg cuda-cudart-12-6 12.6.68-1"), Verdict.WARN, "sudo apt install cuda-toolkit-12-6"),
        (Fact(), Verdict.FAIL, "sudo apt update && sudo apt install nvidia-jetpack"),
    ],
)
def test_cuda(orin: Findings, fact: Fact, verdict: Verdict, fix: str) -> None:
    check = cuda(changed(orin, machine__software__cuda=fact))
    assert (check.verdict, check.fix) == (verdict, fix)


@pytest.mark.parametrize(
    ("version", "verdict"), [("10.3.0.30", Verdict.OK), ("10.30.0.1", Verdict.WARN), (None, Verdict.FAIL)]
)
def test_tensorrt_against_what_the_release_brought(orin: Findings, version: str | None, verdict: Verdict) -> None:
    check = tensorrt(changed(orin, machine__software__tensorrt=Fact(version)))
    assert check.verdict is verdict
    assert "10.3.0" in check.reason or version is None


def test_what_a_gpu_needs_is_a_warning_on_a_pc_and_nothing_without_one(pc: Findings, plain: Findings) -> None:
    for check in (cuda, tensorrt, tensorrt_module, pycuda):
        told = check(pc)
        assert told.verdict is Verdict.WARN
        assert "nvidia-jetpack" not in told.fix
        assert check(plain).verdict is Verdict.NOT_HERE


def test_tensorrt_by_pip_is_right_on_a_pc_and_wrong_on_a_board(pc: Findings, orin: Findings) -> None:
    assert tensorrt(with_package(pc, "tensorrt", "10.16.1", "tensorrt")).verdict is Verdict.OK
    assert tensorrt_module(with_package(pc, "tensorrt", "10.16.1", "tensorrt")).verdict is Verdict.OK
    check = tensorrt_module(with_package(orin, "tensorrt", "10.3.0", "tensorrt-cu12"))
    assert check.verdict is Verdict.FAIL
    assert check.fix == "pip uninstall tensorrt-cu12 && sudo apt install python3-libnvinfer"


def test_what_the_system_brings_is_not_taken_for_pips(orin: Findings) -> None:
    """JetPack's TensorRT and Ubuntu's OpenCV are listed by pip, too."""
    systems = PythonPackage(
        "tensorrt", Fact("10.3.0"), ("tensorrt",), ("/usr/lib/python3.10/dist-packages/tensorrt/__init__.py",)
    )
    others = tuple(one for one in orin.machine.software.packages if one.name != "tensorrt")
    assert tensorrt_module(changed(orin, machine__software__packages=(*others, systems))).verdict is Verdict.OK
    assert opencv(changed(orin, machine__software__opencv__package__distributions=("opencv",))).verdict is Verdict.OK


def test_tensorrt_module_that_is_not_the_librarys(orin: Findings) -> None:
    assert tensorrt_module(orin).verdict is Verdict.OK
    check = tensorrt_module(with_package(orin, "tensorrt", "8.6.2"))
    assert (check.verdict, check.reason) == (Verdict.FAIL, "it is 8.6.2, the library 10.3.0.30")


def test_tensorrt_module_that_is_missing(orin: Findings) -> None:
    check = tensorrt_module(with_package(orin, "tensorrt", None))
    assert (check.verdict, check.fix) == (Verdict.FAIL, "sudo apt install python3-libnvinfer")


def test_environment_that_does_not_see_the_system(orin: Findings) -> None:
    assert python_environment(orin).verdict is Verdict.OK
    check = python_environment(changed(orin, machine__software__python__sees_system_packages=False))
    assert check.verdict is Verdict.FAIL
    assert check.fix.startswith("sed -i ")
    assert check.fix.endswith("/home/me/edgesr/pyvenv.cfg")


def test_environment_of_another_python(orin: Findings) -> None:
    check = python_environment(changed(orin, machine__software__python__version=Fact("3.12.3")))
    assert check.verdict is Verdict.FAIL
    assert check.fix.startswith("/usr/bin/python3.10 -m venv")


def test_no_environment(orin: Findings, pc: Findings) -> None:
    bare = changed(orin, machine__software__python__virtual_environment=None)
    assert python_environment(bare).verdict is Verdict.WARN
    assert python_environment(changed(bare, machine__recorded_root="tree")).verdict is Verdict.NOT_HERE
    assert python_environment(pc).verdict is Verdict.NOT_HERE


@pytest.mark.parametrize(
    ("release", "version", "verdict"),
    [
        ("36.4.3", "1.26.4", Verdict.OK),
        ("36.4.3", "2.2.6", Verdict.FAIL),
        ("38.2.0", "2.2.6", Verdict.WARN),
        ("36.4.3", None, Verdict.FAIL),
    ],
)
def test_numpy_2_against_jetpacks_binaries(orin: Findings, release: str, version: str | None, verdict: Verdict) -> None:
    board = changed(orin, machine__board__release=known().releases[release])
    check = numpy(with_package(board, "numpy", version))
    assert check.verdict is verdict
    assert not check.fix or 'pip install "numpy<2"' in check.fix


def test_opencv_of_the_system(orin: Findings) -> None:
    check = opencv(orin)
    assert check.verdict is Verdict.OK
    assert "yes (1.20.3)" in check.reason


def test_opencv_by_pip_hides_the_systems(orin: Findings) -> None:
    hidden = changed(
        orin,
        machine__software__opencv__package__distributions=("opencv-python",),
        machine__software__opencv__package__version=Fact("4.10.0.84"),
        machine__software__opencv__package__files=("/venv/cv2/__init__.py", "/usr/lib/python3/dist-packages/cv2.so"),
        machine__software__opencv__gstreamer=Fact("no"),
    )
    check = opencv(hidden)
    assert check.verdict is Verdict.WARN
    assert "hides /usr/lib/python3/dist-packages/cv2.so" in check.reason
    assert check.fix == "pip uninstall opencv-python"


def test_opencv_by_pip_with_nothing_beneath_needs_the_systems(orin: Findings) -> None:
    alone = changed(
        orin,
        machine__software__opencv__package__distributions=("opencv-python",),
        machine__software__opencv__package__files=("/venv/cv2/__init__.py",),
        machine__software__opencv__gstreamer=Fact("no"),
    )
    assert opencv(alone).fix == "pip uninstall opencv-python && sudo apt install python3-opencv"
    own = changed(alone, machine__software__opencv__gstreamer=Fact("yes (1.20.3)"))  # somebody built a wheel with it
    assert opencv(own).verdict is Verdict.OK


def test_opencv_that_does_not_load(orin: Findings) -> None:
    said = "import cv2 failed: ImportError: numpy.core.multiarray failed to import"
    broken = changed(
        orin,
        machine__software__opencv__package__version=Fact("4.8.0", "", said),
        machine__software__opencv__gstreamer=Fact(problem=said),
    )
    check = opencv(broken)
    assert (check.verdict, check.reason) == (Verdict.FAIL, f"4.8.0: {said}")


def test_opencv_without_gstreamer(orin: Findings, pc: Findings) -> None:
    assert opencv(changed(orin, machine__software__opencv__gstreamer=Fact("no"))).verdict is Verdict.WARN
    assert opencv(changed(pc, machine__software__opencv__gstreamer=Fact("no"))).verdict is Verdict.OK


def test_opencv_that_is_missing(orin: Findings, pc: Findings) -> None:
    for found, fix in ((orin, "sudo apt install python3-opencv"), (pc, 'pip install "edgesr[opencv]"')):
        check = opencv(changed(found, machine__software__opencv__package__files=()))
        assert (check.verdict, check.fix) == (Verdict.WARN, fix)


def test_gstreamers_plugins(orin: Findings, pc: Findings) -> None:
    assert gstreamer(orin).verdict is Verdict.OK
    assert gstreamer(changed(orin, has_camera_plugin=False)).verdict is Verdict.WARN
    assert gstreamer(pc).verdict is Verdict.NOT_HERE
