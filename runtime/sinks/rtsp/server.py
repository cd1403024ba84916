"""The RTSP server: a thread with an event loop, fed from the thread that encodes."""

import asyncio
import base64
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.sinks.rtsp.connection import TRACK, Connection
from edgesr.runtime.sinks.rtsp.credentials import Credentials
from edgesr.runtime.sinks.rtsp.message import HEAD_LIMIT
from edgesr.runtime.sinks.rtsp.rtp import PAYLOAD_TYPE, AccessUnit
from edgesr.runtime.sinks.rtsp.viewer import Viewer

__all__ = ["RTSPServer"]

MOST_CONNECTIONS, MOST_VIEWERS = 64, 16
SEND_BUFFER = 64 * 1024  # bytes in the kernel for one viewer: what waits there is older than it need be
MOST_WAITING = 30  # frames on their way into this thread
KEYFRAME_EVERY_S = 0.5  # at most, however often viewers begin: a keyframe is ten times as large as other frames
CLOSING_LIMIT_S = 5.0


class RTSPServer:
    """Listens as soon as it is made. `send` is called from one thread, the rest from any.

    path: of the stream, such as "/sr". source: the number that its RTP packets carry.
    Raises OutputFailed where the address cannot be had.
    """

    def __init__(self, host: str, port: int, path: str, source: int, credentials: Credentials | None = None) -> None:
        self.path, self.source, self.credentials = path, source, credentials
        self._socket = _listening(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._parameter_sets: tuple[bytes, bytes] | None = None
        self._waiting: deque[AccessUnit] = deque()
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keyframe_wished, self._next_keyframe_s = threading.Event(), 0.0
        self._described, self._stopping = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="rtsp server", daemon=True)
        self._thread.start()

    @property
    def is_watched(self) -> bool:
        return any(viewer.playing for viewer in self._viewers)

    def take_keyframe_wish(self) -> bool:
        """Has a viewer begun since the last keyframe that was wished for? A wish too soon after it is kept."""
        now_s = time.monotonic()
        if not self._keyframe_wished.is_set() or now_s < self._next_keyframe_s:
            return False
        self._keyframe_wished.clear()
        self._next_keyframe_s = now_s + KEYFRAME_EVERY_S
        return True

    def send(self, unit: AccessUnit) -> None:
        """A frame to all viewers; never waits for one of them."""
        if len(self._waiting) >= MOST_WAITING:
            self._keyframe_wished.set()
            return
        self._waiting.append(unit)
        self._call(self._distribute)

    def describe(self, parameter_sets: tuple[bytes, bytes]) -> None:
        """SPS and PPS, for those who ask from now on."""
        self._parameter_sets = parameter_sets
        self._call(self._described.set)

    def close(self) -> None:
        """End all connections. A second call does nothing."""
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(CLOSING_LIMIT_S)

    # What a connection asks for, in the server's own thread

    async def description(self, host: str) -> str:
        """SDP (RFC 4566); waits for the stream's first keyframe."""
        await self._described.wait()
        assert self._parameter_sets is not None
        kind = "IP6" if ":" in host else "IP4"
        sets = ",".join(base64.b64encode(one).decode() for one in self._parameter_sets)
        profile = self._parameter_sets[0][1:4].hex()
        lines = [
            "v=0",
            f"o=- {secrets.randbits(32)} 1 IN {kind} {host}",
            "s=edgesr",
            f"c=IN {kind} {'::' if kind == 'IP6' else '0.0.0.0'}",
            "t=0 0",
            "a=control:*",
            "a=range:npt=now-",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
            f"a=rtpmap:{PAYLOAD_TYPE} H264/90000",
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sets}",
            f"a=control:{TRACK}",
        ]
        return "\r\n".join(lines) + "\r\n"

    def has_room(self) -> bool:
        return len(self._viewers) < MOST_VIEWERS

    def wish_keyframe(self) -> None:
        self._keyframe_wished.set()

    @property
    def _viewers(self) -> list[Viewer]:
        viewers = [connection.viewer for connection in tuple(self._connections)]
        return [viewer for viewer in viewers if viewer is not None]

    def _call(self, function: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError as error:
            raise OutputFailed("the RTSP server has ended; start the stream again") from error

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket, limit=HEAD_LIMIT)
        try:
            await self._stopping.wait()
        finally:
            server.close()
            for connection in self._connections:
                connection.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # transports say goodbye in the loop's next round

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        peer = writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        task = self._loop.create_task(self._attend(Connection(self, reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, connection: Connection) -> None:
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    def _distribute(self) -> None:
        while self._waiting:
            unit = self._waiting.popleft()
            for connection in self._connections:
                if connection.viewer is not None:
                    connection.viewer.offer(unit)
                    if connection.viewer.is_dead:
                        connection.abort()


def _listening(host: str, port: int) -> socket.socket:
    shown = f"[{host}]" if ":" in host else host
    try:
        family, _kind, _protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise OutputFailed(f"{shown} is no address of this machine ({error.strerror}); give one that it has") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise OutputFailed(
            f"port {port} of {shown} cannot be had ({error.strerror}); end what uses it, or choose another port"
        ) from error
    return listening
