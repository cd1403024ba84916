"""What a prepared file holds, and what cannot be prepared."""

import json
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="prepared data are HDF5 files")
cv2 = pytest.importorskip("cv2", reason="images are read by OpenCV")

from tests.train.data.made import nothing_left, picture

from edgesr.runtime.errors import InputError, MissingFile, OutputFailed
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import read_image, write_image
from edgesr.runtime.quality import RULER
from edgesr.runtime.resize import downscale, upscale
from edgesr.train.data.hdf5 import HDF5Store
from edgesr.train.data.patches import Cutting, pairs_of
from edgesr.train.data.prepare import prepare


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
