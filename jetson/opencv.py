"""What OpenCV was built with. Only importing it tells, and that can be slow, crash or hang: a process of its own does it."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence

from edgesr.jetson.facts import Fact

__all__ = ["TIMEOUT_S", "check_opencv", "parse_gstreamer"]

TIMEOUT_S = 60.0  # a first import from an SD card takes many seconds

PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import cv2
print(json.dumps([cv2.__version__, cv2.getBuildInformation()]))
"""


def parse_gstreamer(build: str) -> str:
    """The line `GStreamer: YES (1.20.3)` of the build information gives `yes (1.20.3)`."""
    found = re.search(r"^\s*GStreamer:\s*(YES|NO)\b[ \t]*(\([\w.]+\))?", build, re.MULTILINE)
    if found is None:
        raise ValueError("cv2.getBuildInformation() has no line 'GStreamer: YES' or 'NO'")
    return " ".join(part for part in (found[1].lower(), found[2]) if part)


def check_opencv(search_path: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> tuple[Fact, Fact]:
    """OpenCV's own version, and whether it has GStreamer. `search_path` is the sys.path to import it from."""
    command = [sys.executable, "-I", "-c", PROGRAM, json.dumps(list(search_path))]  # -I: the path given, nothing else
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return _failed(f"import cv2 took more than {timeout_s:g} s")
    if done.returncode < 0:
        return _failed(f"import cv2 crashed with signal {-done.returncode}")
    if done.returncode > 0:
        lines = done.stderr.decode("utf-8", "replace").split("\n")
        return _failed(f"import cv2 failed: {next((line for line in reversed(lines) if line.strip()), 'no message')}")
    try:
        version, build = json.loads(done.stdout.splitlines()[-1])
        return Fact(version, "cv2.__version__"), Fact(parse_gstreamer(build), "cv2.getBuildInformation()")
    except (ValueError, IndexError) as error:
        return _failed(f"import cv2 gave no build information: {error}")


def _failed(problem: str) -> tuple[Fact, Fact]:
    return Fact(problem=problem), Fact(problem=problem)
