"""What two threads hand over."""

from threading import Condition, Thread

import pytest

from edgesr.runtime.streaming.slot import Slot, Turns

LIMIT_S = 20


def test_newest_keeps_the_last_and_drops_the_others() -> None:
    dropped: list[int] = []
    slot = Slot[int]("newest", dropped.append)
    for item in range(4):
        assert slot.put(item)
    assert slot.take(0) == 3 and dropped == [0, 1, 2]
    assert slot.take(0) is None and not slot.over


def test_all_waits_for_room_and_loses_nothing() -> None:
    slot = Slot[int]("all", lambda item: pytest.fail(f"{item} was dropped"), room=2)

    def bring() -> None:
        for item in range(50):
            slot.put(item)
        slot.close()

    thread = Thread(target=bring)
    thread.start()
    taken = []
    while not slot.over:
        if (item := slot.take(LIMIT_S)) is not None:
            taken.append(item)
    thread.join(LIMIT_S)
    assert taken == list(range(50))


def test_a_closed_slot_gives_what_waits_and_takes_nothing() -> None:
    dropped: list[int] = []
    slot = Slot[int]("all", dropped.append, room=2)
    slot.put(1)
    slot.close()
    assert not slot.put(2) and dropped == [2]
    assert slot.take() == 1 and slot.take() is None and slot.over


@pytest.mark.parametrize("policy", ["newest", "all"])
def test_abort_drops_what_waits_and_frees_who_waits_for_room(policy: str) -> None:
    dropped: list[int] = []
    slot = Slot[int](policy, dropped.append)
    slot.put(1)
    thread = Thread(target=lambda: (slot.put(2), slot.put(3)))
    thread.start()
    slot.abort()
    thread.join(LIMIT_S)
    assert not thread.is_alive() and sorted(dropped) == [1, 2, 3] and slot.over


def test_turns_serve_every_slot_while_one_is_always_full() -> None:
    changed = Condition()
    slots = [Slot[str]("newest", lambda _item: None, changed=changed) for _ in range(3)]
    turns = Turns(slots)
    served = []
    for _ in range(12):
        for name, slot in zip("abc", slots, strict=True):
            slot.put(name)
        taken = turns.take()
        assert taken is not None
        served.append(taken[1])
    assert served == ["a", "b", "c"] * 4


def test_turns_end_when_every_slot_is_over() -> None:
    changed = Condition()
    slots = [Slot[int]("all", lambda _item: None, changed=changed) for _ in range(2)]
    slots[1].put(5)
    for slot in slots:
        slot.close()
    turns = Turns(slots)
    assert turns.take() == (1, 5) and turns.take() is None
