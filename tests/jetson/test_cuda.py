from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.jetson.cuda import (
    parse_cuda_header,
    parse_cuda_json,
    parse_cuda_txt,
    parse_tensorrt_header,
    read_cuda,
    read_tensorrt,
)
from edgesr.jetson.facts import Fact
from edgesr.jetson.packages import Packages

Write = Callable[[str, str | bytes], Path]

HEADER_8 = """//! \\file NvInferVersion.h
#define NV_TENSORRT_MAJOR 8 //!< TensorRT major version.
#define NV_TENSORRT_MINOR 6 //!< TensorRT minor version.
#define NV_TENSORRT_PATCH 2 //!< TensorRT patch version.
#define NV_TENSORRT_BUILD 3 //!< TensorRT build number.
"""
HEADER_10_14 = """#define TRT_MAJOR_ENTERPRISE 10
#define TRT_MINOR_ENTERPRISE 14
#define TRT_PATCH_ENTERPRISE 1
#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE //!< TensorRT major version.
#define NV_TENSORRT_MINOR TRT_MINOR_ENTERPRISE //!< TensorRT minor version.
#define NV_TENSORRT_PATCH TRT_PATCH_ENTERPRISE //!< TensorRT patch version.
"""


@pytest.mark.parametrize(("text", "version"), [(HEADER_8, "8.6.2"), (HEADER_10_14, "10.14.1")])
def test_tensorrt_header(text: str, version: str) -> None:
    assert parse_tensorrt_header(text) == version


@pytest.mark.parametrize(
    "damaged", ["", "\0", HEADER_8.replace("PATCH", "OTHER"), HEADER_10_14.replace("TRT_MINOR_ENTERPRISE 14", "X 1")]
)
def test_damaged_tensorrt_header_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="NV_TENSORRT_MAJOR"):
        parse_tensorrt_header(damaged)


def test_cuda_files() -> None:
    assert parse_cuda_json('{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}') == "12.6.11"
    assert parse_cuda_txt("CUDA Version 10.2.300\n") == "10.2.300"
    assert parse_cuda_header("// x\n#define CUDA_VERSION 13020\n") == "13.2"
    assert parse_cuda_header("#define CUDA_VERSION 11040\n") == "11.4"


@pytest.mark.parametrize("damaged", ["", "{", "[]", "null", '{"cuda": 1}', '{"cuda": {"version": 12}}', '{"nvcc": {}}'])
def test_damaged_cuda_json_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match=r"expected JSON with cuda\.version"):
        parse_cuda_json(damaged)


def test_damaged_cuda_text_and_header_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 'CUDA Version"):
        parse_cuda_txt("CUDA")
    with pytest.raises(ValueError, match="CUDA_VERSION"):
        parse_cuda_header("#define CUDA_VERSION\n")


def test_toolkit_is_asked_before_the_packages(tmp_path: Path, write: Write) -> None:
    packages = Packages(
        {"cuda-cudart-12-2": "12.2.140-1", "cuda-cudart-12-6": "12.6.68-1", "cuda-cudart-dev-12-6": "1-1"}
    )
    assert read_cuda(tmp_path, packages) == Fact("12.6.68", "dpkg cuda-cudart-12-6 12.6.68-1")
    write("/usr/local/cuda/include/cuda.h", "#define CUDA_VERSION 12060\n")
    assert read_cuda(tmp_path, packages).value == "12.6"
    write("/usr/local/cuda/version.txt", "CUDA Version 10.2.300\n")
    assert read_cuda(tmp_path, packages).value == "10.2.300"
    write("/usr/local/cuda/version.json", '{"cuda": {"version": "12.6.11"}}')
    assert read_cuda(tmp_path, packages) == Fact("12.6.11", "/usr/local/cuda/version.json")


def test_library_of_tensorrt_is_asked_before_the_headers(tmp_path: Path, write: Write) -> None:
    write("/usr/include/aarch64-linux-gnu/NvInferVersion.h", HEADER_8)
    assert read_tensorrt(tmp_path, Packages()) == Fact("8.6.2", "/usr/include/aarch64-linux-gnu/NvInferVersion.h")
    both = Packages(
        {"libnvinfer8": "8.6.2.3-1+cuda12.2", "libnvinfer10": "10.3.0.30-1+cuda12.5", "libnvinfer-dev": "1-1"}
    )
    assert read_tensorrt(tmp_path, both).value == "10.3.0.30"


def test_damaged_package_list_is_said_with_the_answer(tmp_path: Path, write: Write) -> None:
    damaged = Packages(problem="/var/lib/dpkg/status: damaged")
    assert read_tensorrt(tmp_path, damaged) == Fact(problem="/var/lib/dpkg/status: damaged")
    write("/usr/include/aarch64-linux-gnu/NvInferVersion.h", HEADER_8)
    assert read_tensorrt(tmp_path, damaged).problem == "/var/lib/dpkg/status: damaged"
    assert read_cuda(tmp_path, damaged).problem == "/var/lib/dpkg/status: damaged"


def test_nothing_installed(tmp_path: Path) -> None:
    assert read_cuda(tmp_path, Packages()) == read_tensorrt(tmp_path, Packages()) == Fact()
