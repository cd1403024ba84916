"""Sources: the table, images, folders and patterns. Videos are in test_video.py."""

from fractions import Fraction
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest

from edgesr.runtime.errors import FrameTooLarge, InputError, MissingFile, UnreadableImage, UnreadableVideo
from edgesr.runtime.images import write_image
from edgesr.runtime.resize import downscale
from edgesr.runtime.sources import LIVE, SOURCES, Source, open_source
from edgesr.runtime.sources.natural import natural_picture
from edgesr.runtime.sources.pattern import PatternSource
from edgesr.runtime.sources.photos import PHOTOS, photo_folder


def picture(width: int = 12, height: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("b.png", "a.png", "c.png")):
        write_image(tmp_path / name, picture(12 + seed, 8, seed))
    return tmp_path


def uri_of(kind: str, folder: Path) -> str:
    """A stream of that kind; videos are made in test_video.py."""
    return {"image": str(folder / "a.png"), "folder": str(folder), "pattern": "pattern:natural?size=16x12&frames=3"}[
        kind
    ]


KINDS = sorted(set(SOURCES) - {"video", *LIVE})  # live ones need their devices and servers: tests/runtime/sources


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_keeps_the_contract(kind: str, folder: Path) -> None:
    with open_source(uri_of(kind, folder)) as source:
        assert isinstance(source, Source)
        frames = [(frame.index, frame.pixels.shape, frame.captured_ns, frame.pixels.dtype) for frame in source]
        assert source.read() is None  # and stays at its end
        assert [index for index, *_ in frames] == list(range(source.info.frame_count or 0))
        assert frames[0][2] > 0 and frames[0][3] == np.uint8
        if source.info.width is not None:
            assert {shape for _, shape, *_ in frames} == {(source.info.height, source.info.width, 3)}
        source.close()
    source.close()


@pytest.mark.parametrize("kind", KINDS)
def test_frames_limits_every_source(kind: str, folder: Path) -> None:
    with open_source(uri_of(kind, folder), frames=1) as source:
        assert len(list(source)) == 1
        assert source.info.frame_count == 1


def test_every_entry_of_the_table_can_be_loaded() -> None:
    assert all(callable(resolve_name(entry)) for entry in SOURCES.values())


