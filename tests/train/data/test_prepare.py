"""A set is prepared whole, or not there; what was done before a call was killed is not done again."""

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

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="prepared data are HDF5 files")
cv2 = pytest.importorskip("cv2", reason="images are read by OpenCV")

from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError, MissingFile, OutputExists, OutputFailed
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import read_image, write_image
from edgesr.runtime.quality import RULER
from edgesr.runtime.resize import downscale, imresize, upscale
from edgesr.train import prepare_command
from edgesr.train.data import parts
from edgesr.train.data import prepare as prepare_module
from edgesr.train.data.hdf5 import HDF5Store
from edgesr.train.data.patches import PRESETS, Cutting, pairs_of
from edgesr.train.data.prepare import Prepared, prepare

ROOT = Path(__file__).parents[3]


def picture(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (height, width) in enumerate(((41, 50), (62, 35), (30, 30))):
        write_image(folder / f"{i}.png", picture(height, width, i))
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "set.h5"


def of_one(pixels: Pixels, cutting: Cutting, **given: object) -> tuple[np.ndarray, np.ndarray]:
    low, high = zip(*pairs_of(pixels, cutting, **given), strict=True)
    return np.concatenate(low), np.concatenate(high)


def nothing_left(output: Path) -> bool:
    return not output.exists() and not list(output.parent.glob(".set*"))


def test_whole_images_are_groups_of_rgb_by_index(photos: Path, output: Path) -> None:
    done = prepare([photos], output, Cutting(3))
    assert (done.images, done.pairs, done.made, done.taken_up) == (3, 3, True, 0)
    with h5py.File(output) as file:
        assert set(file["lr"]) == set(file["hr"]) == {"0", "1", "2"}
        for i in range(3):
            pixels = read_image(photos / f"{i}.png")[0]
            high = pixels[: len(pixels) // 3 * 3, : pixels.shape[1] // 3 * 3]
            assert file[f"hr/{i}"].dtype == np.uint8
            assert np.array_equal(file[f"hr/{i}"], high[..., ::-1])
            assert np.array_equal(file[f"lr/{i}"], downscale(high, 3)[..., ::-1])
        assert (file.attrs["format"], file.attrs["scale"], file.attrs["colour"]) == (1, 3, b"rgb")
        assert json.loads(file.attrs["settings"])["cutting"]["scale"] == 3
        assert file["images"][:].tolist() == [f"photos/{i}.png".encode() for i in range(3)]
    assert not output.with_name("set.h5.parts").exists()
    assert HDF5Store(output, 3).name(1).endswith("pair 1 (photos/1.png)")


def test_five_crops_are_corners_and_centre() -> None:
    pixels = picture(42, 50)
    low, high = of_one(pixels, Cutting(2, five_crop=True))
    whole = downscale(pixels, 2)[..., ::-1]  # 21x25; half of it is 10x12
    places = [(0, 0), (0, 13), (11, 0), (11, 13), (6, 6)]
    assert low.shape == (5, 10, 12, 3) and high.shape == (5, 20, 24, 3)
    for i, (top, left) in enumerate(places):
        assert np.array_equal(low[i], whole[top : top + 10, left : left + 12]), i
        assert np.array_equal(high[i], pixels[2 * top : 2 * top + 20, 2 * left : 2 * left + 24, ::-1]), i
    assert of_one(pixels, Cutting(2, five_crop=True, crop_size=(8, 6)))[1].shape == (5, 6, 8, 3)
    assert of_one(pixels, Cutting(2, five_crop=True, same_size=True))[0].shape == (5, 20, 24, 3)


# Along a side of n pixels (n - patch) // stride + 1 patches; an image of 100x80, cropped to a multiple of the scale.
@pytest.mark.parametrize(
    ("name", "scale", "count", "low", "high"),
    [
        ("srcnn", 3, 5 * 4, 33, 33),  # (99 - 33) // 14 + 1 = 5, (78 - 33) // 14 + 1 = 4
        ("vdsr", 2, 2 * 1 * 8, 41, 41),
        ("espcn", 3, 2 * 1, 17, 51),  # at low resolution: 33x26
        ("espcn", 4, 1 * 1, 17, 68),  # 25x20
        ("drcn", 4, 3 * 2, 41, 41),
        ("drrn", 2, 4 * 3 * 8, 31, 31),
        # Reduced to 1, .9, .8, .7, .6: 50x40, 45x36, 40x32, 35x28, 30x24 at low resolution, each turned four times.
        ("fsrcnn", 2, 4 * (11 * 8 + 9 * 7 + 8 * 6 + 7 * 5 + 6 * 4), 10, 20),
        # 33x26, 30x24, 26x21, 23x18, 20x16.
        ("fsrcnn", 3, 4 * (7 * 5 + 6 * 5 + 5 * 4 + 5 * 3 + 4 * 3), 7, 21),
        # 25x20, 22x18, 20x16, 17x14, 15x12.
        ("fsrcnn", 4, 4 * (5 * 4 + 5 * 4 + 4 * 3 + 3 * 3 + 3 * 2), 6, 24),
    ],
)
def test_presets_cut_what_their_papers_did(name: str, scale: int, count: int, low: int, high: int) -> None:
    small, large = of_one(picture(80, 100), Cutting(**PRESETS[name].cutting(scale)))
    assert small.shape == (count, low, low) and large.shape == (count, high, high)
    assert small.dtype == large.dtype == np.float32


def test_srcnn_has_the_21884_patches_of_its_authors_program(shared: Path, output: Path) -> None:
    """Counted from the sizes alone: their program makes 21,884 of the 91 images at x3."""
    sizes = [cv2.imread(str(file)).shape[:2] for file in sorted((shared / "data/train/T91").iterdir())]
    along = [[(side // 3 * 3 - 33) // 14 + 1 for side in size] for size in sizes]
    assert sum(rows * columns for rows, columns in along) == 21884


def test_patches_are_stacked_and_float_luma_is_not_rounded(photos: Path, output: Path) -> None:
    cutting = Cutting(2, patch=(9, 7), stride=5, luma=True, same_size=True)
    done = prepare([photos], output, cutting)
    with h5py.File(output) as file:
        low, high = file["lr"][:], file["hr"][:]
    assert low.shape == high.shape == (done.pairs, 7, 9)
    pixels = read_image(photos / "0.png")[0][:40]
    luma = RULER.luma(pixels).astype(np.float32)
    enlarged = upscale(RULER.luma(downscale(pixels, 2)), 2).astype(np.float32)
    assert np.array_equal(high[0], luma[:7, :9]) and np.array_equal(high[1], luma[:7, 5:14])
    assert np.array_equal(low[0], enlarged[:7, :9])
    store = HDF5Store(output, 2)
    assert store.same_size and store.channels == 1 and np.array_equal(store.high(1, 0, 0, 7, 9), high[1])
    with pytest.raises(InputError, match="holds pairs for x2"):
        HDF5Store(output, 3)


def test_turned_mirrored_and_reduced_images_come_in_order() -> None:
    pixels = picture(24, 36)
    pairs = list(pairs_of(pixels, Cutting(2, scales=(1.0, 0.5), rotations=True, flips=True)))
    assert len(pairs) == 16
    assert np.array_equal(pairs[1][1][0], np.rot90(pixels)[..., ::-1])
    assert np.array_equal(pairs[4][1][0], pixels[:, ::-1, ::-1])
    reduced = imresize(pixels, 18, 12, 0.5)
    assert np.array_equal(pairs[8][1][0], reduced[..., ::-1])
    for low, high in pairs:
        assert np.array_equal(low[0, ..., ::-1], downscale(np.ascontiguousarray(high[0, ..., ::-1]), 2))


def noisy(high: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
    low = downscale(high, scale)
    return rng.integers(0, 256, low.shape).astype(np.uint8)


def test_versions_are_drawn_by_seed_image_and_version(photos: Path, output: Path) -> None:
    cutting = Cutting(2, versions=3, seed=9)
    assert prepare([photos], output, cutting, degrade=noisy).pairs == 9
    with h5py.File(output) as file:
        for i in range(9):
            image, version = divmod(i, 3)
            drawn = np.random.default_rng((9, image, version)).integers(0, 256, file[f"lr/{i}"].shape)
            assert np.array_equal(file[f"lr/{i}"], drawn.astype(np.uint8)[..., ::-1])
        assert np.array_equal(file["hr/0"], file["hr/2"])
    with pytest.raises(InputError, match="3 versions of a low resolution would be equal"):
        prepare([photos], output.with_name("other.h5"), cutting)


def test_paired_folders_are_taken_as_they_are(photos: Path, tmp_path: Path, output: Path) -> None:
    low = tmp_path / "low"
    low.mkdir()
    for i, name in enumerate(("0x2.png", "1.png", "2x2.png")):
        height, width = read_image(photos / f"{i}.png")[0].shape[:2]
        write_image(photos / f"{i}.png", picture(height // 2 * 2, width // 2 * 2, i))
        write_image(low / name, np.full((height // 2, width // 2, 3), 10 + i, np.uint8))
    prepare([photos], output, Cutting(2), low=low)
    with h5py.File(output) as file:
        assert [int(file[f"lr/{i}"][0, 0, 0]) for i in range(3)] == [10, 11, 12]
    write_image(low / "1.png", picture(31, 16))
    with pytest.raises(InputError, match=r"1\.png is 16x31 and .*1\.png 34x62; expected 32x62, 2 times as much"):
        prepare([photos], output, Cutting(2), low=low, force=True)
    (low / "2x2.png").unlink()
    with pytest.raises(MissingFile, match=r"2\.png has no partner in .*low; expected 2.png or 2x2.png"):
        prepare([photos], output, Cutting(2), low=low, force=True)
    with pytest.raises(InputError, match=r"cannot be taken at \(0.5,\) of its size"):
        next(pairs_of(picture(8, 8), Cutting(2, scales=(0.5,)), low=picture(4, 4)))


def test_the_bytes_do_not_depend_on_the_processes(photos: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{jobs}.h5" for jobs in (1, 2)]
    for jobs, file in zip((1, 2), files, strict=True):
        prepare([photos], file, Cutting(2, patch=(8, 8), stride=3), jobs=jobs)
    assert files[0].read_bytes() == files[1].read_bytes()


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


def test_unreadable_images_are_named_or_left_out(photos: Path, output: Path) -> None:
    (photos / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"1\.png is no image.*--skip-unreadable"):
        prepare([photos], output, Cutting(2))
    assert nothing_left(output)
    done = prepare([photos], output, Cutting(2), skip_unreadable=True)
    assert done.pairs == 2 and done.taken_up == 1 and "1.png" in done.unreadable[0]
    with h5py.File(output) as file:
        assert set(file["lr"]) == {"0", "1"}
    assert HDF5Store(output, 2).name(1).endswith("(photos/2.png)")


def test_small_images_are_named_or_left_out(photos: Path, output: Path) -> None:
    cutting = Cutting(2, patch=(20, 20), stride=5)  # 40 at high resolution; the third has 30, the second 35
    with pytest.raises(InputError, match=r"1\.png is too small for a patch of 20x20 at low resolution .*--skip-small"):
        prepare([photos], output, cutting)
    done = prepare([photos], output, cutting, skip_small=True)
    assert done.small == ("photos/1.png", "photos/2.png") and done.pairs == 2
    with pytest.raises(InputError, match="none of 3 images gave a patch of 99x99"):
        prepare([photos], output, Cutting(2, patch=(99, 99), stride=5), skip_small=True, force=True)


def test_grey_and_transparent_images_are_counted(photos: Path, output: Path) -> None:
    cv2.imwrite(str(photos / "3.png"), picture(20, 20)[..., 0])
    cv2.imwrite(str(photos / "4.png"), np.dstack([picture(20, 20), np.full((20, 20), 9, np.uint8)]))
    notes = prepare([photos], output, Cutting(2)).notes
    assert notes == (("grey: taken as three equal channels", 1), ("transparency dropped", 1))
    with h5py.File(output) as file:
        grey = file["hr/3"][:]
        assert (grey[..., 0] == grey[..., 1]).all() and np.array_equal(file["hr/4"], picture(20, 20)[..., ::-1])


def test_what_cannot_be_prepared_is_refused(photos: Path, tmp_path: Path, output: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("")
    for given, line in (
        ([tmp_path / "empty"], "holds no image"),
        ([tmp_path / "none"], "does not exist"),
        ([tmp_path / "text.txt"], "is no image"),
    ):
        with pytest.raises(InputError, match=line):
            prepare(given, output, Cutting(2))
    with pytest.raises(OutputFailed, match="is no folder"):
        prepare([photos], tmp_path / "nowhere" / "set.h5", Cutting(2))
    assert nothing_left(output)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"scale": 0}, "scale is 0"),
        ({"versions": 0}, "versions is 0"),
        ({"patch": (8, 8)}, "patch 8x8 with stride None"),
        ({"stride": 8}, "patch none with stride 8"),
        ({"patch": (8, 8), "stride": 0}, "stride 0"),
        ({"patch": (8, 8), "stride": 4, "five_crop": True}, "exclude each other"),
        ({"crop_size": (8, 8)}, "belongs to five crops"),
        ({"crop_size": (9, 8), "five_crop": True}, "multiples of 2"),
        ({"scales": (1.0, 1.5)}, "up to 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], line: str) -> None:
    with pytest.raises(InputError, match=line):
        Cutting(**{"scale": 2, **settings})


def test_a_preset_without_a_patch_for_the_scale_says_so() -> None:
    with pytest.raises(InputError, match="no patch for x8"):
        PRESETS["fsrcnn"].cutting(8)


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
