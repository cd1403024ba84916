"""One browser that watches: what it was sent, what it has shown, what it missed."""

import asyncio
import json
import statistics
import time
from collections import deque
from collections.abc import Callable

from aiohttp import web

from edgesr.runtime.sinks.web.packet import Packet

__all__ = ["Viewer"]

UNSEEN = 2  # one is drawn while the next is on its way; more would only make it older
TROUBLES = 4
AGES = 15  # about half a second


class Viewer:
    """Gets the newest packet when it has drawn what it has: sockets buffer megabytes, which would be seconds of old frames.

    number: of the newest frame when it came. sent, dropped: frames since then. Frames that it shows late for a reason of its
    own have no age that tells of the stream: the one that was there when it came, one that came while its page was hidden.
    """

    def __init__(
        self, socket: web.WebSocketResponse, number: int, *, clock: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self.socket = socket
        self.sent = self.dropped = 0
        self._clock = clock
        self._first, self._last = number, max(0, number - 1)
        self._unseen: dict[int, int] = {}  # number of a packet -> when it was captured
        self._packets: asyncio.Queue[Packet] = asyncio.Queue()
        self._figures: str | None = None
        self._troubles: deque[str] = deque(maxlen=TROUBLES)
        self._ages_ns: deque[int] = deque(maxlen=AGES)
        self._waiting = asyncio.Event()

    @property
    def age_ms(self) -> float | None:
        """Of what it saw lately, the median; None before the first frame."""
        return statistics.median(self._ages_ns) / 1e6 if self._ages_ns else None

    def wants(self, number: int) -> bool:
        return number > self._last and len(self._unseen) < UNSEEN

    def give(self, packet: Packet) -> None:
        self.dropped += packet.number - self._last - 1
        self._last = packet.number
        self._unseen[packet.number] = packet.captured_ns
        self._packets.put_nowait(packet)
        self._waiting.set()

    def tell(self, figures: dict[str, object]) -> None:
        """Figures, with its own among them; they replace those that were not sent yet."""
        own = {"sent": self.sent, "missed": self.dropped, "here_ms": self.age_ms}
        self._figures = json.dumps({**figures, **own})
        self._waiting.set()

    def complain(self, trouble: str) -> None:
        """Why a wish of this viewer was not heeded."""
        self._troubles.append(json.dumps({"trouble": trouble}))
        self._waiting.set()

    def has_seen(self, number: int, *, late: bool = False) -> int | None:
        """It has drawn that packet: how old the frame was when we heard of it, in ns; None where that tells nothing."""
        captured_ns = self._unseen.pop(number, None)
        if captured_ns is None or late or number <= self._first:
            return None
        self._ages_ns.append(self._clock() - captured_ns)
        return self._ages_ns[-1]

    async def send(self) -> None:
        """Until it is cancelled or the connection ends; the only one that writes to the socket."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._troubles:
                await self.socket.send_str(self._troubles.popleft())
            figures, self._figures = self._figures, None
            if figures is not None:
                await self.socket.send_str(figures)
            while not self._packets.empty():
                await self.socket.send_bytes(self._packets.get_nowait().data)
                self.sent += 1
