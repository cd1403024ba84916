import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.jetson.facts import Fact
from edgesr.jetson.opencv import check_opencv, parse_gstreamer

Write = Callable[[str, str | bytes], Path]

BUILD = """
General configuration for OpenCV 4.8.0 =====================================
  Video I/O:
    DC1394:                      YES (2.2.6)
    FFMPEG:                      YES
    GStreamer:                   {}
    v4l/v4l2:                    YES (linux/videodev2.h)
"""
GOOD = f"""__version__ = "4.8.0"
def getBuildInformation():
    return {BUILD.format("YES (1.20.3)")!r}
"""


@pytest.mark.parametrize(
    ("line", "told"), [("YES (1.20.3)", "yes (1.20.3)"), ("YES", "yes"), ("NO", "no"), ("YES (plugin?)", "yes")]
)
def test_gstreamer_line(line: str, told: str) -> None:
    assert parse_gstreamer(BUILD.format(line)) == told


@pytest.mark.parametrize("damaged", ["", "GStreamer:", "GStreamer: MAYBE"])
def test_build_information_without_gstreamer_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="no line 'GStreamer"):
        parse_gstreamer(damaged)


def test_opencv_is_asked_in_a_process_of_its_own(tmp_path: Path, write: Write) -> None:
    write("/cv2.py", GOOD)
    version, gstreamer = check_opencv([str(tmp_path)])
    assert version == Fact("4.8.0", "cv2.__version__")
    assert gstreamer == Fact("yes (1.20.3)", "cv2.getBuildInformation()")
    assert getattr(sys.modules.get("cv2"), "__version__", None) != "4.8.0"


def test_talkative_opencv_is_understood(tmp_path: Path, write: Write) -> None:
    write("/cv2.py", 'print("loading plugins")\n' + GOOD)
    assert check_opencv([str(tmp_path)])[1].value == "yes (1.20.3)"


def test_only_the_given_path_is_searched(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("/here/cv2.py", GOOD)
    write("/here/json.py", "raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "here"))
    assert "No module named 'cv2'" in check_opencv([str(tmp_path / "elsewhere")])[0].problem


def check(write: Write, program: str, timeout_s: float = 60) -> str:
    version, gstreamer = check_opencv([str(write("/cv2.py", program).parent)], timeout_s=timeout_s)
    assert version.value is gstreamer.value is None
    assert version.problem == gstreamer.problem
    return version.problem


def test_crash_is_said(write: Write) -> None:
    assert check(write, "import os\nos.kill(os.getpid(), 11)") == "import cv2 crashed with signal 11"


def test_missing_library_is_said_in_its_own_words(write: Write) -> None:
    problem = check(write, 'raise ImportError("libGL.so.1: cannot open shared object file")')
    assert problem == "import cv2 failed: ImportError: libGL.so.1: cannot open shared object file"


def test_silent_failure_is_said(write: Write) -> None:
    assert check(write, "import os\nos._exit(3)") == "import cv2 failed: no message"


def test_endless_import_is_ended(write: Write) -> None:
    assert check(write, "import time\ntime.sleep(60)", timeout_s=0.5) == "import cv2 took more than 0.5 s"


def test_opencv_without_the_line_is_said(write: Write) -> None:
    assert "no line 'GStreamer" in check(write, '__version__ = "1"\ndef getBuildInformation(): return ""')


def test_opencv_that_ends_the_process_is_said(write: Write) -> None:
    assert "gave no build information" in check(write, "import os\nos._exit(0)")


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is an extra")
def test_real_opencv_answers() -> None:
    version, gstreamer = check_opencv(sys.path)
    assert version.value
    assert gstreamer.value is not None
