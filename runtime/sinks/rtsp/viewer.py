"""One viewer of an RTSP stream: its channel, and what it is spared when it is too slow."""

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress

from edgesr.runtime.sinks.rtsp.rtp import HEADER, AccessUnit, sender_report

__all__ = ["Channel", "Datagrams", "Interleaved", "Viewer"]

BACKLOG = 256 * 1024  # bytes that may wait here for one viewer, at most
BACKLOG_S = 0.5  # and for so long
PATIENCE_S = 20.0  # a viewer that takes nothing for so long is dropped
REPORT_EVERY_S = 5.0


class Channel(ABC):
    """The way of packets to one viewer. header: RTSP's Transport, as agreed."""

    header: str

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Bytes that were given to `send` and are not on their way yet."""

    @abstractmethod
    def send(self, packets: list[bytes]) -> int:
        """Never waits. How many bytes these are in the channel."""

    @abstractmethod
    def send_report(self, report: bytes) -> None: ...

    def close(self) -> None:  # noqa: B027 - interleaved packets have no socket of their own
        """Let go of sockets."""


class Interleaved(Channel):
    """RTP within the RTSP connection. number: of the channel for RTP; the next one is for reports."""

    def __init__(self, writer: asyncio.StreamWriter, number: int) -> None:
        self._writer, self._number = writer, number
        self.header = f"RTP/AVP/TCP;unicast;interleaved={number}-{number + 1}"

    @property
    def waiting(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    def send(self, packets: list[bytes]) -> int:
        framed = b"".join(self._framed(packet, self._number) for packet in packets)
        self._writer.write(framed)
        return len(framed)

    def send_report(self, report: bytes) -> None:
        self._writer.write(self._framed(report, self._number + 1))

    @staticmethod
    def _framed(packet: bytes, number: int) -> bytes:
        return b"$" + bytes((number,)) + len(packet).to_bytes(2, "big") + packet


class Datagrams(Channel):
    """RTP over UDP, to the viewer's own address only.

    local, remote: both ends of its RTSP connection. ports: the viewer's, for RTP and for reports. Raises OSError.
    """

    def __init__(self, local: str, remote: str, ports: tuple[int, int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ours, self._reports = pair = _port_pair(local)
        try:
            for one, port in zip(pair, ports, strict=True):
                one.setblocking(False)
                one.connect((remote, port))
        except OSError:
            self.close()
            raise
        server = "-".join(str(one.getsockname()[1]) for one in pair)
        self.header = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={server}"

    @property
    def waiting(self) -> int:
        return self._waiting_bytes

    def send(self, packets: list[bytes]) -> int:
        size = sum(map(len, packets))
        self._waiting.extend(packets)
        self._waiting_bytes += size
        self._flush()
        return size

    def send_report(self, report: bytes) -> None:
        with suppress(OSError):
            self._reports.send(report)

    def close(self) -> None:
        self._loop.remove_writer(self._ours)
        self._ours.close()
        self._reports.close()

    def _flush(self) -> None:
        while self._waiting:
            try:
                self._ours.send(self._waiting[0])
            except BlockingIOError:
                self._loop.add_writer(self._ours, self._flush)
                return
            except OSError:
                pass  # nobody listens there yet, or any more
            self._waiting_bytes -= len(self._waiting.popleft())
        self._loop.remove_writer(self._ours)


def _port_pair(local: str) -> tuple[socket.socket, socket.socket]:
    """Sockets at an even port and at the next one, as RTP has it. Raises OSError."""
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    for _attempt in range(50):
        first, second = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        with suppress(OSError):
            first.bind((local, 0))
            port = first.getsockname()[1]
            if port % 2 == 0:
                second.bind((local, port + 1))
                return first, second
        first.close()
        second.close()
    raise OSError("no pair of ports is free")


class Viewer:
    """Gets each frame that it can take; one that is too slow goes on with a later keyframe.

    source: the stream's RTP source number. is_dead: it has taken nothing for PATIENCE_S.
    """

    def __init__(self, channel: Channel, source: int) -> None:
        self.channel, self.playing = channel, False
        self._source = source
        self._awaits_keyframe = True
        self._full_since_s: float | None = None
        self._bytes = 0
        self._begun: deque[tuple[float, int]] = (
            deque()
        )  # when each frame that may still wait was sent, and the bytes before it
        self._packets = self._octets = 0
        self._reported_s = 0.0

    def play(self) -> None:
        self.playing = self._awaits_keyframe = True

    @property
    def is_dead(self) -> bool:
        return self._full_since_s is not None and time.monotonic() - self._full_since_s > PATIENCE_S

    def offer(self, unit: AccessUnit) -> None:
        """Send a frame, or leave it out; never waits."""
        if not self.playing or (self._awaits_keyframe and not unit.keyframe):
            return
        now_s = time.monotonic()
        self._awaits_keyframe = self._is_behind(now_s)
        if self._awaits_keyframe:
            self._full_since_s = self._full_since_s or now_s
            return
        self._full_since_s = None
        self._begun.append((now_s, self._bytes))
        self._bytes += self.channel.send(unit.packets)
        self._packets += len(unit.packets)
        self._octets += sum(len(packet) - HEADER for packet in unit.packets)
        self._report(unit)

    def _is_behind(self, now_s: float) -> bool:
        """Do too many bytes wait for it, or any for too long? Reports wait among them, too few to count."""
        waiting = self.channel.waiting
        if not waiting:
            self._begun.clear()
        while len(self._begun) > 1 and self._begun[1][1] <= self._bytes - waiting:
            self._begun.popleft()
        return waiting > BACKLOG or (bool(self._begun) and now_s - self._begun[0][0] > BACKLOG_S)

    def _report(self, unit: AccessUnit) -> None:
        now_s = time.monotonic()
        if now_s - self._reported_s > REPORT_EVERY_S:
            self._reported_s = now_s
            unix_ns = time.time_ns() - (time.perf_counter_ns() - unit.captured_ns)
            self.channel.send_report(sender_report(self._source, unit.rtp_time, unix_ns, self._packets, self._octets))
