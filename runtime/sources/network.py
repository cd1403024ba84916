"""Streams from the network, read by PyAV: rtsp://, rtsps://, http://, https:// (MJPEG and what else FFmpeg reads) and
udp:// (MPEG-TS)."""

from collections import Counter, deque
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic, perf_counter_ns

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from edgesr.runtime.errors import InputError, SourceFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.gstreamer import rtsp_pipeline
from edgesr.runtime.memory import check_fits
from edgesr.runtime.sources.address import Address
from edgesr.runtime.sources.base import ColourTags, Source, StreamInfo
from edgesr.runtime.sources.gstreamer import GStreamerSource
from edgesr.runtime.sources.packets import Arrival, Packets
from edgesr.runtime.sources.part import Part
from edgesr.runtime.sources.uri import redacted
from edgesr.runtime.sources.video import HDR_TRANSFERS
from edgesr.runtime.sources.yuv import BGRFromYUV, settled_tags

__all__ = ["NetworkSource", "open_network"]

TLS = ("rtsps", "https")
KEYFRAME_S = 20.0
"""How long to wait for the first picture: a stream shows nothing before a keyframe, and some send one in 10 s."""
HURRY_NS = 100_000_000
"""A picture is not converted where the packet after it has waited for longer already."""
JPEG_TAIL = 1024  # cameras may append a little of their own
BYTES_PER_PIXEL = 9  # BGR twice, in FFmpeg's memory and in ours, and what it was decoded from
PLAYLISTS = ("hls", "dash")
RATES = (Fraction(1), Fraction(240))  # what is outside is no frame rate but a clock's


@dataclass(frozen=True, eq=False)
class Picture:
    """As decoded, and when its first bytes came."""

    picture: av.VideoFrame
    arrived_ns: int


class NetworkSource(Source):
    """The first video stream of a server, picture by picture, with the least delay that FFmpeg gives.

    The first picture is decoded when the source is made: what cannot be used raises InputError there. A connection that
    breaks, or is silent for the stream's timeout, is SourceFailed. Pictures may change their size underway.
    Skipped and counted in `drops`: what cannot be decoded ("corrupt"), pictures that others are close behind ("newer
    came"), and what a slow decoder left waiting ("decoder too slow").
    `interrupt` takes effect at once; `close` waits for the next packet, or for the timeout where the server is silent.
    """

    def __init__(self, address: Address) -> None:
        self._at = address
        self._interrupted = False
        self._index = 0
        self._pictures: deque[Picture] = deque()
        self._counts = Counter[str]()
        self.drops = self._counts
        container = address.open()
        try:
            _refuse_files(container, address)
            self._stream = _video_stream(container, address.title)
        except BaseException:
            container.close()
            raise
        self._codec = self._stream.codec_context
        self._codec.thread_type = ThreadType.SLICE  # threads by frames would hold frames back
        self._codec.copy_opaque = True
        self._packets = Packets(container, self._stream, held=0 if self._codec.name == "mjpeg" else 1)
        try:
            self._first: Picture | None = self._first_picture()
            self.info = self._describe(self._first.picture)
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        arrived, self._first = self._first or self._next(), None
        if arrived is None or self._interrupted:
            return None
        if _layout(arrived.picture) != self._layout:
            self._prepare(arrived.picture)
        pixels = self._convert(arrived.picture)
        frame = Frame(pixels, self._index, arrived.arrived_ns, decoded_ns=perf_counter_ns())
        self._index += 1
        return frame

    def interrupt(self) -> None:
        self._interrupted = True
        self._packets.interrupt()

    def close(self) -> None:
        self._packets.close()

    def _first_picture(self) -> Picture:
        picture = self._next(until_s=monotonic() + KEYFRAME_S)
        if picture is None:
            raise InputError(
                f"{self._at.title} sent no whole picture in {KEYFRAME_S:g} s; is it video, and not encrypted?"
            )
        self._counts.clear()  # a stream is joined in its middle: what came before a keyframe is no loss
        self._index = 0
        return picture

    def _next(self, until_s: float = float("inf")) -> Picture | None:
        """The next picture worth converting; None once interrupted, or past `until_s`."""
        while not self._interrupted and monotonic() < until_s:
            if self._pictures:
                picture = self._pictures.popleft()
                if picture.picture.is_corrupt:
                    self._drop("corrupt")
                elif self._packets.lag_ns > HURRY_NS:
                    self._drop("newer came")
                else:
                    return picture
                continue
            try:
                arrival = self._packets.get()
            except (av.FFmpegError, EOFError) as error:
                raise SourceFailed(self._at.reason(error)) from None
            if arrival is not None:
                self._decode(arrival)
        return None

    def _decode(self, arrival: Arrival) -> None:
        if arrival.given_up:
            self._codec.flush_buffers()  # it goes on with the next keyframe
            self._drop("decoder too slow", arrival.given_up)
        packet = arrival.packet
        packet.opaque = arrival.arrived_ns  # the decoder hands it on to the packet's picture
        if packet.is_corrupt or (self._codec.name == "mjpeg" and not _is_whole_jpeg(packet)):
            self._drop("corrupt")
            return
        try:
            pictures = self._codec.decode(packet)
        except av.FFmpegError:
            self._drop("corrupt")
            return
        for picture in pictures:
            assert isinstance(picture.opaque, int)
            self._pictures.append(Picture(picture, picture.opaque))

    def _drop(self, reason: str, count: int = 1) -> None:
        self._counts[reason] += count
        self._index += count

    def _describe(self, picture: av.VideoFrame) -> StreamInfo:
        """Refuse what cannot be used, prepare the conversion, and tell."""
        title = self._at.title
        if transfer := HDR_TRANSFERS.get(int(picture.color_trc)):
            raise InputError(f"{title} is HDR ({transfer}); expected SDR: set the camera or the sender to it")
        if picture.interlaced_frame:
            raise InputError(f"{title} is interlaced; expected progressive video: set the camera or the sender to it")
        tags, notes = self._prepare(picture)
        if self._at.parts.scheme in TLS:
            notes.append("the server's certificate is not checked")
        return StreamInfo(
            title=title,
            width=picture.width,
            height=picture.height,
            frame_rate=_rate(self._stream),
            pixel_aspect=self._codec.sample_aspect_ratio or Fraction(1),
            colour=tags,
            live=True,
            notes=notes,
        )

    def _prepare(self, picture: av.VideoFrame) -> tuple[ColourTags, list[str]]:
        """The conversion of pictures like this one."""
        width, height = picture.width, picture.height
        check_fits(width * height * BYTES_PER_PIXEL, f"a frame of {self._at.title} ({width}x{height})")
        tags, notes = settled_tags(picture, self._at.title)
        self._convert = BGRFromYUV(picture, tags, self._codec.name)
        self._layout = _layout(picture)
        return tags, notes


