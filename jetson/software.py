"""CUDA, TensorRT, OpenCV and Python packages, found without loading any of them into this process."""

import importlib.machinery
import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesr.jetson.cuda import read_cuda, read_tensorrt
from edgesr.jetson.facts import Fact, first, names_in, path_below
from edgesr.jetson.opencv import check_opencv
from edgesr.jetson.packages import Packages

__all__ = [
    "OpenCV",
    "PythonPackage",
    "PythonRuntime",
    "Software",
    "board_search_path",
    "find_package",
    "read_software",
    "sees_system_packages",
]

DISTRIBUTIONS = {
    "numpy": ("numpy",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "av": ("av",),
    "pycuda": ("pycuda",),
    "tensorrt": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
    "cv2": (
        "opencv-python",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
        "opencv",
    ),
}
"""What is imported, and the names under which it may be installed. JetPack's own cv2 comes under none of them."""

SYSTEM_OPENCV = ("libopencv-python", "python3-opencv")  # NVIDIA's package, Debian's and Ubuntu's


@dataclass(frozen=True)
class PythonPackage:
    """`files`: every copy on the search path. Python imports the first; a second one is shadowed by it."""

    name: str
    version: Fact
    distributions: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class OpenCV:
    package: PythonPackage
    gstreamer: Fact
    """`no`, or `yes` with GStreamer's version: from the build information, which only importing it gives."""
    system: Fact
    """The one that the system's own package brings, imported or not."""


@dataclass(frozen=True)
class PythonRuntime:
    """The running interpreter; for a recorded board its system's Python, of which only the version is known."""

    version: Fact
    executable: str | None
    machine: str | None
    virtual_environment: str | None
    sees_system_packages: bool | None
    """None outside a virtual environment; a board's TensorRT and OpenCV are seen from one only where this is true."""


@dataclass(frozen=True)
class Software:
    cuda: Fact
    tensorrt: Fact
    """The library; the Python module of the same name is among `packages`."""
    opencv: OpenCV
    python: PythonRuntime
    packages: tuple[PythonPackage, ...]


def find_package(name: str, search_path: Sequence[str], *, root: Path = Path("/")) -> PythonPackage:
    """The package that `import name` would give on that search path, found on disk: nothing is imported."""
    copies = [(entry, file) for entry in search_path if (file := _module_file(name, entry, root)) is not None]
    if not copies:
        return PythonPackage(name, Fact(), (), ())
    entry, file = copies[0]
    installed = {
        distribution: found
        for distribution in DISTRIBUTIONS.get(name, (name,))
        for found in importlib.metadata.distributions(name=distribution, path=[entry])
    }
    files = tuple(dict.fromkeys(_on_machine(root, copy) for _, copy in copies))
    return PythonPackage(name, first(_versions(Path(file), files[0], installed)), tuple(installed), files)


def _module_file(name: str, entry: str, root: Path) -> str | None:
    """None also for a folder without __init__.py, which Python takes only where nothing else is found, and for what a
    recorded board's link would reach outside its tree."""
    spec = importlib.machinery.PathFinder.find_spec(name, [entry])
    inside = spec is not None and spec.origin is not None and Path(spec.origin).resolve().is_relative_to(root)
    return spec.origin if spec is not None and inside else None


def _versions(file: Path, source: str, installed: dict[str, importlib.metadata.Distribution]) -> Iterator[Fact]:
    for distribution, found in installed.items():
        try:
            if "Version" in found.metadata:
                yield Fact(found.metadata["Version"], distribution)
        except UnicodeDecodeError:
            yield Fact(None, distribution, f"{distribution}: its METADATA is no text")
    if file.name == "__init__.py":
        yield from (_written_version(file.with_name(name), source) for name in ("__init__.py", "version.py"))
    yield Fact(None, source, "it is there, but no file beside it says which version")


def _written_version(file: Path, source: str) -> Fact:
    """`__version__ = "8.6.2"`, as TensorRT's own package has it."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return Fact()
    found = re.search(r"^(?:__version__|opencv_version)\s*=\s*[\"']([\w.+-]+)[\"']", text, re.MULTILINE)
    return Fact(found[1], source) if found else Fact()


def _on_machine(root: Path, file: str) -> str:
    return "/" + str(Path(file).relative_to(root)) if Path(file).is_relative_to(root) else file


def board_search_path(root: Path, python: str | None) -> tuple[str, ...]:
    """Where the system's Python of a recorded board looks for packages, in its order (site.py of Debian and Ubuntu)."""
    version = re.match(r"3\.\d+", python or "")
    versions = [f"python{version[0]}"] if version else _pythons(root)
    folders = [f"/usr/local/lib/{name}/dist-packages" for name in versions] + ["/usr/lib/python3/dist-packages"]
    folders += [f"/usr/lib/{name}/dist-packages" for name in versions]
    return tuple(str(path_below(root, folder)) for folder in folders)


def _pythons(root: Path) -> list[str]:
    names = {*names_in(root, "/usr/lib"), *names_in(root, "/usr/local/lib")}
    return sorted(name for name in names if re.fullmatch(r"python3\.\d+", name))


def read_software(root: Path, packages: Packages, *, recorded: bool) -> Software:
    python = _board_python(packages) if recorded else _this_python()
    search_path = board_search_path(root, python.version.value) if recorded else tuple(sys.path)
    found = [find_package(name, search_path, root=root) for name in DISTRIBUTIONS if name != "cv2"]
    return Software(
        cuda=read_cuda(root, packages),
        tensorrt=read_tensorrt(root, packages),
        opencv=_read_opencv(root, packages, search_path, recorded=recorded),
        python=python,
        packages=tuple(found),
    )


def _read_opencv(root: Path, packages: Packages, search_path: Sequence[str], *, recorded: bool) -> OpenCV:
    package = find_package("cv2", search_path, root=root)
    system = first(packages.fact(name) for name in SYSTEM_OPENCV)
    if not package.files:
        return OpenCV(package, Fact(), system)
    if recorded:
        return OpenCV(package, Fact(problem="a recorded board's programs are not run"), system)
    version, gstreamer = check_opencv(search_path)
    if version.value is None:  # installed, but import fails: the version on disk stands, the failure beside it
        version = Fact(package.version.value, package.version.source, version.problem)
    return OpenCV(PythonPackage("cv2", version, package.distributions, package.files), gstreamer, system)


def _this_python() -> PythonRuntime:
    inside = sys.prefix != sys.base_prefix
    return PythonRuntime(
        version=Fact(platform.python_version(), sys.executable),
        executable=sys.executable,
        machine=platform.machine(),
        virtual_environment=sys.prefix if inside else None,
        sees_system_packages=sees_system_packages(Path(sys.prefix)) if inside else None,
    )


def sees_system_packages(environment: Path) -> bool | None:
    """What `python -m venv --system-site-packages` wrote down; None where the environment has no such file."""
    try:
        text = (environment / "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return None
    return re.search(r"^include-system-site-packages\s*=\s*true\s*$", text, re.MULTILINE | re.IGNORECASE) is not None


def _board_python(packages: Packages) -> PythonRuntime:
    """The package python3 names the series (3.10), that series' own package the version (3.10.12)."""
    default = packages.fact("python3")
    series = re.match(r"3\.\d+", default.value or "")
    exact = packages.fact(f"python{series[0]}") if series else Fact()
    return PythonRuntime(first((exact, default)), None, None, None, None)
