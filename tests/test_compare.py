"""`make compare`'s script from nothing: exports with random weights, a short run, and what it tells."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="scripts/compare.py exports")

ROOT = Path(__file__).parent.parent
SCRIPT = str(ROOT / "scripts" / "compare.py")


def compare(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, SCRIPT, "--folder", "made", "--shared", "nowhere", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_from_nothing_to_the_verdict(tmp_path: Path) -> None:
    done = compare(tmp_path, "--size", "32x16", "--budget", "2s", "--also", "fsrcnn")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "made"
    run = json.loads((made / "report.json").read_text())
    labels = [model["label"] for model in run["models"]]
    assert labels == ["rdsrn_x4", "rdn_x4", "carn_x4", "fsrcnn_x4", "default", "ecbsr_small_x4", "bicubic:4"]
    assert str(tmp_path) not in json.dumps(run["settings"])
    assert "claims of which is the faster" in done.stdout
    text = (made / "compare.md").read_text()
    assert "| rdn_x4 (untrained) | x4 cpu | " in text and "| CARN | 10.8 | 1.32 |" in text
    assert (made / "report.html").read_text().startswith("<!doctype html>")


def test_a_checkpoint_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = compare(tmp_path, "--rdsrn", "gone.safetensors")
    assert done.returncode == 2
    assert done.stderr == "error: --rdsrn gone.safetensors does not exist; expected a .safetensors checkpoint\n"
