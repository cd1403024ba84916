"""`make demo`'s script, in a folder of its own: the network gains, and everything that is promised is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_demo_sharpens_and_tells(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="the demo pans over scikit-image's photographs")
    command = [sys.executable, str(ROOT / "scripts" / "demo.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    gain = re.search(r"gain\W+([+-]\d+\.\d+) dB", done.stdout)
    assert gain and float(gain[1]) > 0.5, done.stdout
    assert "whole frame" in done.stdout and "edgesr-run" in done.stdout
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["sharpened.mp4", "side_by_side.png"]
