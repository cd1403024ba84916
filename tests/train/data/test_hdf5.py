"""Files of prepared data are read as they are, whoever made them, and refused in one line where they are none."""

import mmap
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

h5py = pytest.importorskip("h5py", reason="prepared data are HDF5 files")

from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.quality import RULER
from edgesr.train.data.hdf5 import HDF5Store, read_layout
from edgesr.train.data.stores import open_store

RNG = np.random.default_rng(0)
SIZES = ((12, 16), (20, 9))
LOWS = [RNG.integers(0, 256, (*size, 3)).astype(np.uint8) for size in SIZES]
HIGHS = [RNG.integers(0, 256, (2 * height, 2 * width, 3)).astype(np.uint8) for height, width in SIZES]


def grouped(path: Path, lows: list[NDArray], highs: list[NDArray], **storage: object) -> Path:
    """As RDN's and RDSRN's programs write: no attributes, RGB."""
    with h5py.File(path, "w") as file:
        for name, images in (("lr", lows), ("hr", highs)):
            group = file.create_group(name)
            for i, image in enumerate(images):
                group.create_dataset(str(i), data=image, **storage)
    return path


def stacked(path: Path, low: NDArray, high: NDArray, **storage: object) -> Path:
    """As the early networks' programs write."""
    with h5py.File(path, "w") as file:
        file.create_dataset("lr", data=low, **storage)
        file.create_dataset("hr", data=high, **storage)
    return path


@pytest.mark.parametrize("storage", [{}, {"chunks": (4, 4, 3)}, {"compression": "gzip", "shuffle": True}])
def test_a_file_of_another_program_gives_its_images_as_bgr(tmp_path: Path, storage: dict[str, object]) -> None:
    store = open_store(str(grouped(tmp_path / "set.h5", LOWS, HIGHS, **storage)), tmp_path, 2)
    assert (len(store), store.scale, store.channels, store.same_size) == (2, 2, 3, False)
    assert [store.size(i) for i in range(2)] == list(SIZES)
    low, high = store.low(1, 3, 2, 5, 4), store.high(1, 6, 4, 10, 8)
    assert low.dtype == high.dtype == np.uint8
    assert np.array_equal(low, LOWS[1][3:8, 2:6, ::-1]) and np.array_equal(high, HIGHS[1][6:16, 4:12, ::-1])
    assert store.name(1).endswith("set.h5, pair 1")


def test_planes_before_columns_are_turned(tmp_path: Path) -> None:
    path = grouped(
        tmp_path / "set.h5", [image.transpose(2, 0, 1) for image in LOWS], [image.transpose(2, 0, 1) for image in HIGHS]
    )
    assert np.array_equal(HDF5Store(path, 2).low(0, 1, 2, 6, 5), LOWS[0][1:7, 2:7, ::-1])


@pytest.mark.parametrize("channel_axis", [False, True])
@pytest.mark.parametrize("unit", [1.0, 255.0])
@pytest.mark.parametrize("storage", [{}, {"compression": "lzf"}])
def test_patches_of_y_come_in_16_to_235(
    tmp_path: Path, channel_axis: bool, unit: float, storage: dict[str, object]
) -> None:
    low, high = (
        np.stack([RULER.luma(image[:8, :8]) for image in images]).astype(np.float32) for images in (LOWS, HIGHS)
    )
    high = high.repeat(2, 1).repeat(2, 2)
    given = [(part[:, None] if channel_axis else part) / np.float32(unit) for part in (low, high)]
    store = HDF5Store(stacked(tmp_path / "y.h5", *given, **storage), 2)
    assert (store.channels, store.size(1)) == (1, (8, 8))
    cut = store.high(1, 2, 4, 6, 5)
    assert cut.dtype == np.float32 and np.allclose(cut, high[1, 2:8, 4:9], atol=1e-4)


def test_floats_in_three_channels_become_the_bytes_they_were(tmp_path: Path) -> None:
    low, high = (np.stack([image[:8, :8] for image in images]) for images in (LOWS, [h.repeat(2, 0) for h in HIGHS]))
    high = low.repeat(2, 1).repeat(2, 2)
    given = [part.transpose(0, 3, 1, 2).astype(np.float32) / 255 for part in (low, high)]
    store = HDF5Store(stacked(tmp_path / "rgb.h5", *given), 2)
    assert store.low(1, 0, 0, 8, 8).dtype == np.uint8
    assert np.array_equal(store.low(1, 0, 0, 8, 8), low[1, :, :, ::-1])


def test_enlarged_low_resolutions_are_known_by_their_size(tmp_path: Path) -> None:
    path = stacked(tmp_path / "same.h5", RNG.uniform(16, 235, (3, 33, 33)), RNG.uniform(16, 235, (3, 33, 33)))
    assert read_layout(path).scale is None
    store = HDF5Store(path, 4)
    assert store.same_size and store.scale == 4 and store.size(0) == (33, 33)


