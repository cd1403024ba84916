"""Frame memory that is used again."""

import numpy as np

from edgesr.runtime.streaming.pool import Pool


def picture(value: int, height: int = 4) -> np.ndarray:
    return np.full((height, 6, 3), value, np.uint8)


def test_released_memory_is_used_again_and_held_memory_is_not() -> None:
    pool = Pool()
    first = pool.copy(picture(1))
    second = pool.copy(picture(2))
    memory = first.pixels.ctypes.data
    first.release()
    third = pool.copy(picture(3))
    assert third.pixels.ctypes.data == memory and (third.pixels == 3).all() and (second.pixels == 2).all()
    assert pool.made == 2


def test_a_shared_picture_comes_back_after_its_last_holder() -> None:
    pool = Pool()
    held = pool.copy(picture(1))
    held.share()
    held.release()
    assert pool.copy(picture(2)).pixels is not held.pixels
    held.release()
    assert pool.copy(picture(3)).pixels is held.pixels


def test_another_size_lets_go_of_the_old_memory() -> None:
    pool = Pool()
    small = pool.copy(picture(1))
    large = pool.copy(picture(2, height=8))
    small.release()
    large.release()
    assert pool.copy(picture(3, height=8)).pixels is large.pixels and pool.made == 2
