"""Tiles equal the whole frame, to the byte; their shape is the cheapest that engine and memory allow."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from edgesr.runtime.backends import DEFAULT_MODELS, Backend, open_backend
from edgesr.runtime.backends.bicubic import BicubicBackend
from edgesr.runtime.card import Profile
from edgesr.runtime.errors import FrameTooLarge, InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.sources.natural import natural_picture
from edgesr.runtime.spec import ModelSpec
from edgesr.runtime.tiles import TiledBackend, tile_for, tiling

SPEC = ModelSpec(name="made", scale=2, colour="rgb", parameters=0, multiply_adds_per_pixel=1.0, receptive_field=4)
SHIPPED = [
    path for cpu in DEFAULT_MODELS.values() for path in (cpu, cpu.with_name(cpu.name.replace(".cpu.onnx", ".onnx")))
]
FRAME = natural_picture(107, 71, 3)


def fixed(*size: int) -> Profile:
    return Profile((size[0], size[1]), (size[0], size[1]), (size[0], size[1]))


class FixedBackend(BicubicBackend):
    """An engine of one size on a GPU: refuses every other, and tells of copies."""

    def __init__(self, width: int, height: int, scale: int = 2) -> None:
        super().__init__(scale)
        self.profiles = (fixed(width, height),)
        self.seen: list[tuple[int, ...]] = []
        self.closed = False

    def infer(self, pixels: Pixels) -> Pixels:
        self.seen.append(pixels.shape)
        assert self.profiles[0].takes(pixels.shape[1], pixels.shape[0])
        out = super().infer(pixels)
        self.network_ns, self.copies_ns = 10, MappingProxyType({"upload": 3, "download": 4})
        return out

    def close(self) -> None:
        self.closed = True


def small(backend: Backend, reach: int) -> Backend:
    """The same model, saying that it looks less far."""
    backend.spec = replace(backend.spec, receptive_field=reach)
    return backend


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
@pytest.mark.parametrize("tile", [(64, 48), (45, 71), (106, 33)])
def test_the_shipped_networks_give_the_same_bytes_in_tiles(path: Path, tile: tuple[int, int]) -> None:
    with open_backend(path, threads=1) as backend:
        whole = backend.infer(FRAME).copy()
        tiled = TiledBackend(backend, tile)
        np.testing.assert_array_equal(tiled.infer(FRAME), whole)
        assert "tiles of" in str(tiled.settings["tiles"])


def test_an_overlap_one_pixel_too_small_shows() -> None:
    with open_backend(DEFAULT_MODELS[2], threads=1) as backend:
        reach = backend.spec.receptive_field
        assert reach is not None
        whole = backend.infer(FRAME).copy()
        changed = [
            np.count_nonzero(TiledBackend(small(backend, less), (64, 48)).infer(FRAME) != whole)
            for less in (reach, reach // 2, 0)
        ]
    assert changed[0] == 0 < changed[1] < changed[2]
    bicubic = BicubicBackend(3)
    whole = bicubic.infer(FRAME)
    np.testing.assert_array_equal(TiledBackend(bicubic, (40, 30)).infer(FRAME), whole)
    assert np.any(TiledBackend(small(bicubic, 1), (40, 30)).infer(FRAME) != whole)


def test_a_frame_larger_than_the_engine_is_cut_into_its_one_shape() -> None:
    backend = FixedBackend(48, 32)
    tiled = TiledBackend(backend)
    np.testing.assert_array_equal(tiled.infer(FRAME), BicubicBackend(2).infer(FRAME))
    assert set(backend.seen) == {(32, 48, 3)} and len(backend.seen) == 9
    assert tiled.network_ns == 90 and dict(tiled.copies_ns) == {"upload": 27, "download": 36}
    tiled.close()
    assert backend.closed


def test_the_result_lies_in_one_buffer_and_another_size_gets_its_own() -> None:
    tiled = TiledBackend(BicubicBackend(2), (40, 30))
    first = tiled.infer(FRAME)
    assert tiled.infer(FRAME[::-1]) is first
    np.testing.assert_array_equal(first, BicubicBackend(2).infer(FRAME[::-1]))
    assert tiled.infer(FRAME[:60]).shape == (120, 214, 3)
    assert tiled.infer(FRAME[:20, :30]).shape == (40, 60, 3)  # smaller than a tile: whole
    assert tiled.settings["tiles"] == "30x20 whole"


def test_a_frame_that_fits_runs_whole() -> None:
    backend = FixedBackend(107, 71)
    assert TiledBackend(backend).infer(FRAME).shape == (142, 214, 3) and len(backend.seen) == 1


def test_a_frame_that_does_not_fit_into_memory_is_cut() -> None:
    backend = BicubicBackend(2)
    half = FRAME.shape[0] * FRAME.shape[1] * backend.bytes_per_pixel / 2
    tiled = TiledBackend(backend, memory_bytes=half)
    np.testing.assert_array_equal(tiled.infer(FRAME), backend.infer(FRAME))
    assert "tiles of" in str(tiled.settings["tiles"])
    with pytest.raises(FrameTooLarge, match="not even in tiles"):
        TiledBackend(backend, memory_bytes=backend.bytes_per_pixel).infer(FRAME)


def test_a_network_that_looks_at_the_whole_frame_is_refused() -> None:
    backend = BicubicBackend(2)
    backend.spec = replace(SPEC, receptive_field=None)
    with pytest.raises(InputError, match="cannot be run in tiles of 40x30: it uses statistics of the whole frame"):
        TiledBackend(backend, (40, 30))
    assert TiledBackend(backend).infer(FRAME).shape == (142, 214, 3), "whole, it may run"
    with pytest.raises(InputError, match="in tiles, as 107x71 would need with an engine for 48x32: it uses"):
        tile_for(backend.spec, (107, 71), profiles=[fixed(48, 32)])
    with pytest.raises(InputError, match="as 107x71 would need with the memory that is free: it uses"):
        TiledBackend(backend, memory_bytes=1e6).infer(FRAME)


@pytest.mark.parametrize(
    ("tile", "says"),
    [
        ((9, 12), "multiples of 2"),
        ((10, 14), "at least 12x12"),
        ((16, 40), "expected more than 16 along"),
    ],
)
def test_a_tile_that_cannot_be_used_is_refused(tile: tuple[int, int], says: str) -> None:
    backend = BicubicBackend(2)
    backend.spec = replace(SPEC, receptive_field=7, size_multiple=2, min_size=12 if says.startswith("at") else 1)
    with pytest.raises(InputError, match=says):
        TiledBackend(backend, tile).infer(FRAME[:70, :106])


def test_an_engine_takes_no_other_tile_and_no_smaller_frame() -> None:
    with pytest.raises(InputError, match=r"tiles of 40x30 are not what .* takes: it was built for 48x32"):
        TiledBackend(FixedBackend(48, 32), (40, 30)).infer(FRAME)
    with pytest.raises(InputError, match="the frame is 40x60; the engine was built for 48x32"):
        TiledBackend(FixedBackend(48, 32)).infer(FRAME[:60, :40])
    with pytest.raises(InputError, match="smaller than a tile of 48x32"):
        TiledBackend(FixedBackend(48, 32), (48, 32)).infer(FRAME[:60, :40])


@pytest.mark.parametrize("pixels", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)])
def test_what_is_no_frame_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected uint8"):
        TiledBackend(BicubicBackend(2)).infer(pixels)


@pytest.mark.parametrize(("frame", "tile"), [((30, 20), (20, 20)), ((31, 57), (12, 11)), ((200, 9), (9, 9))])
@pytest.mark.parametrize("reach", [0, 1, 4])
def test_every_pixel_is_taken_once_and_further_than_the_reach_from_a_cut(
    frame: tuple[int, int], tile: tuple[int, int], reach: int
) -> None:
    made = tiling(replace(SPEC, receptive_field=reach), frame, tile)
    for side, cut, spans in zip(frame, tile, (made.columns, made.rows), strict=True):
        assert [place for span in spans for place in range(span.begin, span.end)] == list(range(side))
        for span in spans:
            assert 0 <= span.start <= side - cut
            assert span.start == 0 or span.begin - span.start >= reach
            assert span.start + cut == side or span.start + cut - span.end >= reach


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("most", [150, 300, 601, 1500])
def test_the_chosen_tile_computes_the_fewest_pixels(step: int, most: int) -> None:
    spec, frame = replace(SPEC, receptive_field=2, size_multiple=step), (64, 36)

    def cost(tile: tuple[int, int]) -> float:
        try:
            return tiling(spec, frame, tile).overhead_percent
        except InputError:
            return float("inf")

    every = product(range(step, 65, step), range(step, 37, step))
    best = min(cost(tile) for tile in every if tile[0] * tile[1] <= most)
    chosen = tile_for(spec, frame, most_pixels=most)
    assert chosen.tile[0] * chosen.tile[1] <= most and chosen.overhead_percent == pytest.approx(best)


def test_an_engine_for_a_range_of_sizes_is_used_where_it_is_cheapest() -> None:
    wide = Profile((16, 16), (32, 32), (64, 36))
    chosen = tile_for(SPEC, (100, 60), profiles=[fixed(24, 24), wide])
    assert (chosen.tile, chosen.count) == ((54, 34), 4) and chosen.title.startswith("100x60 in 4 tiles of 54x34, 2")
    assert tile_for(SPEC, (64, 36), profiles=[fixed(24, 24), wide]).count == 1


def test_a_large_frame_is_planned_at_once() -> None:
    chosen = tile_for(replace(SPEC, receptive_field=20), (7680, 4320), most_pixels=2000)
    assert chosen.tile[0] * chosen.tile[1] <= 2000 and chosen.count > 1000