@pytest.mark.parametrize(
    ("uri", "error", "says"),
    [
        ("nowhere.mp4", MissingFile, "does not exist"),
        ("", MissingFile, "empty name"),
        ("x" * 5000, MissingFile, "does not exist"),
        ("nonsense:" + "x" * 5000, InputError, "is no known source"),
        ("ftp://camera/1", InputError, "ftp: is no known source"),
        ("pattern:stripes", InputError, "photo, natural"),
        ("pattern:natural?colour=red", InputError, "no option colour; expected some of size, frames"),
        ("pattern:natural?size=12", InputError, "cannot be read"),
        ("pattern:natural?fps=1/0", InputError, "cannot be read"),
        ("pattern:natural?fps=0", InputError, "fps"),
        ("pattern:natural?frames=0", InputError, "frames"),
        ("pattern:natural?size=4000000x3000000", FrameTooLarge, "GiB"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line(uri: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        open_source(uri)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [{"start_s": -1.0}, {"start_s": 2.0, "end_s": 2.0}, {"frames": 0}])
def test_an_empty_part_is_refused(part: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        open_source("pattern:natural?size=16x12", **part)


@pytest.mark.parametrize("kind", ["image", "folder"])
def test_start_and_end_have_no_meaning_for_images(kind: str, folder: Path) -> None:
    for part in ({"start_s": 1.0}, {"end_s": 1.0}):
        with pytest.raises(InputError, match="has no time in it"):
            open_source(uri_of(kind, folder), **part)


def test_a_file_that_is_neither_image_nor_video_is_refused(tmp_path: Path) -> None:
    for name in ("text.txt", "text.mp4", "text"):
        (tmp_path / name).write_text("no picture at all\n" * 50)
        with pytest.raises(UnreadableVideo, match=name):
            open_source(str(tmp_path / name))
    (tmp_path / "text.png").write_text("no picture at all\n")
    with pytest.raises(UnreadableImage, match=r"text.png"):
        open_source(str(tmp_path / "text.png"))


def test_a_folder_is_read_by_name_and_its_frames_may_differ_in_size(folder: Path) -> None:
    with open_source(str(folder)) as source:
        frames = [(frame.name, frame.pixels.shape[1], frame.pixels.copy()) for frame in source]
    assert [(name, width) for name, width, _ in frames] == [("a", 13), ("b", 12), ("c", 14)]
    np.testing.assert_array_equal(frames[0][2], picture(13, 8, 1))


def test_a_folder_tells_two_files_of_one_stem_apart(folder: Path) -> None:
    write_image(folder / "a.bmp", picture())
    with open_source(str(folder)) as source:
        assert [frame.name for frame in source] == ["a.bmp", "a.png", "b", "c"]


def test_a_folder_notes_each_change_once_with_its_count(folder: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    for name in ("d", "e"):
        cv2.imwrite(str(folder / f"{name}.png"), np.zeros((4, 4), np.uint8))
    with open_source(str(folder)) as source:
        assert source.info.notes == []
        list(source)
        assert source.info.notes == ["d.png and 1 more: grey: taken as three equal channels"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        open_source(str(tmp_path))


def test_a_broken_image_in_a_folder_ends_it(folder: Path) -> None:
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    with open_source(str(folder)) as source:
        assert source.read() is not None
        with pytest.raises(UnreadableImage, match=r"b.png"):
            source.read()


@pytest.mark.parametrize("content", ["natural", "photo"])
def test_a_pattern_frame_is_the_downscale_of_its_truth(content: str) -> None:
    if content == "photo":
        pytest.importorskip("skimage")
    source = PatternSource(content, 24, 16, frames=6, scale=3)
    for frame in source:
        truth = source.truth(frame.index)
        assert truth.shape == (48, 72, 3)
        np.testing.assert_array_equal(frame.pixels, downscale(truth, 3))
    with pytest.raises(InputError, match="expected 0 to 5"):
        source.truth(6)


def test_a_pattern_pans_by_whole_pixels_of_its_truth() -> None:
    source = PatternSource("natural", 24, 16, frames=3, scale=4)
    np.testing.assert_array_equal(source.truth(1)[:-1, :-2], source.truth(0)[1:, 2:])


def test_a_pattern_is_the_same_each_time_and_another_with_another_seed() -> None:
    first, second, other = (PatternSource("natural", 24, 16, frames=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.truth(1), second.truth(1))
    assert not np.array_equal(first.truth(1), other.truth(1))


def test_a_pattern_has_time_and_can_start_later() -> None:
    whole = PatternSource("natural", 24, 16, frames=10, frame_rate=Fraction(5))
    with open_source("pattern:natural?size=24x16&frames=10&fps=5", start_s=0.5, end_s=1.2) as part:
        frames = [(frame.index, frame.time_s) for frame in part]
        assert frames == [(0, 0.6), (1, 0.8), (2, 1.0)]
        np.testing.assert_array_equal(part.truth(0), whole.truth(3))
    with pytest.raises(InputError, match="the pattern is 2 s long"):
        open_source("pattern:natural?size=24x16&frames=10&fps=5", start_s=2.0)


def test_the_natural_picture_has_the_spectrum_of_one() -> None:
    """Amplitude falls about as 1/f: a slope of -1 in log-log; noise would be 0, a step edge alone -2 in power."""
    grey = natural_picture(512, 512, 3).mean(axis=2)
    window = np.hanning(512)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2((grey - grey.mean()) * window * window[:, None])))
    radius = np.hypot(*(np.indices(spectrum.shape) - 256)).astype(int)
    profile = np.bincount(radius.ravel(), spectrum.ravel()) / np.bincount(radius.ravel())
    reach = np.arange(4, 128)
    slope = np.polyfit(np.log(reach), np.log(profile[reach]), 1)[0]
    assert -2.0 < slope < -0.7


def test_the_photographs_are_in_the_wheel_with_the_sizes_of_the_table() -> None:
    io = pytest.importorskip("skimage.io")
    for photo in PHOTOS.values():
        assert io.imread(photo_folder() / photo.file).shape[:2] == (photo.height, photo.width)


def test_the_default_pattern_shows_four_photographs_unscaled() -> None:
    pytest.importorskip("skimage")
    with open_source("pattern:") as source:
        assert (source.info.width, source.info.height, source.info.frame_count) == (128, 96, 48)
        assert "coffee, motorcycle, astronaut, rocket" in source.info.notes[0]
        assert "scikit-image is installed" in source.info.notes[1]


def test_a_pattern_larger_than_every_photograph_names_the_largest() -> None:
    pytest.importorskip("skimage")
    with pytest.raises(InputError, match="the largest is retina, 1411x1411, so at most 352x352"):
        open_source("pattern:photo?size=400x225")
    with pytest.raises(InputError, match="the largest is coffee, 600x400, so at most 150x100"):
        open_source("pattern:coffee?size=160x90")
    with open_source("pattern:photo?size=320x180") as source:
        assert "retina" in source.info.notes[0]
