from pathlib import Path

import numpy as np
import pytest

from edgesr.benchmarks.clip import CLIP_FRAMES, RepeatedClip, make_clip
from edgesr.runtime.errors import InputError
from edgesr.runtime.sources import open_source


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip"), 48, 32)


def test_clip_is_video_of_that_size(clip: Path) -> None:
    with open_source(str(clip)) as source:
        frames = list(source)
        assert source.info.origin == clip
    assert len(frames) == CLIP_FRAMES
    assert {frame.pixels.shape for frame in frames} == {(32, 48, 3)}
    assert np.ptp(frames[0].pixels) > 50  # it shows something


def test_repeated_clip_never_ends_and_leaves_out_the_first_frame(clip: Path) -> None:
    with open_source(str(clip)) as source:
        truth = [frame.pixels.copy() for frame in source]
    repeated = RepeatedClip(clip)
    for number in range(2 * CLIP_FRAMES):
        repeated.make_ready(1)
        frame = repeated.read()
        assert frame is not None
        assert np.array_equal(frame.pixels, truth[1 + number % (CLIP_FRAMES - 1)])
    repeated.close()


def test_a_turn_is_never_cut_by_the_end(clip: Path) -> None:
    repeated = RepeatedClip(clip)
    for _ in range(40):
        repeated.make_ready(5)
        assert all(repeated.read() is not None for _ in range(5))
    with pytest.raises(InputError, match="the clip gives 23"):
        repeated.make_ready(CLIP_FRAMES)
    repeated.close()


@pytest.mark.parametrize(("width", "height", "better"), [(33, 16, "34x16"), (32, 17, "32x18")])
def test_odd_sizes_are_refused(tmp_path: Path, width: int, height: int, better: str) -> None:
    with pytest.raises(InputError, match=rf"sizes are even; choose {better}"):
        make_clip(tmp_path, width, height)
    assert not list(tmp_path.iterdir())
