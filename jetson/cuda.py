"""Versions of CUDA and TensorRT, read off the files that they install. Neither is loaded."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from edgesr.jetson.facts import Fact, first, read_fact
from edgesr.jetson.packages import Packages

__all__ = [
    "parse_cuda_header",
    "parse_cuda_json",
    "parse_cuda_txt",
    "parse_tensorrt_header",
    "read_cuda",
    "read_tensorrt",
]

TENSORRT_HEADERS = tuple(
    f"{folder}/NvInferVersion.h"
    for folder in (
        "/usr/include/aarch64-linux-gnu",
        "/usr/include/x86_64-linux-gnu",
        "/usr/include",
        "/usr/local/tensorrt/include",
    )
)


def parse_cuda_json(text: str) -> str:
    """version.json, from CUDA 11 on."""
    with suppress(ValueError, KeyError, TypeError):
        version = json.loads(text)["cuda"]["version"]
        if isinstance(version, str):
            return version
    raise ValueError(f"expected JSON with cuda.version, found {text[:60]!r}")


def parse_cuda_txt(text: str) -> str:
    """`CUDA Version 10.2.300`, up to CUDA 10."""
    found = re.match(r"CUDA Version (\d+(?:\.\d+)+)", text)
    if found is None:
        raise ValueError(f"expected 'CUDA Version ...', found {text[:60]!r}")
    return found[1]


def parse_cuda_header(text: str) -> str:
    """`#define CUDA_VERSION 13020` in cuda.h is 13.2."""
    found = re.search(r"^#define CUDA_VERSION (\d+)", text, re.MULTILINE)
    if found is None:
        raise ValueError("expected a line '#define CUDA_VERSION ...'")
    return f"{int(found[1]) // 1000}.{int(found[1]) % 1000 // 10}"


CUDA_FILES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("/usr/local/cuda/version.json", parse_cuda_json),
    ("/usr/local/cuda/version.txt", parse_cuda_txt),
    ("/usr/local/cuda/include/cuda.h", parse_cuda_header),
)


def parse_tensorrt_header(text: str) -> str:
    """NvInferVersion.h, whose later editions (10.13 on) define each number by the name of another macro."""
    macros = dict(re.findall(r"^#define (\w+)[ \t]+(\w+)", text, re.MULTILINE))
    parts = [macros.get(f"NV_TENSORRT_{part}", "") for part in ("MAJOR", "MINOR", "PATCH")]
    numbers = [macros.get(part, part) for part in parts]
    if not all(number.isdigit() for number in numbers):
        raise ValueError(f"expected numbers for NV_TENSORRT_MAJOR, _MINOR and _PATCH, found {numbers}")
    return ".".join(numbers)


def read_cuda(root: Path, packages: Packages) -> Fact:
    """The toolkit at /usr/local/cuda; where there is none, the runtime package (a board can run without a toolkit)."""

    def candidates() -> Iterator[Fact]:
        for path, parse in CUDA_FILES:
            yield read_fact(root, path, parse)
        yield from packages.facts(r"cuda-cudart-\d+-\d+")

    return first(candidates())


def read_tensorrt(root: Path, packages: Packages) -> Fact:
    """The installed library (libnvinfer10, libnvinfer8), else the headers of one that was unpacked by hand."""

    def candidates() -> Iterator[Fact]:
        yield from packages.facts(r"libnvinfer\d+")
        for path in TENSORRT_HEADERS:
            yield read_fact(root, path, parse_tensorrt_header)

    return first(candidates())
