"""Where a network stream is, and how FFmpeg is to read it. Options of ours stand behind a `#`, which is never sent to
a server: `rtsp://camera/1#transport=udp&timeout=3`.
"""

import errno
import socket
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import SplitResult, urlsplit

import av
from av.container import InputContainer

from edgesr.runtime.errors import InputError
from edgesr.runtime.sources.uri import at_least, one_of, options, redacted

__all__ = ["Address"]

OPTIONS = {
    "transport": one_of("tcp", "udp"),
    "timeout": at_least(0.1, float),
    "reorder_ms": at_least(0, float),
    "gstreamer": one_of("h264", "h265", "mjpeg"),
}
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
UDP_FIFO_PACKETS = 50_000  # of 188 bytes: a second at 75 Mbit/s


@dataclass(frozen=True)
class Address:
    """Where a stream is and how to read it; raises InputError for an address that cannot be one.

    url: what FFmpeg gets, credentials included: never print it, `title` is for that.
    transport: of RTSP. timeout_s: silence that ends a connection, or the wait for one.
    reorder_ms: how long RTSP over UDP waits for packets that came in the wrong order.
    gstreamer: the codec of an RTSP stream that GStreamer reads, with the board's decoder where there is one; "": FFmpeg reads it.
    """

    url: str = field(repr=False)
    title: str
    transport: str = "tcp"
    timeout_s: float = 5.0
    reorder_ms: float = 100.0
    gstreamer: str = ""

    @classmethod
    def parse(cls, uri: str) -> "Address":
        url, _, fragment = uri.partition("#")
        title = redacted(uri).partition("#")[0]
        if "@" in fragment:
            raise InputError(f"{title}: a # in a name or password is written %23, a @ is %40")
        given = options(fragment, OPTIONS, title)
        if "timeout" in given:
            given["timeout_s"] = given.pop("timeout")
        address = cls(url, title, **given)
        try:
            parts = address.parts
        except ValueError:
            raise InputError(f"{title} is no address; [ and ] in a name or password are written %5B and %5D") from None
        port = address.port
        if parts.scheme == "udp":
            if port is None:
                raise InputError(f"{title} has no port; expected udp://:5000, or udp://239.0.0.1:5000 for a group")
        elif address.gstreamer and parts.scheme not in ("rtsp", "rtsps"):
            raise InputError(
                f"{title}: gstreamer={address.gstreamer} is for rtsp:// alone; for others write a pipeline, gst:…"
            )
        elif not parts.hostname:
            raise InputError(f"{title} names no host; expected e.g. {parts.scheme}://192.168.1.20/stream")
        return address

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def port(self) -> int | None:
        try:
            return self.parts.port or PORTS.get(self.parts.scheme)
        except ValueError:
            raise InputError(f"{self.title}: the port is no number from 1 to 65535") from None

    @property
    def ffmpeg_options(self) -> dict[str, str]:
        """For little delay: nothing is buffered or looked at in advance, a stream tells what it is by its first picture."""
        chosen = {"fflags": "nobuffer", "flags": "low_delay", "analyzeduration": "1", "fpsprobesize": "0"}
        scheme = self.parts.scheme
        if scheme in ("rtsp", "rtsps"):
            chosen |= {"rtsp_transport": self.transport, "max_delay": str(round(self.reorder_ms * 1000))}
            chosen |= {"allowed_media_types": "video"}
        elif scheme == "udp":
            # without its parsers FFmpeg gives a picture out when the next one begins, with them one later
            chosen |= {"fflags": "nobuffer+noparse+nofillin", "overrun_nonfatal": "1"}
            chosen |= {"fifo_size": str(UDP_FIFO_PACKETS)}
        return chosen

    def open(self) -> InputContainer:
        """Raises InputError in one line; the caller closes it."""
        scheme, host = self.parts.scheme, self.parts.hostname
        if scheme != "udp":
            try:
                socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                raise InputError(f"{self.title}: the name {host} is unknown; check it, or the network") from None
        container_format = "mpegts" if scheme == "udp" else None
        limits_s = (self.timeout_s, self.timeout_s)
        began_s = monotonic()
        try:
            return av.open(
                self.url,
                "r",
                format=container_format,
                options=self.ffmpeg_options,
                timeout=limits_s,
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError) as error:  # it holds the URL with its credentials: not chained
            late = monotonic() - began_s >= self.timeout_s  # RTSP calls it invalid data
            raise InputError(self.reason(TimeoutError() if late else error)) from None

    def reason(self, error: Exception) -> str:
        """Why it cannot be read, without credentials."""
        if isinstance(error, av.HTTPUnauthorizedError):
            return (
                f"{self.title} wants a name and a password, or other ones (401); expected "
                f"{self.parts.scheme}://NAME:PASSWORD@…, with @ : / # % in them written %40 %3A %2F %23 %25"
            )
        if isinstance(error, av.HTTPForbiddenError):
            return f"{self.title} may not be seen with this name (403); ask the server's owner"
        if isinstance(error, av.HTTPNotFoundError):
            return f"{self.title}: the server has no such stream (404); check what follows the host"
        if isinstance(error, ConnectionRefusedError):
            return f"{self.title} refuses the connection; is the server running, and is its port {self.port}?"
        if isinstance(error, EOFError):
            return f"{self.title} was ended by the server"
        if isinstance(error, (av.ExitError, TimeoutError)):
            return f"{self.title} gave no data for {self.timeout_s:g} s; is it sending, and does it reach this machine?"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return f"{self.title}: port {self.port} is in use; end the program that has it, or choose another port"
        if isinstance(error, av.InvalidDataError) or (isinstance(error, OSError) and error.errno == errno.EIO):
            return f"{self.title} breaks off, or gives nothing that FFmpeg reads as a video stream"
        return f"{self.title} cannot be read: {getattr(error, 'strerror', None) or 'no reason given'}"
