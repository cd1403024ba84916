"""All that a board without internet needs, in one file: wheels for its Python, models, a list of checksums and a script.

The script installs by itself (the first edgesr has to come from somewhere); `install_bundle` checks the file and runs it.
Checksums find damage, not malice: whoever can change the file can change the list. Not yet tried on a board.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgesr.jetson.errors import ProgramFailed, WrongRequest
from edgesr.jetson.ssh import Tell

__all__ = ["TARGETS", "BundleSettings", "Target", "install_bundle", "make_bundle"]

FOLDER = "edgesr-bundle"
FORMAT = 1
SUMS, FACTS, SCRIPT = "SHA256SUMS", "bundle.json", "install.sh"
LARGEST_BYTES = 4 * 2**30

REQUIREMENTS = ("onnx>=1.16", "numpy<2")
"""Beside edgesr's own. NumPy 2 has another binary interface than JetPack's OpenCV and TensorRT were built against."""

PYCUDA = "pycuda>=2024.1"
FOR_PYCUDA = ("setuptools", "wheel", "mako", "platformdirs", "pytools", "typing_extensions")
"""What it is built with and runs with: it is published as source only. Named, since pip takes the conditions on them for
those of the machine at hand, and not of the board."""


@dataclass(frozen=True)
class Target:
    """`glibc`: the minor version, which says what wheels it takes: 35 of Ubuntu 22.04, 39 of 24.04."""

    machine: str
    python: str
    glibc: int

    @property
    def pip_options(self) -> tuple[str, ...]:
        number = self.python.replace(".", "")
        platforms = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, 16, -1)]
        words = [word for name in (*platforms, f"manylinux2014_{self.machine}") for word in ("--platform", name)]
        return (
            *("--only-binary=:all:", "--implementation", "cp", "--python-version", self.python),
            *("--abi", f"cp{number}", "--abi", "abi3", "--abi", "none", *words),
        )


TARGETS = {"6": Target("aarch64", "3.10", 35), "7": Target("aarch64", "3.12", 39)}
"""By JetPack's first number."""


@dataclass(frozen=True)
class BundleSettings:
    """`pip`: how pip is called; where it takes packages from is its own configuration's affair."""

    wheel: Path
    models: Sequence[Path]
    jetpack: str = "6"
    pip: Sequence[str] = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")

    def __post_init__(self) -> None:
        if self.jetpack not in TARGETS:
            raise WrongRequest(f"--jetpack {self.jetpack}: expected {' or '.join(TARGETS)}")
        for model in self.models:
            if not model.is_file() or model.suffix != ".onnx":
                raise WrongRequest(f"--model {model}: expected an .onnx file that is there")
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            raise WrongRequest(f"--model: two files have one name: {', '.join(sorted(names))}")


def make_bundle(settings: BundleSettings, output: Path, tell: Tell) -> str:
    """The SHA-256 of the bundle. Raises WrongRequest, ProgramFailed; then there is no file, or the older one."""
    if not output.parent.is_dir() or output.is_dir():
        raise WrongRequest(f"--output {output}: expected a file name in a folder that is there")
    target = TARGETS[settings.jetpack]
    with tempfile.TemporaryDirectory(prefix=".edgesr-bundle-", dir=output.parent) as scratch:
        folder = Path(scratch) / FOLDER
        wheels, models = folder / "wheels", folder / "models"
        wheels.mkdir(parents=True)
        models.mkdir()
        tell(f"wheels for JetPack {settings.jetpack}: Python {target.python}, {target.machine}")
        wanted = (str(settings.wheel), *REQUIREMENTS, *FOR_PYCUDA)
        _download((*settings.pip, "download", "--quiet", "--dest", str(wheels), *target.pip_options, *wanted))
        tell("PyCUDA's source, which is compiled on the board")
        source = ("--no-deps", "--no-binary=pycuda", PYCUDA)
        _download((*settings.pip, "download", "--quiet", "--dest", str(wheels), *source))
        for model in settings.models:
            shutil.copy(model, models / model.name)
        facts = {"format": FORMAT, "jetpack": settings.jetpack, **asdict(target)}
        (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        shutil.copy(Path(__file__).with_name("bundle_install.sh"), folder / SCRIPT)
        names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
        (folder / SUMS).write_text("".join(f"{_sum(folder / name)}  {name}\n" for name in names), encoding="utf-8")
        whole = Path(scratch) / "bundle.tar"
        _pack(folder, (*names, SUMS), whole)
        digest = _sum(whole)
        try:
            os.replace(whole, output)
        except OSError as error:
            raise ProgramFailed(f"{output} cannot be written: {error.strerror}") from error
    tell(f"{len(names)} files, {output.stat().st_size / 2**20:.0f} MiB")
    return digest


def install_bundle(file: Path, environment: Path, python: str, tell: Tell) -> None:
    """Raises WrongRequest where the file is no bundle or a damaged one, ProgramFailed where installing fails."""
    with tempfile.TemporaryDirectory(prefix="edgesr-bundle-") as scratch:
        folder = unpack_bundle(file, Path(scratch))
        tell(f"{file}: whole, every checksum is right")
        command = ("sh", str(folder / SCRIPT), str(environment.absolute()), python)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False
        )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise ProgramFailed(f"{file.name} is not installed: {lines[-1]}")


