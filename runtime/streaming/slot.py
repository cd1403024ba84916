"""What two threads hand over: a few items at most, and a rule for when there is no room."""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Generic, Literal, TypeVar

__all__ = ["Policy", "Slot", "Turns"]

Policy = Literal["newest", "all"]
"""newest: an item that nobody took in time gives way to the next. all: who brings one waits until there is room."""

T = TypeVar("T")


class Slot(Generic[T]):
    """From one thread to one other.

    policy: see `Policy`. room: items that wait at most. dropped: called with each item that nobody will take.
    changed: shared by slots that one thread takes from in turns; a slot alone has its own.
    """

    def __init__(
        self,
        policy: Policy,
        dropped: Callable[[T], None],
        *,
        room: int = 1,
        changed: Condition | None = None,
    ) -> None:
        self._policy, self._dropped, self._room = policy, dropped, room
        self.changed = changed or Condition()
        self._items: deque[T] = deque()
        self._closed = False

    def put(self, item: T) -> bool:
        """Bring an item; False where the slot is closed, and the item with it dropped."""
        given_up: list[T] = []
        with self.changed:
            if self._policy == "all":
                self.changed.wait_for(lambda: self._closed or len(self._items) < self._room)
            taken = not self._closed
            if taken:
                while len(self._items) >= self._room:
                    given_up.append(self._items.popleft())
                self._items.append(item)
                self.changed.notify_all()
            else:
                given_up.append(item)
        for old in given_up:
            self._dropped(old)
        return taken

    def take(self, timeout_s: float | None = None) -> T | None:
        """The oldest item; None where none came in time, or none will come any more (`over`)."""
        with self.changed:
            self.changed.wait_for(lambda: self._items or self._closed, timeout_s)
            return self.take_now()

    def take_now(self) -> T | None:
        """The oldest item, or None; the caller may hold `changed`."""
        with self.changed:
            if not self._items:
                return None
            item = self._items.popleft()
            self.changed.notify_all()
            return item

    @property
    def over(self) -> bool:
        """Closed, and everything taken."""
        with self.changed:
            return self._closed and not self._items

    def close(self) -> None:
        """No more items; those that wait can still be taken."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def abort(self) -> None:
        """Close, and drop what waits."""
        with self.changed:
            given_up = list(self._items)
            self._items.clear()
            self.close()
        for item in given_up:
            self._dropped(item)


class Turns(Generic[T]):
    """One thread takes from several slots that share `changed`, each in its turn: none is served twice while another waits."""

    def __init__(self, slots: Sequence[Slot[T]]) -> None:
        self._slots = list(slots)
        self._changed = slots[0].changed
        assert all(slot.changed is self._changed for slot in slots)
        self._next = 0

    def take(self) -> tuple[int, T] | None:
        """The number of a slot and its oldest item, as soon as there is one; None when all are over."""
        with self._changed:
            while True:
                for step in range(len(self._slots)):
                    number = (self._next + step) % len(self._slots)
                    item = self._slots[number].take_now()
                    if item is not None:
                        self._next = number + 1
                        return number, item
                if all(slot.over for slot in self._slots):
                    return None
                self._changed.wait()
