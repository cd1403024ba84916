"""Packets of a network stream, taken as they come by a thread of their own, each with the time at which it came."""

from collections import deque
from dataclasses import dataclass
from threading import Condition, Thread
from time import perf_counter_ns

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

__all__ = ["Arrival", "Packets"]

BEHIND_NS = 500_000_000
"""A decoder that leaves packets waiting for longer is too slow for the stream; what waits is given up."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """arrived_ns: when its first bytes came. taken_ns: when it was whole. given_up: how many right before it were."""

    packet: "Packet[VideoStream]"
    arrived_ns: int
    taken_ns: int
    given_up: int = 0


class Packets:
    """Whatever the reader does, packets are taken from the network, so that neither the network's buffers nor the
    server's fill up, and the time of arrival is right; what waits has hardly waited for longer than BEHIND_NS.

    held: how many packets the demuxer holds back, as it sees the end of one only where another begins: the first
    bytes of a packet came when the one before it was given out.
    Owns the container: no other may touch it, and `close` closes it.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, held: int) -> None:
        self._container, self._stream = container, stream
        self._given_out = deque([perf_counter_ns()], maxlen=held + 1)
        self._waiting: deque[Arrival] = deque()
        self._news = Condition()
        self._over = False
        self._error: Exception | None = None
        self._thread = Thread(target=self._take, name="network packets", daemon=True)
        self._thread.start()

    def get(self) -> Arrival | None:
        """The next packet; waits for one. None once interrupted; raises av.FFmpegError where the stream is lost,
        EOFError where the server ended it."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._over)
            if self._waiting:
                return self._waiting.popleft()
            if self._error is not None:
                raise self._error
            return None

    @property
    def lag_ns(self) -> int:
        """For how long the next one has waited for the reader; 0 where none waits."""
        with self._news:
            return perf_counter_ns() - self._waiting[0].taken_ns if self._waiting else 0

    def interrupt(self) -> None:
        with self._news:
            self._over = True
            self._error = None
            self._waiting.clear()
            self._news.notify_all()

    def close(self) -> None:
        """Waits for the thread: until the next packet comes, or the container's read timeout is over."""
        self.interrupt()
        self._thread.join()
        self._container.close()

    def _take(self) -> None:
        error: Exception
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and not self._put(packet, perf_counter_ns()):
                    return
            error = EOFError()
        except av.FFmpegError as failure:
            error = failure
        with self._news:
            if not self._over:
                self._error, self._over = error, True
                self._news.notify_all()

    def _put(self, packet: "Packet[VideoStream]", now_ns: int) -> bool:
        """False once interrupted."""
        self._given_out.append(now_ns)
        with self._news:
            if self._over:
                return False
            given_up = 0
            if self._waiting and now_ns - self._waiting[0].taken_ns > BEHIND_NS:
                given_up = sum(1 + arrival.given_up for arrival in self._waiting)
                self._waiting.clear()
            self._waiting.append(Arrival(packet, self._given_out[0], now_ns, given_up))
            self._news.notify_all()
        return True