def unpack_bundle(file: Path, into: Path) -> Path:
    """Plain files of our folder and of the list only; nothing else that an archive can hold is looked at."""
    try:
        with tarfile.open(file, "r:") as archive:
            members = archive.getmembers()
            if sum(member.size for member in members) > LARGEST_BYTES:
                raise WrongRequest(f"{file}: holds more than {LARGEST_BYTES // 2**30} GiB; this is no bundle of ours")
            found = {member.name: archive.extractfile(member) for member in members if member.isfile()}
            listed = _listed(found.get(f"{FOLDER}/{SUMS}"), file)
            for name, expected in listed.items():
                data = found.get(f"{FOLDER}/{name}")
                target = into / FOLDER / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if data is None:
                    raise WrongRequest(f"{file} is damaged: {name} is missing; copy it again")
                with open(target, "wb") as out:
                    shutil.copyfileobj(data, out)
                if _sum(target) != expected:
                    raise WrongRequest(
                        f"{file} is damaged: {name} has another checksum than in the list; copy it again"
                    )
    except (tarfile.TarError, EOFError) as error:
        raise WrongRequest(
            f"{file} is no bundle, or a damaged one: {error}; make it with: edgesr-jetson bundle"
        ) from error
    except OSError as error:
        raise WrongRequest(f"{file} cannot be read or unpacked: {error.strerror or error}") from error
    if not {FACTS, SCRIPT} <= listed.keys():
        raise WrongRequest(f"{file} is no bundle: {FACTS} or {SCRIPT} is not in its list")
    folder = into / FOLDER
    (folder / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in listed.items()), encoding="utf-8")
    return folder


def _listed(sums: "io.BufferedReader | object | None", file: Path) -> dict[str, str]:
    """Names below our folder, and their checksums."""
    if not isinstance(sums, io.BufferedReader):
        raise WrongRequest(f"{file} is no bundle: it holds no {FOLDER}/{SUMS}; make one with: edgesr-jetson bundle")
    listed = {}
    for line in sums.read().decode("utf-8", "replace").splitlines():
        digest, blank, name = line.partition("  ")
        parts = name.split("/")
        if not blank or len(digest) != 64 or not name.isprintable() or not {"", ".", ".."}.isdisjoint(parts):
            raise WrongRequest(f"{file} is damaged: its list of checksums has the line {line[:80]!r}")
        listed[name] = digest
    return listed


def _download(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        said = errors[0].removeprefix("ERROR: ") if errors else f"exit code {done.returncode}"
        raise ProgramFailed(f"pip download failed: {said}")


def _pack(folder: Path, names: Iterable[str], file: Path) -> None:
    """Without owners and times: the same files give the same archive."""
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size = (folder / name).stat().st_size
            entry.mode = 0o755 if name == SCRIPT else 0o644
            with open(folder / name, "rb") as data:
                archive.addfile(entry, data)


def _sum(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as data:
        while block := data.read(2**20):
            digest.update(block)
    return digest.hexdigest()
