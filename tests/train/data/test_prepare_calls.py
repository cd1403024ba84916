"""A call of prepare that is killed goes on, one that cannot write leaves nothing, and a mistaken one is told in one line."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("h5py", reason="prepared data are HDF5 files")
pytest.importorskip("cv2", reason="images are read by OpenCV")

from tests.train.data.made import nothing_left, picture

from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError, OutputExists
from edgesr.runtime.images import write_image
from edgesr.train import prepare_command
from edgesr.train.data import parts
from edgesr.train.data import prepare as prepare_module
from edgesr.train.data.hdf5 import HDF5Store
from edgesr.train.data.patches import Cutting
from edgesr.train.data.prepare import Prepared, prepare

ROOT = Path(__file__).parents[3]


def test_what_was_done_is_not_done_again(photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    made: list[str] = []

    def make_part(job: parts.Job) -> parts.Part:
        if len(made) == 2:
            raise Killed
        made.append(job.file.name)
        return parts.make_part(job)

    monkeypatch.setattr(prepare_module, "make_part", make_part)
    with pytest.raises(Killed):
        prepare([photos], output, Cutting(2))
    assert nothing_left(output)
    with pytest.raises(InputError, match=r"interrupted, with other settings \(scale 2, not 4\)"):
        prepare([photos], output, Cutting(4))
    with pytest.raises(InputError, match="interrupted, with other images"):
        prepare([photos / "0.png"], output, Cutting(2))
    os.utime(photos / "0.png", (1, 1))  # another image by that name
    made[:] = ["0.png"]
    monkeypatch.setattr(prepare_module, "make_part", lambda job: made.append(job.file.name) or parts.make_part(job))
    assert prepare([photos], output, Cutting(2)).taken_up == 1
    assert made == ["0.png", "0.png", "2.png"]
    fresh = output.with_name("fresh.h5")
    prepare([photos], fresh, Cutting(2))
    assert fresh.read_bytes() == output.read_bytes()


PREPARE = """
import sys
from pathlib import Path
from edgesr.runtime.command import command
from edgesr.train import prepare_command

if __name__ == "__main__":
    from edgesr.runtime.command import Parser
    make = Parser("edgesr-train")
    prepare_command.add_to(make.add_subparsers(dest="verb", required=True))
    sys.exit(command(lambda arguments: prepare_command.prepare(make.parse_args(arguments))))
