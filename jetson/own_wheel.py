"""The wheel of this very edgesr, for another machine."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from edgesr.jetson.errors import ProgramFailed, WrongRequest

__all__ = ["build_wheel", "check_wheel"]

CHECKOUT = Path(__file__).resolve().parent.parent
NEEDED = ("train", "export", "runtime", "benchmarks", "jetson")
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
EPOCH = "1767225600"
"""2026-01-01: with fixed time stamps the same source gives the same bytes, and they are not sent twice."""


def check_wheel(file: Path) -> Path:
    """Raises WrongRequest where it is no wheel of edgesr that any machine takes."""
    if not file.is_file():
        raise WrongRequest(f"--wheel {file}: there is no such file")
    if not (file.name.startswith("edgesr-") and file.name.endswith("-py3-none-any.whl")):
        raise WrongRequest(f"--wheel {file.name}: expected edgesr-VERSION-py3-none-any.whl")
    return file


def build_wheel(folder: Path, checkout: Path = CHECKOUT) -> Path:
    """From a copy of the checkout, which a build would leave its traces in. Raises WrongRequest, ProgramFailed."""
    if not all((checkout / name).exists() for name in (*NEEDED, *FILES)):
        raise WrongRequest("edgesr runs from no checkout here, so no wheel can be built: give one with --wheel FILE")
    with tempfile.TemporaryDirectory(prefix="edgesr-wheel-") as scratch:
        copy = Path(scratch) / "edgesr"
        for name in NEEDED:
            shutil.copytree(checkout / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(checkout / name, copy / name)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(copy)]
        done = subprocess.run(
            command,
            env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    wheels = sorted(folder.glob("edgesr-*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it gave no reason"]
        raise ProgramFailed(f"the wheel cannot be built: {lines[-1]}; or give one with --wheel FILE")
    return wheels[-1]
