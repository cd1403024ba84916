"""The real Python bindings of TensorRT, imported on a CPU over three stand-in libraries: does the recorded surface tell the truth?

NVIDIA's wheel of bindings needs nine C symbols of TensorRT's libraries, and calls none of them on import. They are loaded from a
temporary folder into a process of their own; nothing is installed.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.nvidia.names import MODULE
from tests.nvidia.surface import later, surface
from tests.nvidia.test_surface import all_uses

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
BINDINGS = {"10.3.0": "tensorrt-cu12-bindings", "11.4.0.106": "tensorrt-cu13-bindings"}
STAND_IN = """
void *createInferBuilder_INTERNAL(void) { return 0; }
void *createInferRefitter_INTERNAL(void) { return 0; }
void *createInferRuntime_INTERNAL(void) { return 0; }
void *createNvOnnxParser_INTERNAL(void) { return 0; }
void *createNvOnnxParserRefitter_INTERNAL(void) { return 0; }
void *getBuilderPluginRegistry(void) { return 0; }
void *getPluginRegistry(void) { return 0; }
int getNvOnnxParserVersion(void) { return 0; }
int initLibNvInferPlugins(void) { return 1; }
"""
START = """
import json, sys
sys.path[:0] = [{folder!r}, {links!r}]
import tensorrt_bindings
sys.modules["tensorrt"] = tensorrt_bindings
"""


@pytest.fixture(scope="module", params=BINDINGS)
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A version, and the folder that its module `tensorrt_bindings` lies in."""
    version, package = request.param, BINDINGS[request.param]
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("the bindings' stand-in libraries need a C compiler on x86-64 Linux")
    folder = tmp_path_factory.mktemp(version)
    asked = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    done = subprocess.run([*asked, f"{package}=={version}"], capture_output=True, text=True, check=False, timeout=300)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        pytest.skip(f"{package} {version} cannot be downloaded: {done.stderr.strip()[-200:]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    source = folder / "stand_in.c"
    source.write_text(STAND_IN)
    binary = (folder / "tensorrt_bindings" / "tensorrt.so").read_bytes()
    needed = {name.decode() for name in re.findall(rb"lib(?:nvinfer|nvonnxparser|nvinfer_plugin)\.so\.\d+", binary)}
    assert len(needed) == 3
    for name in needed:
        made = folder / "tensorrt_bindings" / name
        subprocess.run([compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", made, source], check=True)
    return version, folder


def in_child(folder: Path, code: str) -> str:
    """What the code prints with the real module as `tensorrt`."""
    start = START.format(folder=str(folder), links=str(ROOT / ".links"))
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder / "tensorrt_bindings")}
    done = subprocess.run(
        [sys.executable, "-c", start + code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_recorded_surface_is_the_real_one(bindings: tuple[str, Path]) -> None:
    version, folder = bindings
    code = """
things = {name: getattr(tensorrt_bindings, name) for name in dir(tensorrt_bindings)}
print(json.dumps({name: list(getattr(thing, "__members__", None) or dir(thing)) for name, thing in things.items()}))
"""
    real = json.loads(in_child(folder, code))
    recorded = surface(version)
    for owner, names in {**recorded["enums"], **recorded["classes"], **later(version)}.items():
        assert {name for name in real[owner] if not name.startswith("_")} == set(names), owner
    assert set(recorded["functions"]) <= set(real)


def test_every_name_we_use_is_there(bindings: tuple[str, Path]) -> None:
    version, folder = bindings
    wanted = sorted({(use.owner, use.name) for _, use in all_uses() if version in use.versions and not use.probe})
    assert len(wanted) > 40
    code = f"""
for owner, name in {wanted!r}:
    thing = tensorrt_bindings if owner == {MODULE!r} else getattr(tensorrt_bindings, owner)
    if not hasattr(thing, name):
        print(owner, name)
"""
    assert in_child(folder, code) == ""


def test_our_logger_and_monitor_are_taken(bindings: tuple[str, Path]) -> None:
    version, folder = bindings
    code = """
from edgesr.export.builder.build import _monitor
from edgesr.runtime.errors import BuildFailed
from edgesr.runtime.nvidia import LastLines, import_tensorrt
trt = import_tensorrt()
log = LastLines(trt)
log.logger.log(trt.ILogger.INFO, "chatter")
log.logger.log(trt.ILogger.WARNING, "careful ")
said = [log.said()]
log.logger.log(trt.ILogger.ERROR, " no memory")
said.append(log.said())
try:
    log.made("builder", lambda: trt.Builder(log.logger), BuildFailed)  # the stand-in gives a null pointer
except BuildFailed as error:
    said.append(str(error))
told = []
monitor = _monitor(trt, told.append)
assert isinstance(monitor, trt.IProgressMonitor)
monitor.phase_start("a", None, 2)
assert monitor.step_complete("a", 0) is True
monitor.phase_finish("a")
print(json.dumps([trt.__version__, said, told]))
"""
    found, said, told = json.loads(in_child(folder, code))
    assert found == version
    assert said[:2] == ["careful", "no memory"]
    assert said[2].startswith("TensorRT made no builder (pybind11::init(): factory function returned nullptr)")
    assert told == [{"phase": "a", "parent": None, "steps": 2}, {"phase": "a", "step": 0}, {"phase": "a", "done": True}]