def test_a_store_goes_through_pickle_and_fork(tmp_path: Path) -> None:
    store = HDF5Store(grouped(tmp_path / "set.h5", LOWS, HIGHS, compression="gzip"), 2)
    expected = store.low(0, 0, 0, 4, 4)
    assert np.array_equal(pickle.loads(pickle.dumps(store)).low(0, 0, 0, 4, 4), expected)
    before = store._file
    child = os.fork()
    if not child:
        same = np.array_equal(store.low(0, 0, 0, 4, 4), expected) and store._file is not before
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_images_are_cut_without_reading_them_whole(tmp_path: Path) -> None:
    image = np.zeros((1356, 2040, 3), np.uint8)
    store = HDF5Store(grouped(tmp_path / "set.h5", [image[::2, ::2]], [image]), 2)
    cut: object = store.high(0, 100, 200, 192, 192)
    while isinstance(cut, np.ndarray):
        cut = cut.base
    assert isinstance(cut, mmap.mmap), "a view into the file, not a copy of it"


def damaged(path: Path, change: Callable[[Path], None]) -> None:
    grouped(path, LOWS, HIGHS)
    change(path)


def rewritten(lows: list[NDArray], highs: list[NDArray]) -> Callable[[Path], None]:
    return lambda path: grouped(path, lows, highs) and None


def renamed(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file.move(old, new)

    return change


def cut_off(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda path: path.write_bytes(b"no HDF5"), "is no HDF5 file"),
        (lambda path: path.write_bytes(b""), "cannot be read|no HDF5 file"),
        (cut_off(0.1), "damaged or cut off"),
        (cut_off(0.99), "damaged or cut off"),
        (renamed("lr", "data"), "holds data, hr; expected lr and hr"),
        (renamed("hr/1", "hr/7"), "hr holds 2 data sets, but none called 1"),
        (rewritten(LOWS, HIGHS[:1]), "2 low and 1 high"),
        (rewritten(LOWS, [HIGHS[0], HIGHS[1][:-2]]), r"pair 1: lr is 9x20 and hr 18x38; expected 18x40"),
        (rewritten(LOWS, [image[..., :1].repeat(2, 1) for image in HIGHS]), "lr has 3 channels and hr 1"),
        (rewritten([LOWS[0], LOWS[1].transpose(2, 0, 1)], HIGHS), "lr mixes"),
        (rewritten([], []), "empty"),
        (rewritten([image.astype(np.int32) for image in LOWS], HIGHS), "lr holds int32; expected uint8"),
        (rewritten([image[..., :2] for image in LOWS], HIGHS), r"lr/0 are of shape \(12, 16, 2\)"),
        (rewritten(LOWS, [image.astype(np.float32) * 300 for image in HIGHS]), "expected 0 to 1, or 0 to 255"),
        (rewritten(LOWS, [image * np.float32("nan") for image in HIGHS]), "expected 0 to 1, or 0 to 255"),
        (lambda path: stacked(path, LOWS[0][0], HIGHS[0][0]), r"expected N images, \(N, h, w\)"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path: Path, change: Callable[[Path], None], line: str) -> None:
    path = tmp_path / "set.h5"
    damaged(path, change)
    with pytest.raises(InputError, match=line) as error:
        HDF5Store(path, 2)
    assert "set.h5" in str(error.value)


def test_another_scale_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = grouped(tmp_path / "set.h5", LOWS, HIGHS)
    with pytest.raises(InputError, match="holds pairs for x2; x4 is asked for: prepare it with --scale 4"):
        HDF5Store(path, 4)
    with pytest.raises(MissingFile, match=r"none\.h5 does not exist"):
        HDF5Store(tmp_path / "none.h5", 4)


def test_a_file_that_is_cut_off_behind_its_tables_is_refused(tmp_path: Path) -> None:
    """The library checks its own tables only; the pixels would be missing."""
    path = grouped(tmp_path / "set.h5", LOWS, HIGHS)
    with h5py.File(path) as file:
        assert file["hr/1"].id.get_offset() > 0
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, len(whole) // 40):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            HDF5Store(path, 2)


def test_damage_anywhere_ends_in_one_line_or_in_other_pixels(tmp_path: Path) -> None:
    path, rng = grouped(tmp_path / "set.h5", LOWS, HIGHS), np.random.default_rng(1)
    whole = path.read_bytes()
    broken = tmp_path / "broken.h5"
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(whole), 24):
            data[place] = rng.integers(256)
        broken.write_bytes(data)
        try:
            store = HDF5Store(broken, 2)
            store.high(1, 0, 0, *(2 * side for side in store.size(1)))
        except InputError:
            refused += 1
    assert 0 < refused < 150
