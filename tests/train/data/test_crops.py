"""What a network is given: crops that are a function of (seed, epoch, index), in an order that knows where it stands."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="crops are PyTorch's tensors")

from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import write_image
from edgesr.runtime.resize import downscale
from edgesr.train.data.colour import network_batch, network_input
from edgesr.train.data.crops import Batches, Crops
from edgesr.train.data.degradations import parse_chain
from edgesr.train.data.stores import Memory, Paired, joined, open_store, read_folder, whole


def picture(height: int = 64, width: int = 80, seed: int = 0) -> Pixels:
    """Smooth, so that a pair which is turned or shifted is far from being one."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i, name in enumerate(("a", "b", "c")):
        write_image(tmp_path / f"{name}.png", picture(seed=i))
    return tmp_path


def test_crops_are_a_function_of_seed_epoch_and_index(photos: Path) -> None:
    a, b = (Crops(read_folder(photos, 2), patch=8, seed=5) for _ in range(2))
    low, high = a[3, 7]
    assert low.shape == (3, 8, 8) and high.shape == (3, 16, 16) and low.dtype == torch.uint8
    a[0, 0]
    assert all(torch.equal(x, y) for x, y in zip(a[3, 7], b[3, 7], strict=True))
    assert not torch.equal(a[3, 7][0], a[4, 7][0]) and not torch.equal(a[3, 7][0], a[3, 8][0])
    together = a.__getitems__([(3, 7), (4, 7)])
    assert torch.equal(together[0][1], b[4, 7][0]) and torch.equal(together[1][0], high)


def test_low_and_high_stay_aligned_through_flips_and_turns(photos: Path) -> None:
    crops = Crops(read_folder(photos, 2), patch=16, seed=0)
    for index in range(16):
        low, high = (part.float() for part in crops[0, index])
        small = torch.nn.functional.avg_pool2d(high[None], 2)[0]
        assert (low - small).abs().mean() < 12, "a turned or shifted pair differs by 60 and more"


def test_each_of_the_eight_positions_comes_up(photos: Path) -> None:
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    crops = Crops(Memory([(image[::2, ::2], image)], ["one"], 2), patch=4, seed=0)
    seen = {crops[0, index][1].numpy().tobytes() for index in range(100)}
    rgb = image[..., ::-1].transpose(2, 0, 1)
    expected = {
        np.ascontiguousarray(np.rot90(side, turns, (1, 2))).tobytes()
        for side in (rgb, rgb[:, :, ::-1])
        for turns in range(4)
    }
    assert seen == expected


def test_batches_go_on_where_the_run_stands() -> None:
    def from_position(position: int) -> list[list[tuple[int, int]]]:
        return list(Batches(10, 3, lambda: position))

    assert from_position(0) == [[(0, 0), (0, 1), (0, 2)], [(0, 3), (0, 4), (0, 5)], [(0, 6), (0, 7), (0, 8)]]
    assert from_position(7) == [[(2, 3), (2, 4), (2, 5)], [(2, 6), (2, 7), (2, 8)]]
    assert len(Batches(10, 3, lambda: 7)) == 3, "the epoch's length, wherever the run begins"


def test_processes_share_the_samples_without_overlap() -> None:
    halves = [list(Batches(16, 4, lambda: 0, rank=rank, world=2)) for rank in (0, 1)]
    places = [{place for batch in half for place in batch} for half in halves]
    assert not places[0] & places[1]
    assert sorted(places[0] | places[1]) == [(0, i) for i in range(16)]


def test_an_epoch_without_a_batch_is_refused() -> None:
    with pytest.raises(InputError, match="samples_per_epoch"):
        Batches(7, 4, lambda: 0, world=2)


def test_what_is_held_out_is_not_trained_on(photos: Path) -> None:
    store = joined([read_folder(photos, 2), read_folder(photos, 2)], 2)
    kept, held_out = store.split(2, seed=3)
    assert len(kept) == 4 and len(held_out) == 2
    assert {id(place) for place in kept.places} | {id(place) for place in held_out.places} == {
        id(place) for place in store.places
    }
    assert [place[1] for place in store.split(2, seed=3)[1].places] == [place[1] for place in held_out.places]
    with pytest.raises(InputError, match="hold out fewer"):
        store.split(6, seed=3)


