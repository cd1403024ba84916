"""The sink behind the page."""

import time

from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.web.address import Address
from edgesr.runtime.sinks.web.server import Server, Stream
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import Figures

__all__ = ["WebSink"]


class WebSink(Sink):
    """Serves from the moment it is made; `write` copies the frame and tells the server, whoever watches.

    address: where it really listens, its port never 0.
    Raises InputError where the address cannot be had, MissingDependency without OpenCV.
    """

    def __init__(self, address: Address, *, title: str = "") -> None:
        listening = address.bind()
        try:
            self.address = address.on_port(listening.getsockname()[1])
            self._stream = Stream()
            self._server = Server(self.address, listening, self._stream, title)
            self._server.start()
        except BaseException:
            listening.close()
            raise
        self.title = str(self.address)
        self.notes = [f"open {self.title}" + ("/?token=..., with the token that you gave" if address.token else "")]

    def attach(self, figures: Figures, controls: Controls) -> None:
        self._stream.figures, self._stream.controls = figures, controls

    def write(self, frame: Frame) -> None:
        stream = self._stream
        region = stream.controls.region
        if region is None and frame.low is not None:
            stream.size = frame.low.shape[1], frame.low.shape[0]
        stream.newest.put(frame, region)
        stream.last_frame_s = time.monotonic()
        self._server.frame_came()

    def close(self) -> None:
        self._server.stop()

    def discard(self) -> None:
        self.close()
