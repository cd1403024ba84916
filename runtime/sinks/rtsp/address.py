"""Where an RTSP stream is served, and to whom."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from edgesr.runtime.errors import InputError
from edgesr.runtime.sinks.loopback import is_loopback
from edgesr.runtime.sinks.rtsp.credentials import Credentials
from edgesr.runtime.sources.uri import redacted

__all__ = ["Address"]

USUAL_PORT = 8554
HERE = "127.0.0.1"
EXPECTED = "expected rtsp://:8554/sr (this machine only) or rtsp://USER:PASSWORD@0.0.0.0:8554/sr (the network as well)"


@dataclass(frozen=True)
class Address:
    """host: an address of this machine. path: "" or "/sr". credentials: None only where nobody else can connect."""

    host: str
    port: int
    path: str
    credentials: Credentials | None

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """Raises InputError, without the credentials in it."""
        try:
            parts = urlsplit(uri)
            port = USUAL_PORT if parts.port is None else parts.port
        except ValueError as error:
            raise InputError(f"{redacted(uri)} is no address; {EXPECTED}") from error
        if not uri.startswith("rtsp://") or parts.query or parts.fragment:
            raise InputError(f"{redacted(uri)} is no address to serve at; {EXPECTED}")
        host = parts.hostname or HERE
        credentials = Credentials(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        if credentials is None and not is_loopback(host):
            raise InputError(f"{redacted(uri)} would show the stream to everybody in the network; {EXPECTED}")
        if credentials is not None and not credentials.password:
            raise InputError(f"{redacted(uri)} has a name and no password; {EXPECTED}")
        return cls(host, port, parts.path.rstrip("/"), credentials)

    @property
    def shown_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host
