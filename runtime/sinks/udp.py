"""MPEG-TS over UDP, to one address or to a multicast group: `udp://192.0.2.7:5000`, `udp://239.0.0.7:5000?ttl=2`."""

import socket
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import av
from av.container import OutputContainer

from edgesr.runtime.errors import InputError, OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.clock import LiveClock
from edgesr.runtime.sinks.encoding import SOFTWARE, LiveEncoder
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["UDPSink", "open_udp"]

DATAGRAM = 7 * 188  # as many whole TS packets as an Ethernet frame carries
OPTIONS = ("ttl", "localaddr", "localport", "buffer_size")
"""Of FFmpeg's udp protocol, what a sender may need."""


class UDPSink(Sink):
    """Sends whether somebody listens or not; who joins sees a picture within a second.

    A frame of another size goes on in that size: a keyframe tells it.
    """

    def __init__(self, host: str, port: int, info: StreamInfo, *, options: dict[str, str] | None = None) -> None:
        """host: a name or an address, IPv6 in brackets; options: of FFmpeg's udp protocol. Raises OutputFailed."""
        self.title, self.notes = f"udp://{host}:{port}", [SOFTWARE]
        self._encoder, self._clock = LiveEncoder(info, self.notes), LiveClock(info)
        self._closed = False
        query = urlencode({**(options or {}), "pkt_size": DATAGRAM})
        try:
            socket.getaddrinfo(host.strip("[]"), port)
            self._container: OutputContainer = av.open(
                f"{self.title}?{query}", "w", format="mpegts", container_options={"flush_packets": "1"}
            )
        except OSError as error:
            raise OutputFailed(
                f"{self.title} cannot be opened ({error.strerror}); expected a host that is known here"
            ) from error
        self._stream: Any = self._container.add_mux_stream("h264")  # PyAV's stub does not say that it is of video

    def write(self, frame: Frame) -> None:
        ticks = self._clock.ticks(frame)
        try:
            packet = self._encoder.encode(frame.pixels, ticks)
            packet.stream = self._stream
            self._container.mux_one(packet)
        except (av.FFmpegError, OSError) as error:
            raise OutputFailed(f"{self.title} cannot be sent to ({error.strerror}); is the network up?") from error

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with suppress(av.FFmpegError, OSError):  # who listens sees the stream end without its last packet as well
                self._container.close()

    def discard(self) -> None:
        self.close()


def open_udp(target: str, info: StreamInfo, force: bool) -> Sink:
    """target: what follows `udp:`."""
    uri = f"udp:{target}"
    expected = (
        f"expected udp://HOST:PORT, with {', '.join(OPTIONS)} after a ? where wanted, such as udp://192.0.2.7:5000"
    )
    try:
        parts = urlsplit(uri)
        port = parts.port
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise InputError(f"{uri} is no address ({error}); {expected}") from error
    if not (parts.hostname and port) or "@" in parts.netloc or parts.path not in ("", "/") or parts.fragment:
        raise InputError(f"{uri} is no address to send to; {expected}")
    if unknown := [name for name, _value in given if name not in OPTIONS]:
        raise InputError(f"{uri}: {unknown[0]} is no option; {expected}")
    host = parts.netloc.rpartition(":")[0]
    return UDPSink(host, port, info, options=dict(given))
