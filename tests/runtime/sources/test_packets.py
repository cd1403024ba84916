"""Packets between the network and the decoder: stamped, bounded, never waited for once nobody wants them."""

import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import av
import numpy as np
import pytest
from tests.runtime.servers import wait_until

from edgesr.runtime.sources import packets
from edgesr.runtime.sources.packets import Packets


class Wire:
    """A container and its stream: what is put in comes out; None ends it, an error is raised."""

    def __init__(self) -> None:
        self.packets: Queue[Any] = Queue()
        self.closed = False

    def demux(self, _stream: object) -> Iterator[Any]:
        while (item := self.packets.get(timeout=20)) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        self.closed = True


class Clock:
    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(packets, "perf_counter_ns", ticking)
    return ticking


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.packets.put(None)
    wait_until(lambda: all(thread.name != "network packets" for thread in threading.enumerate()))


def put(wire: Wire, taking: Packets, clock: Clock, after_ms: int) -> None:
    """One packet, so many milliseconds after the last, and wait until it was taken."""
    clock.now_ns += after_ms * 1_000_000
    before = len(taking._given_out), taking._given_out[-1]
    wire.packets.put(av.Packet(np.ones(4, np.uint8).tobytes()))
    wait_until(lambda: wire.packets.empty() and (len(taking._given_out), taking._given_out[-1]) != before)


def test_a_packet_that_was_held_back_has_the_time_of_its_first_bytes(wire: Wire, clock: Clock) -> None:
    taking = Packets(wire, wire, held=1)
    for _ in range(3):
        put(wire, taking, clock, 40)
        arrival = taking.get()
        assert arrival is not None and arrival.taken_ns - arrival.arrived_ns == 40_000_000
    wire.packets.put(None)
    taking.close()
    assert wire.closed


def test_what_waits_too_long_is_given_up_and_counted(wire: Wire, clock: Clock) -> None:
    taking = Packets(wire, wire, held=0)
    for _ in range(8):
        put(wire, taking, clock, 100)
    arrivals = [taking.get(), taking.get()]
    assert [arrival.given_up for arrival in arrivals if arrival] == [6, 0]
    assert taking.lag_ns == 0
    wire.packets.put(None)
    taking.close()


def test_a_slow_stream_is_no_slow_reader(wire: Wire, clock: Clock) -> None:
    """At one picture in 5 s its bytes are old when it is whole; it has not waited for the reader."""
    taking = Packets(wire, wire, held=1)
    for after_ms in (5000, 5000, 1):
        put(wire, taking, clock, after_ms)
    wire.packets.put(None)
    arrivals = [taking.get(), taking.get()]
    assert sum(arrival.given_up for arrival in arrivals if arrival) == 1  # only the one that waited for 5 s
    taking.close()


@pytest.mark.parametrize(("end", "raised"), [(None, EOFError), (av.ExitError(1, "late"), av.ExitError)])
def test_the_end_is_told_after_what_came_before(wire: Wire, clock: Clock, end: Any, raised: type[Exception]) -> None:
    taking = Packets(wire, wire, held=0)
    put(wire, taking, clock, 1)
    wire.packets.put(end)
    wait_until(lambda: taking._over)
    assert taking.get() is not None
    with pytest.raises(raised):
        taking.get()
    taking.close()
    assert taking.get() is None


def test_an_interrupt_wakes_the_reader(wire: Wire) -> None:
    taking = Packets(wire, wire, held=0)
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.append(taking.get()))
    reader.start()
    taking.interrupt()
    reader.join(20)
    assert got == [None]
    wire.packets.put(None)
    taking.close()
