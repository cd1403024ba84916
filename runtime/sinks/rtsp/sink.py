"""Serves a stream to whoever asks by RTSP: `rtsp://:8554/sr`, `rtsp://user:password@0.0.0.0:8554/sr`."""

import av

from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.clock import LiveClock
from edgesr.runtime.sinks.encoding import SOFTWARE, LiveEncoder
from edgesr.runtime.sinks.rtsp.address import Address
from edgesr.runtime.sinks.rtsp.rtp import Packetiser, parameter_sets
from edgesr.runtime.sinks.rtsp.server import RTSPServer
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["RTSPSink", "open_rtsp"]


class RTSPSink(Sink):
    """H.264 over TCP or UDP to several viewers at once; a slow one loses frames and holds up nobody.

    The first frame is encoded to tell viewers what comes; after that nothing is encoded while nobody watches.
    A frame of another size goes on in that size: a keyframe tells it.
    """

    def __init__(self, address: Address, info: StreamInfo) -> None:
        self.notes = [SOFTWARE]
        self._encoder, self._clock = LiveEncoder(info, self.notes), LiveClock(info)
        self._packetiser = Packetiser()
        self._server = RTSPServer(
            address.host, address.port, address.path, self._packetiser.source, address.credentials
        )
        self.title = f"rtsp://{address.shown_host}:{self._server.port}{address.path}"

    def write(self, frame: Frame) -> None:
        ticks = self._clock.ticks(frame)
        if self._encoder.size is not None and not self._server.is_watched:
            return
        try:
            keyframe = self._server.take_keyframe_wish()
            packet = self._encoder.encode(frame.pixels, ticks, keyframe=keyframe)
        except (av.FFmpegError, OSError) as error:
            raise OutputFailed(f"{self.title}: a frame cannot be encoded ({error.strerror})") from error
        stream, is_keyframe = bytes(packet), packet.is_keyframe
        if is_keyframe and (sets := parameter_sets(stream)) is not None:
            self._server.describe(sets)
        self._server.send(
            self._packetiser.packets(stream, packet.pts or 0, keyframe=is_keyframe, captured_ns=frame.captured_ns)
        )

    def close(self) -> None:
        self._server.close()

    def discard(self) -> None:
        self.close()


def open_rtsp(target: str, info: StreamInfo, force: bool) -> Sink:
    """target: what follows `rtsp:`."""
    return RTSPSink(Address.parse(f"rtsp:{target}"), info)
