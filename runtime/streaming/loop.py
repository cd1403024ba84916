"""The loop of streams: capture, network and outputs, each in a thread of its own; one that fails ends all of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Condition, Lock, Thread

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.streaming.deadline import DeadlineController
from edgesr.runtime.streaming.network import Network
from edgesr.runtime.streaming.running import Running
from edgesr.runtime.streaming.slot import Turns
from edgesr.runtime.streaming.stream import Stream

__all__ = ["run"]

TICK_S = 0.05
END_S = 1.0  # for threads to end after a failure, besides the network call that is under way


@dataclass
class _Failures:
    """The first one is what the caller gets."""

    first: BaseException | None = None
    lock: Lock = field(default_factory=Lock)

    def keep(self, error: BaseException) -> None:
        with self.lock:
            self.first = self.first or error


def run(
    network: Network,
    streams: Sequence[Stream],
    *,
    deadline: DeadlineController | None = None,
    on_tick: Callable[[], None] | None = None,
) -> None:
    """Run the streams until all of them are over, then return; sources and sinks stay open, for the caller to close.

    deadline: chooses among the network's models; None: the first runs. on_tick: called in this thread about twenty times a
    second. Must be called from the program's main thread where a sink demands it. Ctrl-C, and whatever a thread raises, ends
    every stream within a second and one network call, and is raised here.
    """
    if not streams:
        raise InputError("no stream to run; expected at least one")
    turn = Condition()
    running = [Running(stream, turn) for stream in streams]
    for stream in streams:
        for sink in stream.sinks:
            sink.attach(stream.figures, stream.controls)
        stream.source.events = stream.figures.event
        stream.figures.tell(state="running")
    failures = _Failures()
    threads = _threads(running, failures)
    served = network.start(lambda backends: _serve(running, backends, deadline, failures))
    try:
        for thread in threads:
            thread.start()
        while failures.first is None and not (served.done() and _are_done(running, threads)):
            _attend(running)
            if on_tick is not None:
                on_tick()
    except BaseException as error:  # noqa: BLE001 - raised again when the threads have ended
        failures.keep(error)
    if failures.first is not None:
        for passing in running:
            passing.abort()
    served.result()
    _join(threads)
    for stream in streams:
        stream.figures.tell(state="over")
    if failures.first is not None:
        raise failures.first


def _threads(running: Sequence[Running], failures: _Failures) -> list[Thread]:
    """Not started yet. Daemons, since a driver that hangs in a read must not keep the program alive."""
    threads = []

    def thread(name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised in the main thread
                failures.keep(error)

        threads.append(Thread(target=guarded, name=name, daemon=True))

    for stream in running:
        thread("capture", stream.capture)
        if stream.stream.arrange is not None:
            thread("arrange", stream.arrange)
        for number, sink in enumerate(stream.stream.sinks):
            if not sink.main_thread:
                thread(f"sink {sink.title}", partial(_write_all, stream, number))
    return threads


def _are_done(running: Sequence[Running], threads: Sequence[Thread]) -> bool:
    return not any(thread.is_alive() for thread in threads) and all(
        outlet.over for stream in running for outlet in stream.outlets
    )


def _write_all(stream: Running, number: int) -> None:
    while stream.output(number):
        pass


def _serve(
    running: Sequence[Running], backends: Sequence[Backend], deadline: DeadlineController | None, failures: _Failures
) -> None:
    """The network's thread: the streams' frames in turns, through the model that the deadline allows."""
    turns = Turns([stream.captured for stream in running])
    level = 0
    try:
        while (taken := turns.take()) is not None:
            number, passage = taken
            stream = running[number]
            stream.infer(passage, backends[level])
            if deadline is not None and stream.ages_ns:
                level = _adapt(deadline, stream, level)
            for other in running:
                if other.captured.over:
                    other.after_network()
    except BaseException as error:  # noqa: BLE001 - raised in the main thread
        failures.keep(error)
    for stream in running:
        stream.after_network()


def _adapt(deadline: DeadlineController, stream: Running, level: int) -> int:
    """The model for the next frame; a change is told in words, and when no model is left to change to."""
    before = deadline.hopeless
    chosen = deadline.observe(stream.ages_ns.pop() / 1e6, time.monotonic())
    if chosen != level:
        stream.figures.event(deadline.reason)
    if deadline.hopeless and not before:
        stream.figures.event(
            f"{deadline.levels[-1]}, the smallest, misses the deadline of {deadline.deadline_ms:g} ms, too"
        )
    return chosen


def _attend(running: Sequence[Running]) -> None:
    """One tick of the main thread: its own sinks, and what nobody else notices."""
    windows = [(stream, n) for stream in running for n, sink in enumerate(stream.stream.sinks) if sink.main_thread]
    for stream, number in windows:
        stream.output(number, TICK_S / len(windows))
        stream.stream.sinks[number].idle()
    if not windows:
        time.sleep(TICK_S)
    for stream in running:
        stream.watch()


def _join(threads: Sequence[Thread]) -> None:
    """Wait for them; one that hangs in a driver is left behind after a second."""
    end = time.monotonic() + END_S
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, end - time.monotonic()))
