"""Checks of what is installed."""

import re

from edgesr.jetson.doctor.check import Check, Verdict
from edgesr.jetson.doctor.findings import Findings
from edgesr.jetson.software import PythonPackage

__all__ = [
    "cuda",
    "gstreamer",
    "jetpack",
    "numpy",
    "opencv",
    "pycuda",
    "python_environment",
    "tensorrt",
    "tensorrt_module",
]

LEAST_PYTHON = (3, 10)
NO_JETSON = "this is no Jetson"
NO_GPU = "no NVIDIA GPU is seen; ONNX Runtime on the CPU needs nothing of it"
ALL_OF_JETPACK = "sudo apt update && sudo apt install nvidia-jetpack"
PYCUDA = 'PATH="/usr/local/cuda/bin:$PATH" pip install pycuda'


def jetpack(found: Findings) -> Check:
    name, board = "JetPack and L4T", found.machine.board
    if not board.is_jetson:
        if not board.compatible_problem:
            return Check(name, Verdict.NOT_HERE, NO_JETSON)
        reason = f"whether this is a Jetson cannot be told: {board.compatible_problem}"
        return Check(name, Verdict.WARN, reason, "run it outside of the container, or as a user who may read the file")
    if board.l4t.value is None:
        reason = board.l4t.problem or "neither /etc/nv_tegra_release nor the package nvidia-l4t-core is there"
        fix = "in a container: -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro; else flash the board with NVIDIA's SDK Manager"
        return Check(name, Verdict.FAIL, reason, fix)
    if board.release is None:
        reason = f"L4T {board.l4t.value} is unknown to this edgesr: what belongs to it cannot be compared"
        return Check(name, Verdict.WARN, reason, "pip install --upgrade edgesr")
    told = f"JetPack {board.jetpack.value or board.release.jetpack}, L4T {board.l4t.value}"
    if _series(board.release.python) < LEAST_PYTHON:
        reason = (
            f"{told} has Python {board.release.python}, for which alone its TensorRT module is built; edgesr needs 3.10"
        )
        fix = "flash JetPack 6 or later (Orin and Thor); on older modules only ONNX Runtime on the CPU is left"
        return Check(name, Verdict.FAIL, reason, fix)
    return Check(name, Verdict.OK, told)


def cuda(found: Findings) -> Check:
    name, version = "CUDA", found.machine.software.cuda
    if version.value is None:
        fix = ALL_OF_JETPACK if found.is_board else "NVIDIA's toolkit: https://developer.nvidia.com/cuda-downloads"
        return _missing(found, name, version.problem or "no toolkit in /usr/local/cuda", fix)
    if version.source.startswith("dpkg"):
        series = "-".join(version.value.split(".")[:2])
        reason = f"{version.value}, the libraries only: without the toolkit PyCUDA cannot be built"
        return Check(name, Verdict.WARN, reason, f"sudo apt install cuda-toolkit-{series}")
    return Check(name, Verdict.OK, version.value)


def tensorrt(found: Findings) -> Check:
    name, version, release = "TensorRT", found.machine.software.tensorrt, found.machine.board.release
    if version.value is None:
        if not found.is_board and found.has_gpu and _package(found, "tensorrt").version.value:
            return Check(name, Verdict.OK, "it came with its Python module")
        fix = "sudo apt update && sudo apt install tensorrt" if found.is_board else 'pip install "edgesr[tensorrt]"'
        return _missing(found, name, version.problem or "libnvinfer is not installed", fix)
    if release and not f"{version.value}.".startswith(f"{release.tensorrt}."):
        reason = (
            f"{version.value}; L4T {release.l4t} came with {release.tensorrt}: engines of other boards will not load"
        )
        return Check(name, Verdict.WARN, reason, ALL_OF_JETPACK)
    return Check(name, Verdict.OK, version.value)


def python_environment(found: Findings) -> Check:
    name, python, release = "Python environment", found.machine.software.python, found.machine.board.release
    if not found.is_board:
        return Check(name, Verdict.NOT_HERE, f"{NO_JETSON}: nothing comes from the system's Python")
    if found.recorded:
        return Check(name, Verdict.NOT_HERE, "a recorded board shows its system's Python only")
    here = f"Python {python.version.value}"
    if release and _series(python.version.value) != _series(release.python):
        reason = f"{here}; the modules of JetPack {release.jetpack} (TensorRT, OpenCV) are built for {release.python}"
        return Check(
            name, Verdict.FAIL, reason, f"/usr/bin/python{release.python} -m venv --system-site-packages edgesr"
        )
    if python.virtual_environment is None:
        reason = f"{here}, the system's own: what pip installs there can break the system's programs"
        return Check(name, Verdict.WARN, reason, "python3 -m venv --system-site-packages edgesr")
    if not python.sees_system_packages:
        reason = (
            f"{here} in {python.virtual_environment} does not see the system's packages: TensorRT and OpenCV are there"
        )
        line = "include-system-site-packages = true"
        fix = f"sed -i 's/^include-system-site-packages.*/{line}/' {python.virtual_environment}/pyvenv.cfg"
        return Check(name, Verdict.FAIL, reason, fix)
    return Check(name, Verdict.OK, f"{here}, virtual, sees the system's packages")