def test_a_degraded_crop_is_the_crop_of_the_degraded_image(photos: Path) -> None:
    class Ruler:
        def margin(self, scale: int) -> int:
            return 4 * scale

        def __call__(self, high: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
            return downscale(high, scale)

    store = read_folder(photos, 2)
    plain, degraded = Crops(store, patch=12, seed=1), Crops(store, patch=12, seed=1, chain=Ruler())
    for index in range(24):
        assert all(torch.equal(x, y) for x, y in zip(plain[0, index], degraded[0, index], strict=True)), index


def test_paired_folders_belong_together_by_name(tmp_path: Path) -> None:
    for folder in ("low", "high"):
        (tmp_path / folder).mkdir()
    write_image(tmp_path / "high" / "0001.png", picture())
    pair = Paired(Path("low"), Path("high"))
    with pytest.raises(MissingFile, match=r"no partner in .*low; expected 0001.png or 0001x2.png"):
        open_store(pair, tmp_path, 2)
    small = np.full((32, 40, 3), 7, np.uint8)
    write_image(tmp_path / "low" / "0001x2.png", small)
    low, high = whole(open_store(pair, tmp_path, 2), 0)
    assert (low == 7).all() and high.shape == (64, 80, 3)
    write_image(tmp_path / "low" / "0001x2.png", small[1:])
    with pytest.raises(InputError, match=r"is 40x31 and .* 80x64; expected 80x62"):
        open_store(pair, tmp_path, 2)


def test_an_unreadable_image_is_named_or_left_out(photos: Path) -> None:
    (photos / "b.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"b\.png"):
        read_folder(photos, 2)
    assert [Path(name).name for name in read_folder(photos, 2, skip_unreadable=True).names] == ["a.png", "c.png"]


def test_images_smaller_than_the_patch_are_refused_when_none_is_left(photos: Path) -> None:
    with pytest.raises(InputError, match="smaller patch"):
        Crops(read_folder(photos, 2), patch=64, seed=0)


def test_network_input_is_rgb_or_luma_in_0_to_1() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[..., 2] = 255  # red, in BGR
    assert network_input(pixels, "rgb")[:, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert network_input(pixels, "luma")[0, 0, 0].item() == pytest.approx(81.481 / 255)


@pytest.mark.parametrize("colour", ["rgb", "luma"])
def test_a_batch_becomes_what_a_single_image_becomes(colour: str) -> None:
    pixels = picture(16, 16)
    batch = torch.from_numpy(pixels[None, ..., ::-1].copy()).permute(0, 3, 1, 2)
    assert torch.allclose(network_batch(batch, colour)[0], network_input(pixels, colour), atol=1e-6)


def test_luma_that_is_stored_as_such_is_taken_as_such() -> None:
    assert network_batch(torch.full((1, 1, 2, 2), 235, dtype=torch.uint8), "luma").max() == pytest.approx(235 / 255)


class OfLuma(Memory):
    """What an HDF5 file of Y alone gives."""

    channels = 1


def luma_store() -> OfLuma:
    high = np.linspace(16, 235, 64 * 64, dtype=np.float32).reshape(64, 64)
    return OfLuma([(high[::2, ::2], high)], ["one"], 2)


def test_crops_of_luma_alone_are_turned_alike() -> None:
    crops = Crops(luma_store(), patch=8, seed=1)
    for index in range(16):
        low, high = crops[0, index]
        assert low.shape == (1, 8, 8) and high.dtype == torch.float32
        assert (torch.nn.functional.avg_pool2d(high[None], 2)[0] - low).abs().max() < 2


def test_kinds_that_do_not_go_together_are_refused(photos: Path) -> None:
    with pytest.raises(InputError, match="several kinds"):
        joined([read_folder(photos, 2), luma_store()], 2)
    with pytest.raises(InputError, match="prepare it without --luma"):
        network_batch(torch.zeros(1, 1, 4, 4), "rgb")
    with pytest.raises(InputError, match="images in colour"):
        Crops(luma_store(), patch=8, seed=1, chain=parse_chain("noise:5"))
