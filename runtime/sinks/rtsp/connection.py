"""One RTSP connection: requests in, answers out."""

import asyncio
import secrets
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

from edgesr.runtime.sinks.rtsp.credentials import Credentials
from edgesr.runtime.sinks.rtsp.message import Malformed, Request, answer, read_request
from edgesr.runtime.sinks.rtsp.viewer import Channel, Datagrams, Interleaved, Viewer

__all__ = ["Connection", "Stage"]

REQUEST_LIMIT_S = 10.0  # for a stranger to ask for something
SESSION_TIMEOUT_S = 60  # told to viewers, who say in time that they are still there
GRACE_S = 30.0
DESCRIPTION_LIMIT_S = 20.0  # a model may take as long to load before the stream's first frame
ATTEMPTS = 5  # with wrong credentials
TRACK = "video"
METHODS = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER")


class Stage(Protocol):
    """What a connection needs of the server."""

    path: str
    credentials: Credentials | None
    source: int

    async def description(self, host: str) -> str:
        """SDP; waits for the stream's first frame."""

    def has_room(self) -> bool:
        """For one more viewer."""

    def wish_keyframe(self) -> None:
        """A viewer begins."""


class Connection:
    """Answers one after the other until the viewer leaves, says nonsense or falls silent."""

    def __init__(self, stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._stage, self._reader, self._writer = stage, reader, writer
        self._nonce, self._session = secrets.token_hex(16), secrets.token_hex(8)
        self._attempts = 0
        self.viewer: Viewer | None = None

    async def serve(self) -> None:
        try:
            while request := await asyncio.wait_for(read_request(self._reader), self._limit_s):
                status, headers, body = await self._handle(request)
                self._writer.write(answer(status, request.sequence, headers, body))
                if self.viewer is None or not self.viewer.playing:
                    await asyncio.wait_for(self._writer.drain(), REQUEST_LIMIT_S)
                if request.method == "TEARDOWN" or self._attempts >= ATTEMPTS:
                    break
        except Malformed:
            self._writer.write(answer(400, "0"))
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, OSError):
            pass
        finally:
            self._leave()
            self._writer.close()

    def abort(self) -> None:
        """End it at once, whatever still waits to be sent."""
        self._writer.transport.abort()

    @property
    def _limit_s(self) -> float | None:
        if self.viewer is None:
            return REQUEST_LIMIT_S
        interleaved = isinstance(self.viewer.channel, Interleaved)
        return None if interleaved and self.viewer.playing else SESSION_TIMEOUT_S + GRACE_S

    def _leave(self) -> None:
        if self.viewer is not None:
            self.viewer.channel.close()
            self.viewer = None

    async def _handle(self, request: Request) -> tuple[int, dict[str, str], str]:
        method = request.method
        if method not in METHODS:
            return 405, {"Allow": ", ".join(METHODS)}, ""
        if "require" in request.headers:
            return 551, {"Unsupported": request.headers["require"]}, ""
        if method == "OPTIONS":
            return 200, {"Public": ", ".join(METHODS)}, ""
        credentials = self._stage.credentials
        if credentials is not None and not self._is_known(request, credentials):
            return 401, {"WWW-Authenticate": credentials.challenge(self._nonce)}, ""
        if not self._is_ours(request.uri):
            return 404, {}, ""
        if method == "DESCRIBE":
            return await self._describe(request)
        if method == "SETUP":
            return self._set_up(request)
        if method in ("GET_PARAMETER", "SET_PARAMETER") and self.viewer is None:
            return 200, {}, ""
        if self.viewer is None or request.headers.get("session", "").partition(";")[0] != self._session:
            return 454, {}, ""
        session = {"Session": self._session}
        if method == "PLAY":
            self.viewer.play()
            self._stage.wish_keyframe()
            return 200, {**session, "Range": "npt=now-"}, ""
        if method == "PAUSE":
            self.viewer.playing = False
        return 200, session, ""

    def _is_known(self, request: Request, credentials: Credentials) -> bool:
        given = request.headers.get("authorization")
        if given is not None and credentials.fit(given, request.method, self._nonce):
            return True
        self._attempts += given is not None
        return False

    def _is_ours(self, uri: str) -> bool:
        try:
            path = urlsplit(uri).path.rstrip("/")
        except ValueError:
            return False
        return path in (self._stage.path, f"{self._stage.path}/{TRACK}") or uri == "*"

    async def _describe(self, request: Request) -> tuple[int, dict[str, str], str]:
        host = self._writer.get_extra_info("sockname")[0]
        try:
            body = await asyncio.wait_for(self._stage.description(host), DESCRIPTION_LIMIT_S)
        except asyncio.TimeoutError:
            return 503, {"Retry-After": "5"}, ""
        base = request.uri.rstrip("/") + "/"
        return 200, {"Content-Base": base, "Content-Type": "application/sdp"}, body

    def _set_up(self, request: Request) -> tuple[int, dict[str, str], str]:
        if self.viewer is not None and self.viewer.playing:
            return 455, {}, ""
        self._leave()
        if not self._stage.has_room():
            return 453, {}, ""
        channel = self._channel(request.headers.get("transport", ""))
        if channel is None:
            return 461, {}, ""
        self.viewer = Viewer(channel, self._stage.source)
        headers = {
            "Session": f"{self._session};timeout={SESSION_TIMEOUT_S}",
            "Transport": f"{channel.header};ssrc={self._stage.source:08X}",
        }
        return 200, headers, ""

    def _channel(self, wanted: str) -> Channel | None:
        """The first of the viewer's proposals that can be served."""
        for proposal in wanted.lower().split(","):
            kind, *settings = (part.strip() for part in proposal.split(";"))
            if "multicast" in settings:
                continue
            with suppress(OSError, ValueError):
                if kind == "rtp/avp/tcp":
                    return Interleaved(self._writer, _pair(settings, "interleaved", range(255), usual=0)[0])
                if kind in ("rtp/avp", "rtp/avp/udp"):
                    ports = _pair(settings, "client_port", range(1, 65535))
                    local, remote = (self._writer.get_extra_info(end)[0] for end in ("sockname", "peername"))
                    return Datagrams(local, remote, ports)
        return None


def _pair(settings: list[str], name: str, allowed: range, usual: int | None = None) -> tuple[int, int]:
    """`client_port=5000-5001` -> (5000, 5001). Raises ValueError."""
    given = next((setting.partition("=")[2] for setting in settings if setting.startswith(f"{name}=")), usual)
    first, _dash, second = str(given).partition("-")
    low, high = int(first), int(second or int(first) + 1)
    if low not in allowed or high not in range(allowed.start, allowed.stop + 1):
        raise ValueError(given)
    return low, high
