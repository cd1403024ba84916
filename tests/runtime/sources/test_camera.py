"""Cameras by OpenCV's V4L2, on a made device: fake_v4l2.c, which OpenCV cannot tell from a real one.

A real camera is not tested here: no machine of ours has one.
"""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from edgesr.runtime.cameras import CSI_DRIVER, Camera, CameraFormat, CameraSize
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.images import write_image
from edgesr.runtime.sources.camera import Wanted, _chosen, _is_whole_jpeg, open_camera
from edgesr.runtime.sources.part import WHOLE

np = pytest.importorskip("numpy")
pytest.importorskip("cv2", reason="no OpenCV: pip install 'edgesr[opencv]'")

LINKS = Path(__file__).parents[3] / ".links"
BEGIN = f"""
import sys, threading, time
sys.path.insert(0, {str(LINKS)!r})
from edgesr.runtime.errors import EdgeSRError
from edgesr.runtime.sources.camera import open_camera
from edgesr.runtime.sources.part import Part, WHOLE
device = sys.argv[1]
"""
SAYS = """
try:
    with open_camera(device + sys.argv[2], WHOLE) as source:
        for _ in range(30):
            source.read()
    print("all is well")
except EdgeSRError as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the device `video7` and what stands behind it."""
    compiler = which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the made camera: apt install gcc")
    folder = tmp_path_factory.mktemp("camera")
    source = Path(__file__).with_name("fake_v4l2.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "fake.so"), str(source), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    os.mkfifo(folder / "video7")
    for name, (width, height) in {"640.jpg": (640, 480), "320.jpg": (320, 240)}.items():
        write_image(folder / name, np.full((height, width, 3), (40, 80, 200), np.uint8))
    return folder


def run(
    made: Path, script: str, query: str = "", *, fault: str = "", jpeg: str = "640.jpg", python: str = sys.executable
) -> list[str]:
    """What the script prints, line by line, in a process in which the made camera is there."""
    environment = os.environ | {
        "LD_PRELOAD": str(made / "fake.so"),
        "FAKE_CAMERA": str(made / "video7"),
        "FAKE_JPEG": str(made / jpeg),
        "FAKE_FAULT": fault,
        "PYTHONPATH": str(made / "site"),
    }
    command = [python, "-c", BEGIN + script, str(made / "video7"), query]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_mjpeg_is_taken_where_it_is_and_frames_carry_the_driver_s_stamps(made: Path) -> None:
    script = """
with open_camera(device, WHOLE) as source:
    print(source.info.width, source.info.height, source.info.frame_rate, source.info.live, source.info.notes)
    frames = []
    for _ in range(10):
        frame = source.read()
        assert frame.captured_ns < frame.decoded_ns <= time.perf_counter_ns()
        frames.append((frame.captured_ns, frame.index, frame.pixels[100, 100].tolist()))
    stamps = [stamp for stamp, *_ in frames]
    assert stamps == sorted(set(stamps)) and all(stamp % 1000 < 10 or stamp % 1000 > 990 for stamp in stamps)
    print(frames[-1][2])
"""
    said = run(made, script)
    assert said[0] == "640 480 30 True ['format MJPG']"
    assert np.abs(np.array(json.loads(said[1])) - (40, 80, 200)).max() <= 2


def test_raw_is_converted_and_memory_is_used_again(made: Path) -> None:
    script = """
with open_camera(device + sys.argv[2], WHOLE) as source:
    first = source.read().pixels
    second = source.read().pixels
    assert first.shape == (240, 320, 3) and first.ctypes.data == second.ctypes.data
    assert (second[0, 0] == second[0, 0, 0]).all()
    print(*source.info.notes, sep="; ")
"""
    (notes,) = run(made, script, "?format=raw&width=320&height=240&fps=60")
    assert notes == "format YUYV; asked for 60 frames a second: the camera grants 30"


def test_what_waited_too_long_is_dropped_before_it_is_decoded(made: Path) -> None:
    script = """
with open_camera(device + "?format=raw", WHOLE) as source:
    before = source.read()
    time.sleep(0.5)
    after = source.read()
    print(after.index - before.index, source.drops["newer came"])
"""
    apart, dropped = run(made, script)[0].split()
    assert int(apart) == int(dropped) + 1 > 1


def test_damaged_pictures_are_skipped_and_counted(made: Path) -> None:
    script = """
with open_camera(device, Part(frames=8)) as source:
    frames = list(source)
    print(len(frames), source.drops["corrupt"], frames[-1].index)
"""
    given, corrupt, last = map(int, run(made, script, fault="cut")[0].split())
    assert given == 8 and corrupt >= 3 and last >= 7 + corrupt


def test_a_camera_that_falls_silent_can_be_interrupted(made: Path) -> None:
    script = """
with open_camera(device, WHOLE) as source:
    threading.Timer(2, lambda: (times.append(time.monotonic()), source.interrupt())).start()
    times = []
    while source.read() is not None:
        pass
    print(time.monotonic() - times[0])
"""
    assert float(run(made, script, fault="silent")[0]) < 2


def test_a_board_s_own_opencv_does_the_same(made: Path) -> None:
    """Debian's, with its own NumPy, stands for JetPack's; what else is needed is lent to it."""
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import cv2"], capture_output=True, check=False).returncode:
        pytest.skip("no system OpenCV: apt install python3-opencv")
    (made / "site").mkdir(exist_ok=True)
    for package in ("rich", "pygments", "markdown_it", "mdurl", "typing_extensions"):
        found = find_spec(package)
        lent = made / "site" / package
        if found is not None and found.submodule_search_locations and not lent.exists():
            lent.symlink_to(found.submodule_search_locations[0])
    assert run(made, SAYS, "?format=raw&width=320&height=240", python=python) == ["all is well"]
    assert run(made, SAYS, fault="cut", python=python) == ["all is well"]


@pytest.mark.parametrize(
    ("query", "fault", "says"),
    [
        ("", "unplugged", "SourceFailed: .*gives no more frames"),
        ("", "busy", "InputError: .*most likely in use by another program; close that first"),
        ("?width=800&height=600", "", "InputError: .*does not grant 800x600 in MJPG; it grants 640x480, 320x240"),
        ("?width=800&height=600&size=nearest", "", "all is well"),
        ("?width=640&height=480&fps=30&format=mjpeg", "", "all is well"),
    ],
)
def test_each_fault_has_its_line(made: Path, query: str, fault: str, says: str) -> None:
    (said,) = run(made, SAYS, query, fault=fault)
    assert re.match(says, said), said


def test_a_camera_that_changes_its_size_is_not_passed_on(made: Path) -> None:
    (said,) = run(made, SAYS, "?width=640&height=480", jpeg="320.jpg")
    assert "asked for 640x480 and gives 320x240" in said


@pytest.mark.parametrize(
    ("target", "error", "says"),
    [
        ("", InputError, "names no camera"),
        ("97", MissingFile, "there is no /dev/video97; cameras here:"),
        ("/dev/null", InputError, "gives no pictures"),
        ("97?colour=red", InputError, "no option 'colour'"),
        ("97?width=0&height=4", InputError, "width=0"),
        ("97?width=640", InputError, "belong together"),
        ("97?fps=many", InputError, "fps=many"),
        ("97?format=h264", InputError, "mjpeg or raw"),
    ],
)
def test_what_cannot_be_a_camera_is_refused_in_one_line(target: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        open_camera(target, WHOLE)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def offering(*codes: str, driver: str = "uvcvideo") -> Camera:
    sizes = (CameraSize(640, 480),)
    return Camera("camera:0", "/dev/video0", "a camera", driver, tuple(CameraFormat(code, "", sizes) for code in codes))


def test_the_format_is_mjpeg_unless_it_is_not_offered_or_not_wanted() -> None:
    assert _chosen(offering("YUYV", "MJPG"), Wanted(), "camera:0").code == "MJPG"
    assert _chosen(offering("YUYV", "MJPG"), Wanted(format="raw"), "camera:0").code == "YUYV"
    assert _chosen(offering("NV12", "YUYV"), Wanted(), "camera:0").code == "YUYV"
    with pytest.raises(InputError, match=r"offers H264; expected MJPG"):
        _chosen(offering("H264"), Wanted(), "camera:0")


def test_a_csi_sensor_s_own_node_is_pointed_to_argus() -> None:
    with pytest.raises(InputError, match="open it as csi://0"):
        _chosen(offering("RG10", driver=CSI_DRIVER), Wanted(), "camera:0")


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"\xff\xd8 picture \xff\xd9", True),
        (b"\xff\xd8 picture \xff\xd9" + bytes(700), True),
        (b"\xff\xd8 cut off", False),
        (b"\0\0 picture \xff\xd9", False),
        (b"", False),
    ],
)
def test_a_jpeg_is_whole_from_its_first_mark_to_its_last(data: bytes, whole: bool) -> None:
    assert _is_whole_jpeg(np.frombuffer(data, np.uint8)) is whole
