"""scripts/gpu_check from end to end on a machine that is played: prepared, built, timed, merged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "gpu_check"
MODEL = ROOT / "runtime" / "models" / "ecbsr_x4.onnx"

onnx = pytest.importorskip("onnx", reason="graphs are prepared with onnx")

from tests.nvidia.machine import machine  # the fakes need onnx too


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(SCRIPT), *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT / ".links"), **os.environ}
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu") / "prepared"
    done = call("prepare", MODEL, "-o", folder, "--size", "48x32", "--tensorrt", "8.6.0")
    assert done.returncode == 0, done.stderr
    return folder


def test_both_precisions_share_one_graph_where_flags_choose(prepared: Path) -> None:
    stored = [json.loads((prepared / "ecbsr_x4" / f"{name}.json").read_text())["onnx"] for name in ("fp32", "fp16")]
    assert stored[0] == stored[1] and len(list(prepared.glob("*/*.onnx.*"))) == 1


def test_engines_are_built_timed_and_told_in_one_table(prepared: Path, tmp_path: Path) -> None:
    result, whole = tmp_path / "engines.json", tmp_path / "whole.json"
    with machine("8.6.0", gpu="NVIDIA H200", integrated=False):
        done = call("engines", prepared, "-o", result, "--rounds", "2", "--frames", "3", "--keep", tmp_path / "kept")
    assert done.returncode == 0, done.stderr
    rows = json.loads(result.read_text())["engines"]
    assert [row["precision"] for row in rows] == ["fp16", "fp32"]
    for row in rows:
        assert row["proof"]["share"] == 1 and row["build_s"]["cache"] == "hit"
        ways = row["latency"]
        assert ways["graph"]["cuda_graph"] == "on" and ways["plain"]["cuda_graph"] == "off"
        assert all(len(way["samples_ns"]["whole frame"]) == 6 for way in ways.values())
    assert sorted(path.suffix for path in (tmp_path / "kept").iterdir()) == [".engine", ".engine", ".json", ".json"]
    told = call("merge", result, "-o", whole)
    assert told.returncode == 0 and "| ecbsr x4 | FP16 | 100.0% |" in told.stdout
    assert json.loads(whole.read_text())["gpu"].startswith("NVIDIA H200")


def test_one_that_fails_is_told_and_costs_none_of_the_others(prepared: Path, tmp_path: Path) -> None:
    result = tmp_path / "engines.json"
    graph = json.loads((prepared / "ecbsr_x4" / "fp32.json").read_text())
    folder = tmp_path / "damaged"
    (folder / "ecbsr_x4").mkdir(parents=True)
    for file in (*prepared.glob("*.json"), *prepared.glob("*/*")):
        (folder / file.relative_to(prepared)).write_bytes(file.read_bytes())
    (folder / "ecbsr_x4" / "fp32.json").write_text(json.dumps(graph | {"onnx": ["gone.onnx.0"]}))
    with machine("8.6.0"):
        done = call("engines", folder, "-o", result, "--rounds", "1", "--frames", "1")
    assert done.returncode == 1 and "1 of 2 failed (ecbsr_x4 fp32)" in done.stderr
    errors = {row["precision"]: row.get("error", "") for row in json.loads(result.read_text())["engines"]}
    assert not errors["fp16"] and "gone.onnx.0 is missing" in errors["fp32"]


def test_two_gpus_are_not_merged(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"gpu": name}))
    done = call("merge", tmp_path / "a.json", tmp_path / "b.json", "-o", tmp_path / "c.json")
    assert done.returncode == 2 and "one GPU a result" in done.stderr


def test_engines_need_numpy_pycuda_and_tensorrt_alone() -> None:
    """As on a GPU machine that got a Python 3.10 with no more than these."""
    absent = ("torch", "onnx", "onnxruntime", "av", "cv2", "rich", "PIL", "skimage", "cryptography")
    code = f"import sys\nfor name in {absent}: sys.modules[name] = None\nsys.path.insert(0, {str(SCRIPT)!r})\n"
    code += "import engines, table, edgesr.export.builder.__main__"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".links")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
