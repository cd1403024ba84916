"""Servers on loopback that live sources are tested with: RTSP by GStreamer, MJPEG by HTTP, MPEG-TS by UDP.

All are context managers; ports are the system's choice, unless a server is to come back at the same one.
"""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.sources.address import Address
from edgesr.runtime.sources.base import ColourTags, Source
from edgesr.runtime.sources.network import NetworkSource
from edgesr.runtime.sources.yuv import BT709, YUVFromBGR

SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
RTSP_PACKAGES = "gir1.2-gst-rtsp-server-1.0 python3-gst-1.0 gstreamer1.0-plugins-ugly"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Fail where it does not become true."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {limit_s} s in vain"
        time.sleep(0.01)


def ball_launch(width: int = 320, height: int = 180, fps: int = 30, *, keyframes: int = 15) -> str:
    """GStreamer's moving ball as H.264 by the clock, for RTSPServer."""
    return (
        f"videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate={fps}/1 ! "
        f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={keyframes} ! "
        "rtph264pay name=pay0 pt=96 config-interval=-1"
    )


def mjpeg_launch(width: int = 320, height: int = 184, fps: int = 30) -> str:
    return (
        f"videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 ! "
        "jpegenc ! rtpjpegpay name=pay0 pt=26"
    )


def file_launch(path: Path) -> str:
    """An MP4 with H.264, once."""
    return f"filesrc location={path} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"


class RTSPServer:
    """gst-rtsp-server in a process of its own, run by the system's Python; skips the test where that has none.

    login: ("basic" or "digest", name, password). A killed one may be started again, at the same port.
    """

    def __init__(self, launch: str | None = None, *, login: tuple[str, str, str] | None = None) -> None:
        self._launch, self._login = launch or ball_launch(), login or ()
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.start()

    @property
    def uri(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/sr"

    def uri_of(self, name: str, password: str) -> str:
        return f"rtsp://{name}:{password}@127.0.0.1:{self.port}/sr"

    def start(self, launch: str | None = None) -> None:
        self._launch = launch or self._launch
        command = [SYSTEM_PYTHON, str(RTSP_SERVER), self._launch, str(self.port), *self._login]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self._process.stdout is not None and self._process.stderr is not None
        if not (port := self._process.stdout.readline()):
            said = self._process.stderr.read()
            self._end()
            if "No module" in said or "not available" in said:
                pytest.skip(f"no RTSP server here: apt install {RTSP_PACKAGES}")
            pytest.fail(f"the RTSP server does not start: {said}")
        self.port = int(port)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        self._process.communicate(timeout=20)

    def __enter__(self) -> "RTSPServer":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


def grey(level: int, width: int = 320, height: int = 180) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


def jpeg(pixels: Pixels) -> bytes:
    """A JPEG as FFmpeg makes it, so that no OpenCV is needed."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = pixels.shape[:2]
    codec.pix_fmt, codec.time_base = "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(pixels, format="bgr24").reformat(
        format="yuvj420p", dst_colorspace=5, dst_color_range=2
    )
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


class MJPEGServer:
    """`pictures` as a camera's page serves them at /stream, again and again, by the clock; a thread of this process.

    files: what else it has, by path.
    """

    def __init__(
        self,
        pictures: list[bytes],
        *,
        fps: float = 30.0,
        port: int = 0,
        login: str = "",
        files: dict[str, bytes] | None = None,
    ) -> None:
        ended = self._ended = threading.Event()
        self.stalled = stalled = threading.Event()

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if login and self.headers.get("Authorization") != f"Basic {login}":
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                if files and self.path in files:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(files[self.path])))
                    self.end_headers()
                    self.wfile.write(files[self.path])
                    return
                if self.path != "/stream":
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with suppress(OSError):
                    self._send_all()

            def _send_all(self) -> None:
                count = 0
                while not ended.wait(1 / fps):
                    if stalled.is_set():
                        continue
                    data = pictures[count % len(pictures)]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    count += 1

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Page)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/stream"

    def __enter__(self) -> "MJPEGServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()  # waits for the threads of its viewers
        self._thread.join()


class UDPSender:
    """Pictures as MPEG-TS to a port, by the clock, from a thread of this process; `sent_ns` tells when each went out."""

    def __init__(
        self,
        picture: Callable[[int], Pixels],
        *,
        port: int | None = None,
        fps: int = 30,
        tags: ColourTags = BT709,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
    ) -> None:
        self.port = port or free_port(socket.SOCK_DGRAM)
        self.sent_ns: list[int] = []
        self._picture, self._fps, self._tags, self._codec = picture, fps, tags, codec
        self._options = options or {"preset": "ultrafast", "tune": "zerolatency", "g": str(fps // 2)}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"udp://127.0.0.1:{self.port}"

    def _send(self) -> None:
        first = self._picture(0)
        height, width = first.shape[:2]
        convert = YUVFromBGR(width, height, self._tags)
        to = f"udp://127.0.0.1:{self.port}?pkt_size=1316"
        with av.open(to, "w", format="mpegts", options={"flush_packets": "1"}) as container:
            stream = container.add_stream(self._codec, rate=self._fps, options=dict(self._options))
            tag_stream(stream, width, height, self._tags)
            for index in endless():
                frame = convert(self._picture(index))
                frame.pts, frame.time_base = index, Fraction(1, self._fps)
                packets = stream.encode(frame)
                self.sent_ns.append(time.perf_counter_ns())
                container.mux(packets)
                if self._ended.wait(1 / self._fps):
                    break

    def __enter__(self) -> "UDPSender":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def endless() -> Iterator[int]:
    index = 0
    while True:
        yield index
        index += 1


def tag_stream(stream: av.VideoStream, width: int, height: int, tags: ColourTags) -> None:
    codec = stream.codec_context
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.colorspace, codec.color_range = tags.matrix, 2 if tags.full_range else 1
    codec.color_primaries, codec.color_trc = tags.primaries, tags.transfer


def write_mp4(path: Path, pixels: Pixels, tags: ColourTags, *, frames: int = 40, fps: int = 20) -> None:
    """One picture over and over, lossless but for 4:2:0."""
    height, width = pixels.shape[:2]
    convert = YUVFromBGR(width, height, tags)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"qp": "0", "preset": "ultrafast", "g": "5"})
        tag_stream(stream, width, height, tags)
        for index in range(frames):
            frame = convert(pixels)
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def opened(uri: str) -> NetworkSource:
    """Without what reconnects."""
    return NetworkSource(Address.parse(uri))


def some(source: Source, count: int) -> Iterator[Frame]:
    for _ in range(count):
        frame = source.read()
        assert frame is not None
        yield frame


def last_of(source: Source, count: int) -> Frame:
    """The last of so many."""
    *_, last = some(source, count)
    return last