"""


def started(tmp_path: Path, *arguments: object, **settings: object) -> "subprocess.Popen[str]":
    program = tmp_path / "program.py"
    program.write_text(PREPARE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".links")}
    line = [sys.executable, str(program), "prepare", *map(str, arguments)]
    return subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    )


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_killed_call_goes_on_and_leaves_no_process(tmp_path: Path, output: Path) -> None:
    photos = tmp_path / "many"
    photos.mkdir()
    for i in range(12):
        write_image(photos / f"{i:02}.png", picture(150, 200, i))
    arguments = (photos, "-o", output, "--scale", 3, "--rotations", "--flips", "--jobs", 2)
    call = started(tmp_path, *arguments)
    parts_folder = output.with_name("set.h5.parts")
    deadline = time.monotonic() + 60
    while len(list(parts_folder.glob("0*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    children = Path(f"/proc/{call.pid}/task/{call.pid}/children").read_text().split()
    call.send_signal(signal.SIGKILL)
    call.communicate()
    assert nothing_left(output) and len(children) >= 2
    while any(alive(int(child)) for child in children) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(alive(int(child)) for child in children)

    again = started(tmp_path, *arguments)
    printed, errors = again.communicate()
    assert again.returncode == 0, errors
    done = int(printed.partition("of 12 images, ")[2].split()[0])
    assert 2 <= done < 12 and "of them done before" in printed
    fresh = output.with_name("fresh.h5")
    prepare([photos], fresh, Cutting(3, rotations=True, flips=True), jobs=1)
    assert fresh.read_bytes() == output.read_bytes()


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_a_full_disk_is_one_line_and_no_file(photos: Path, tmp_path: Path, output: Path, share: float) -> None:
    """RLIMIT_FSIZE refuses to let a file grow: first the parts, and where those are small enough, the whole."""
    for i in range(3):
        write_image(photos / f"{i}.png", picture(60, 60, i))
    limit = int(60 * 60 * 3 * share) if share < 0.5 else 60 * 60 * 3 + 2000

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    call = started(tmp_path, photos, "-o", output, "--scale", 2, "--jobs", 1, preexec_fn=small)
    _, errors = call.communicate()
    assert call.returncode == 1, errors
    assert errors.count("\n") == 1 and "cannot be written: File too large" in errors
    assert nothing_left(output)
    assert prepare([photos], output, Cutting(2)).taken_up == (0 if share < 0.5 else 3)


def test_an_output_is_kept_made_anew_or_refused(photos: Path, output: Path) -> None:
    prepare([photos], output, Cutting(2))
    os.utime(output, (time.time() + 5,) * 2)
    before = output.stat().st_ino
    again = prepare([photos], output, Cutting(2))
    assert again == Prepared(output, 3, 3, made=False) and output.stat().st_ino == before
    with pytest.raises(OutputExists, match="--force"):
        prepare([photos], output, Cutting(4))
    assert prepare([photos], output, Cutting(4), force=True).made
    with pytest.raises(OutputExists, match="--force"):
        prepare([photos / "0.png"], output, Cutting(4))
    output.write_bytes(b"something else")
    with pytest.raises(OutputExists, match="--force"):
        prepare([photos], output, Cutting(2))


def test_two_calls_do_not_share_a_folder(photos: Path, output: Path) -> None:
    def other_call(_done: int, _total: int) -> None:
        with pytest.raises(InputError, match="in use"):
            prepare([photos], output, Cutting(2))

    assert prepare([photos], output, Cutting(2), tell=other_call).pairs == 3


def call(*arguments: object) -> int:
    make = Parser("edgesr-train")
    prepare_command.add_to(make.add_subparsers(dest="verb", required=True))
    verbs: dict[str, Callable[[Namespace], None]] = {
        "prepare": prepare_command.prepare,
        "inspect": prepare_command.inspect,
    }

    def run(given: object) -> None:
        options = make.parse_args(list(map(str, arguments)))
        verbs[options.verb](options)

    return command(run, [])


def test_a_file_for_each_scale(photos: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "prepare",
        photos,
        "-o",
        output,
        "--scale",
        2,
        3,
        "--preset",
        "espcn",
        "--patch",
        "8x9",
        "--no-luma",
        "--jobs",
        1,
    )
    assert call(*arguments) == 0
    printed = capsys.readouterr().out
    assert "set_x2.h5: x2" in printed and "set_x3.h5: x3" in printed
    assert HDF5Store(output.with_name("set_x3.h5"), 3).high(0, 0, 0, 27, 24).shape == (27, 24, 3)
    assert call("inspect", output.with_name("set_x3.h5")) == 0
    printed = capsys.readouterr().out
    assert "x3, RGB, uint8" in printed and "low: 8x9" in printed and '"stride": 14' in printed
    assert call("inspect", output.with_name("set_x2.h5"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["low"] == [[8, 9]]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--scale", 2, 2), "names one twice"),
        (("--scale", 2, "--jobs", 0), "--jobs is 0"),
        (("--scale", 2, "--stride", 3), "patch none with stride 3"),
        (("--scale", 2, "--degrade", "nonsense:3"), "no degradation 'nonsense'"),
    ],
)
def test_mistaken_options_are_one_line(
    photos: Path, output: Path, arguments: tuple[object, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("prepare", photos, "-o", output, *arguments) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert call("prepare", photos, "-o", output.with_suffix(".png"), "--scale", 2) == 2