def tensorrt_module(found: Findings) -> Check:
    name, package, library = "TensorRT's Python module", _package(found, "tensorrt"), found.machine.software.tensorrt
    if not package.files:
        fix = "sudo apt install python3-libnvinfer" if found.is_board else 'pip install "edgesr[tensorrt]"'
        return _missing(found, name, f"import tensorrt would find nothing{_where(found)}", fix)
    version = package.version.value
    if found.is_board and _by_pip(package):
        pip = " ".join(package.distributions)
        reason = f"{pip} {version} came by pip, which has no build for Jetsons; JetPack's own belongs here"
        return Check(name, Verdict.FAIL, reason, f"pip uninstall {pip} && sudo apt install python3-libnvinfer")
    if version and library.value and _head(version) != _head(library.value):
        reason = f"it is {version}, the library {library.value}"
        return Check(
            name, Verdict.FAIL, reason, ALL_OF_JETPACK if found.is_board else "pip uninstall tensorrt, or the library"
        )
    return Check(name, Verdict.OK, version or package.version.problem)


def pycuda(found: Findings) -> Check:
    name, package = "PyCUDA", _package(found, "pycuda")
    if not package.files:
        return _missing(found, name, f"engines are run through it, and it is not installed{_where(found)}", PYCUDA)
    return Check(name, Verdict.OK, package.version.value or package.version.problem)


def numpy(found: Findings) -> Check:
    """JetPack 5 and 6 built their OpenCV and TensorRT against NumPy 1, whose binary interface NumPy 2 has not."""
    name, version, release = "NumPy", _package(found, "numpy").version.value, found.machine.board.release
    if not found.is_board:
        return Check(name, Verdict.NOT_HERE, f"{NO_JETSON}: pip's packages agree about NumPy")
    if version is None:
        return Check(name, Verdict.FAIL, f"it is not installed{_where(found)}", 'pip install "numpy<2"')
    if _series(version) < (2,):
        return Check(name, Verdict.OK, version)
    reason = f"{version}; JetPack's OpenCV and TensorRT are built against NumPy 1"
    if release is None or release.jetpack.startswith(("4", "5", "6")):
        return Check(name, Verdict.FAIL, f"{reason}: importing them together fails", 'pip install "numpy<2"')
    return Check(
        name, Verdict.WARN, f"{reason} (JetPack 7: not tried by us)", 'where import cv2 fails: pip install "numpy<2"'
    )


def opencv(found: Findings) -> Check:
    """edgesr-run talks to GStreamer itself and needs OpenCV for pictures and windows only; other programs' cameras
    open through OpenCV's GStreamer."""
    name, here = "OpenCV", found.machine.software.opencv
    if not here.package.files:
        fix = "sudo apt install python3-opencv" if found.is_board else 'pip install "edgesr[opencv]"'
        return Check(name, Verdict.WARN, "not installed: no image files, no USB cameras, no windows", fix)
    told = here.package.version.value or "of unknown version"
    if here.package.version.problem and not here.gstreamer.value and not found.recorded:
        return Check(
            name, Verdict.FAIL, f"{told}: {here.package.version.problem}", 'pip install "numpy<2", or reinstall OpenCV'
        )
    if not found.is_board:
        return Check(name, Verdict.OK, f"{told}; GStreamer in it: {here.gstreamer.value or 'unknown'}")
    if _by_pip(here.package) and not (here.gstreamer.value or "no").startswith("yes"):
        pip = " ".join(here.package.distributions)
        hidden = f", and hides {here.package.files[1]}" if len(here.package.files) > 1 else ""
        reason = f"{told} came by pip ({pip}), without GStreamer{hidden}: CSI cameras do not open in it"
        back = "" if hidden else " && sudo apt install python3-opencv"
        return Check(name, Verdict.WARN, reason, f"pip uninstall {pip}{back}")
    if here.gstreamer.value == "no":
        reason = f"{told} was built without GStreamer: CSI cameras do not open in it"
        return Check(name, Verdict.WARN, reason, "sudo apt install --reinstall libopencv-python")
    return Check(name, Verdict.OK, f"{told}; GStreamer in it: {here.gstreamer.value or 'cannot be told'}")


def gstreamer(found: Findings) -> Check:
    name = "GStreamer of L4T"
    if not found.is_board:
        return Check(name, Verdict.NOT_HERE, f"{NO_JETSON}: video files and network streams need none")
    if found.has_camera_plugin:
        return Check(name, Verdict.OK, "nvarguscamerasrc is installed")
    reason = "its plugins are not installed: no CSI camera, no hardware decoder or encoder"
    return Check(
        name, Verdict.WARN, reason, "sudo apt install nvidia-l4t-gstreamer gstreamer1.0-plugins-good gstreamer1.0-tools"
    )


def _missing(found: Findings, name: str, reason: str, fix: str) -> Check:
    """Engines need it: without it a board cannot do what it is for, a PC with a GPU can still do with ONNX Runtime."""
    if not found.has_gpu:
        return Check(name, Verdict.NOT_HERE, NO_GPU)
    if found.is_board:
        return Check(name, Verdict.FAIL, reason, fix)
    return Check(name, Verdict.WARN, f"{reason}: engines cannot be built or run, ONNX Runtime can", fix)


def _where(found: Findings) -> str:
    return " for the system's Python; virtual environments of a recorded board are not looked into" * found.recorded


def _package(found: Findings, name: str) -> PythonPackage:
    return next(package for package in found.machine.software.packages if package.name == name)


def _by_pip(package: PythonPackage) -> bool:
    """Not by the system's packages, which lie in /usr/lib and are listed among pip's too."""
    return bool(package.distributions) and not package.files[0].startswith("/usr/lib/")


def _series(version: str | None) -> tuple[int, ...]:
    """3.10.12 is of the series 3.10."""
    return tuple(int(number) for number in re.findall(r"\d+", version or "")[:2])


def _head(version: str) -> list[str]:
    """10.3.0 of 10.3.0.30: the library counts one number more than its module."""
    return version.split(".")[:3]
