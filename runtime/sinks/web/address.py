"""Where the page is served, who may see it: `//:8080`, `//0.0.0.0:8080?token=...`."""

import errno
import secrets
import socket
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

from edgesr.runtime.errors import InputError
from edgesr.runtime.sinks.loopback import is_loopback

__all__ = ["Address"]

TOKEN_LENGTH = 16
QUALITY = 90
EXAMPLE = "http://:8080, or for others to see http://0.0.0.0:8080?token=..."


@dataclass(frozen=True)
class Address:
    """host: a name or an address of this machine; only the machine itself reaches a loopback address.
    port: 0 takes any free one.
    token: what a viewer from elsewhere must give; never shown.
    quality: of the JPEGs, 1 to 100.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = field(default="", repr=False)
    quality: int = QUALITY

    def __post_init__(self) -> None:
        if self.token and (len(self.token) < TOKEN_LENGTH or not self.token.isascii() or not self.token.isprintable()):
            raise InputError(
                f"the token of {self} is too short or has odd characters; expected {TOKEN_LENGTH} or more ASCII "
                f"characters, such as {secrets.token_urlsafe(TOKEN_LENGTH)}"
            )
        if not self.token and not self.is_loopback:
            raise InputError(
                f"{self} can be reached from other machines, so it needs a token; for example "
                f"'{self}?token={secrets.token_urlsafe(TOKEN_LENGTH)}'"
            )
        if not 1 <= self.quality <= 100:
            raise InputError(f"quality={self.quality} of {self} is no JPEG quality; expected 1 to 100")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @classmethod
    def parse(cls, target: str) -> "Address":
        """What follows `http:`. Raises InputError; nothing of a query is repeated, since a token may stand in it."""
        try:
            parts = urlsplit(f"http:{target}")
            host, port = parts.hostname or "127.0.0.1", parts.port
        except ValueError as error:
            raise InputError(f"this is no address for a page; expected {EXAMPLE}") from error
        if port is None or parts.username is not None or parts.path not in ("", "/") or parts.fragment:
            raise InputError(f"this is no address for a page: a host or none, and a port; expected {EXAMPLE}")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        token, quality = options.pop("token", ""), options.pop("quality", str(QUALITY))
        if options:
            names = ", ".join(map(repr, options))
            raise InputError(f"http://{host}:{port} has no option {names}; expected token or quality")
        if "token" in parts.query and not token:
            raise InputError(
                f"the token of http://{host}:{port} is empty; leave it out, or give {TOKEN_LENGTH} characters"
            )
        if not (quality.isascii() and quality.isdigit()):
            raise InputError(f"quality={quality} of http://{host}:{port} is no whole number; expected 1 to 100")
        return cls(host, port, token, int(quality))

    def on_port(self, port: int) -> "Address":
        return replace(self, port=port)

    def bind(self) -> socket.socket:
        """A listening socket. Raises InputError where the port is taken or not allowed, or the host is not ours."""
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except OSError as error:
            raise InputError(f"{self}: the host is unknown ({error.strerror}); expected {EXAMPLE}") from error
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(place)
            listening.listen()
        except OSError as error:
            listening.close()
            raise InputError(f"{self} {_why_not(error)}") from error
        listening.setblocking(False)
        return listening


def _why_not(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "is in use by another program; choose another port"
    if error.errno == errno.EACCES:
        return "is not allowed: ports below 1024 are for root; choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "is no address of this machine; see `ip addr`, or use 0.0.0.0 for all of them"
    return f"cannot be opened: {error.strerror}"