def _refuse_files(container: InputContainer, address: Address) -> None:
    """Raise InputError for what a web server has that does not come by the clock."""
    if not address.parts.scheme.startswith("http"):
        return
    name = container.format.name
    if name in PLAYLISTS:
        raise InputError(
            f"{address.title} is a playlist ({name}), seconds behind by its nature; expected RTSP or MJPEG"
        )
    if name.endswith("_pipe") or name == "image2":
        raise InputError(f"{address.title} is a single picture; expected a stream, such as MJPEG")
    if container.size > 0:
        raise InputError(
            f"{address.title} is a file of {container.size} bytes, not a live stream; download it, and give the file"
        )


def _video_stream(container: InputContainer, title: str) -> VideoStream:
    """The first one; raises InputError where there is none, or none that this FFmpeg decodes."""
    if not container.streams.video:
        raise InputError(
            f"{title} holds {'sound only' if container.streams.audio else 'no pictures'}; expected a video"
        )
    stream = container.streams.video[0]
    if not stream.codec_context:  # not None in PyAV's stubs
        raise InputError(f"{title} is coded in a way that this FFmpeg does not decode; expected H.264, H.265 or MJPEG")
    return stream


def _rate(stream: VideoStream) -> Fraction | None:
    """Frames a second, where the stream tells; FFmpeg supposes 25 of MJPEG, which is no knowledge."""
    rate = stream.average_rate or stream.codec_context.framerate or stream.guessed_rate
    known = rate is not None and stream.codec_context.name != "mjpeg" and RATES[0] <= rate <= RATES[1]
    return rate if known else None


def _is_whole_jpeg(packet: "Packet[VideoStream]") -> bool:
    """Does it end as a JPEG does? FFmpeg fills what is missing with grey."""
    return b"\xff\xd9" in bytes(memoryview(packet)[-JPEG_TAIL:])


def _layout(picture: av.VideoFrame) -> tuple[object, ...]:
    """What a conversion is made for."""
    return picture.width, picture.height, picture.format.name, picture.color_range, picture.colorspace


def open_network(target: str, part: Part) -> Source:
    """`rtsp://…`, `http://…`, `udp://:5000`, whole; the number of frames is not limited here."""
    part.refuse_times(redacted(target))
    address = Address.parse(target)
    if address.gstreamer:
        waits_ms = round(address.reorder_ms) if address.transport == "udp" else 0
        pipeline = rtsp_pipeline(address.url, address.gstreamer, address.transport, waits_ms)
        return GStreamerSource(pipeline, address.title, live=True)
    return NetworkSource(address)
