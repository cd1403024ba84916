"""edgesr on a board, over ssh: installed, its engine built there, verified and timed, and what was found fetched back.

Every step looks first whether it is done, so the same may be run again at any time, also after it broke off. Nothing needs
root. Rehearsed against a local ssh server with stand-ins for the board's programs; not yet run with a board.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgesr.jetson.errors import BoardUnfit, ProgramFailed, WrongRequest
from edgesr.jetson.programs import Done
from edgesr.jetson.ssh import DISK_FULL, Remote, Tell

__all__ = ["RESULTS", "DeploySettings", "deploy"]

OLDEST_PYTHON = (3, 10)
NEEDED_KIB = 2**20
"""The environment with its wheels takes about half of that."""

RESULTS = ("doctor.json", "inspect.json", "bench.json")

FAILURES = (
    (r"ensurepip is not available|No module named venv", "Python's venv is missing there: sudo apt-get install python3-venv"),
    (
        r"Temporary failure in name resolution|Network is unreachable|Could not find a version|No matching distribution",
        "pip finds no package; has the board internet? Without it: edgesr-jetson bundle",
    ),
    (r"nvcc|cuda\.h|curand\.h", "PyCUDA cannot be compiled there; is CUDA complete? sudo apt-get install nvidia-jetpack"),
)  # fmt: skip
"""What commands on the board say, and what helps. The first that fits is taken."""


@dataclass(frozen=True)
class DeploySettings:
    """`size`: of the input, WIDTHxHEIGHT. `directory`: on the board, below the user's home or a whole path. `results`: the
    folder here that the JSON files come to. `bench`: more options of edgesr-bench latency. `anyway`: go on where the doctor
    says no."""

    wheel: Path
    model: Path
    results: Path
    size: str = "320x180"
    directory: str = "edgesr-deploy"
    python: str = "/usr/bin/python3"
    bench: Sequence[str] = ()
    anyway: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", self.size):
            raise WrongRequest(f"--size {self.size}: expected WIDTHxHEIGHT in pixels, such as 320x180")
        if not re.fullmatch(r"/?\w[\w.+-]*(/[\w.+-]+)*", self.directory) or ".." in self.directory.split("/"):
            raise WrongRequest(f"--directory {self.directory}: expected a path without blanks, such as edgesr-deploy")
        if not self.model.is_file():
            raise WrongRequest(f"--model {self.model}: there is no such file")
        if not re.fullmatch(r"\w[\w.+-]*\.onnx", self.model.name):
            raise WrongRequest(f"--model {self.model.name}: expected an .onnx file, its name without blanks")


def deploy(remote: Remote, settings: DeploySettings, tell: Tell) -> None:
    """Raises WrongRequest, NotHere, ProgramFailed, BoardUnfit: the steps before stay done."""
    with remote.shared() as one:
        steps = _Steps(one, settings, tell).all()
        for number, (name, step) in enumerate(steps, 1):
            tell(f"{number}/{len(steps)} {name}: {step()}")


@dataclass(frozen=True)
class _Steps:
    """Each does its part and says what it did."""

    remote: Remote
    settings: DeploySettings
    tell: Tell
    sums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of what was sent, by its path on the board."""

    def all(self) -> Sequence[tuple[str, Callable[[], str]]]:
        return (
            ("look", self.look),
            ("copy the wheel", lambda: self.copy(self.settings.wheel, self.wheel)),
            ("copy the model", lambda: self.copy(self.settings.model, self.model)),
            ("environment", self.environment),
            ("install", self.install),
            ("doctor", self.doctor),
            ("engine", self.engine),
            ("verify", self.verify),
            ("bench", self.bench),
        )

    @property
    def wheel(self) -> str:
        return f"{self.settings.directory}/wheels/{self.settings.wheel.name}"

    @property
    def model(self) -> str:
        return f"{self.settings.directory}/models/{self.settings.model.name}"

    @property
    def plan(self) -> str:
        return f"{self.settings.directory}/engines/{self.settings.model.stem}-{self.settings.size}.engine"

    def program(self, name: str) -> str:
        return f"{self.settings.directory}/venv/bin/{name}"

    def result(self, name: str) -> str:
        return f"{self.settings.directory}/results/{name}"

    def look(self) -> str:
        folder, python = self.settings.directory, self.settings.python
        version = "import sys; print('python: %d %d' % sys.version_info[:2])"
        folders = shlex.join(f"{folder}/{name}" for name in ("wheels", "models", "engines", "results"))
        done = self.must(
            "look",
            f"mkdir -p {folders} && echo machine: $(uname -m) && "
            f"echo free: $(df -Pk {folder} | tail -n 1 | awk '{{print $4}}') && {shlex.join((python, '-c', version))}",
        )
        machine, free = _line(done, "machine"), int(_line(done, "free"))
        major, minor = (int(part) for part in _line(done, "python").split())
        if (major, minor) < OLDEST_PYTHON:
            raise ProgramFailed(
                f"{self.remote.address}: {python} is Python {major}.{minor}; edgesr needs 3.10, which JetPack 6 brings "
                "(JetPack 5 has 3.8: flash the board anew)"
            )
        if free < NEEDED_KIB:
            raise ProgramFailed(
                f"{self.remote.address}: {free // 1024} MiB are free for {folder}, {NEEDED_KIB // 1024} are needed; make "
                "room, or give --directory on another disk"
            )
        return f"{machine}, Python {major}.{minor}, {free // 2**20} GiB free"

    def copy(self, file: Path, path: str) -> str:
        self.sums[path] = hashlib.sha256(file.read_bytes()).hexdigest()
        if self.same(path):
            return f"{file.name} is there already"
        self.remote.send(file, path)
        if not self.same(path):
            raise ProgramFailed(
                f"{self.remote.address}: {path} differs from what was sent; is its disk full or failing?"
            )
        return f"{file.name}, {file.stat().st_size / 1e6:.1f} MB"

    def same(self, path: str) -> bool:
        return self.sums[path] in self.remote.run(f"sha256sum {path}").text

    def environment(self) -> str:
        venv = f"{self.settings.directory}/venv"
        seen = f"grep -qi '^include-system-site-packages = *true' {venv}/pyvenv.cfg && {venv}/bin/python -c ''"
        if self.remote.run(f"{seen}").code == 0:
            return f"{venv} is there already"
        python = shlex.quote(self.settings.python)
        self.must("environment", f"{python} -m venv --system-site-packages --clear {venv}")
        return f"{venv}, which sees the board's own TensorRT and OpenCV"

    def install(self) -> str:
        """NumPy 2 has another binary interface than JetPack's OpenCV and TensorRT were built against."""
        stamp = f"{self.settings.directory}/venv/deployed"
        if self.remote.run(f"grep -qx {self.sums[self.wheel]} {stamp}").code == 0:
            return "this wheel is installed already"
        pip = f"{self.program('python')} -m pip --disable-pip-version-check --no-input install"
        self.must("install", f"PATH=/usr/local/cuda/bin:$PATH {pip} '{self.wheel}[engine]' 'numpy<2'", self.tell)
        again = f"{pip} --quiet --no-deps --force-reinstall {self.wheel}"  # pip keeps another wheel of the same version
        self.must("install", f"{again} && echo {self.sums[self.wheel]} > {stamp}")
        return f"{self.settings.wheel.name}, ONNX and PyCUDA"

    def doctor(self) -> str:
        path = self.result("doctor.json")
        done = self.remote.run(f"{self.program('edgesr-jetson')} doctor --json > {path}")
        report = self.fetched("doctor.json", done)
        failed = [check for check in report.get("checks", []) if check.get("verdict") == "fail"]
        for check in failed:
            self.tell(f"  {check.get('name')}: {check.get('reason')} → {check.get('fix')}")
        if failed and not self.settings.anyway:
            names = ", ".join(str(check.get("name")) for check in failed)
            raise BoardUnfit(
                f"{self.remote.address}: the doctor there says no to {names} (see above); put it right, or go on with --anyway"
            )
        return str(report.get("verdict"))

    def engine(self) -> str:
        command = f"{self.program('edgesr-export')} {self.model} -o {self.plan} --size {self.settings.size}"
        done = self.remote.run(command, tell=self.tell)
        if done.code != 0 and "exists already" in done.text:
            self.tell("  it was built from another model, or for another TensorRT: building it anew")
            done = self.remote.run(f"{command} --force", tell=self.tell)
        self.check("engine", done)
        return self.plan

    def verify(self) -> str:
        path = self.result("inspect.json")
        done = self.remote.run(f"{self.program('edgesr-export')} inspect {self.plan} --json > {path}")
        self.check("verify", done)
        self.fetched("inspect.json", done)
        return f"{self.plan} is whole and runs there"

    def bench(self) -> str:
        path, options = self.result("bench.json"), shlex.join(self.settings.bench)
        command = (
            f"{self.program('edgesr-bench')} latency {self.plan} --size {self.settings.size} --json {path} --force"
        )
        self.check("bench", self.remote.run(f"{command} {options}", tell=self.tell))
        self.remote.fetch(path, self.settings.results / "bench.json")
        return str(self.settings.results / "bench.json")

    def fetched(self, name: str, done: Done) -> dict[str, Any]:
        """The JSON object that a command wrote into its file of results."""
        file = self.settings.results / name
        self.remote.fetch(self.result(name), file)
        try:
            report = json.loads(file.read_text("utf-8"))
        except ValueError:
            report = None
        if not isinstance(report, dict):
            raise self.failed(name.removesuffix(".json"), done)
        return report

    def must(self, name: str, command: str, tell: Tell | None = None) -> Done:
        return self.check(name, self.remote.run(command, tell=tell))

    def check(self, name: str, done: Done) -> Done:
        if done.code != 0:
            raise self.failed(name, done)
        return done

    def failed(self, name: str, done: Done) -> ProgramFailed:
        if DISK_FULL.search(done.text):
            return ProgramFailed(
                f"{self.remote.address}: its disk is full; make room there (df -h), then run the same again"
            )
        meaning = next((meaning for words, meaning in FAILURES if re.search(words, done.text)), done.last_line)
        return ProgramFailed(f"{self.remote.address}: {name} failed: {meaning}")


def _line(done: Done, key: str) -> str:
    """What a line of ours says; shells there may print lines of their own."""
    found = re.search(rf"^{key}: *(.*\d.*)$", done.text, re.MULTILINE)
    if found is None:
        raise ProgramFailed(f"the board's shell did not tell {key}: {done.last_line}")
    return found[1].strip()
