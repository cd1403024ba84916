"""Small videos, made to be read again: what the tests of video files share."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo, open_source

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
LOSSLESS = {"qp": "0", "preset": "ultrafast"}
TAGS = {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1}

BARS = np.array(
    [
        *([255, 255, 255], [0, 255, 255], [255, 255, 0], [0, 255, 0], [255, 0, 255], [0, 0, 255], [255, 0, 0]),
        *([0, 0, 0], [128, 128, 128], [30, 200, 90], [200, 40, 130], [17, 60, 240]),
    ],
    np.uint8,
)
BAR_WIDTH, BARS_HEIGHT = 16, 32
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Red's and blue's share of luma: BT.709, BT.601, BT.2020."""


def colour_bars() -> np.ndarray:
    return np.repeat(np.repeat(BARS[None], BARS_HEIGHT, 0), BAR_WIDTH, 1)


def inside_bars(pixels: np.ndarray) -> np.ndarray:
    """(H, W, ...) without the quarters next to another bar, where chroma is interpolated."""
    bars = pixels.reshape(pixels.shape[0], len(BARS), -1, *pixels.shape[2:])
    quarter = bars.shape[2] // 4
    return bars[:, :, quarter:-quarter]


def planes_by_formula(bgr: np.ndarray, matrix: int, full: bool, bits: int = 8) -> list[np.ndarray]:
    """Y, Cb, Cr of ITU-T H.273, 8.3, not rounded."""
    red, blue = WEIGHTS[matrix]
    b, g, r = (bgr[..., channel] / 255 for channel in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    chroma = [(b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))]
    if full:
        return [y * (2**bits - 1), *(c * (2**bits - 1) + 2 ** (bits - 1) for c in chroma)]
    step = 2 ** (bits - 8)
    return [(219 * y + 16) * step, *((224 * c + 128) * step for c in chroma)]


def yuv_frame(planes: Iterable[np.ndarray], pixel_format: str) -> av.VideoFrame:
    """Rounded; chroma is taken from every second row and column for 4:2:0."""
    planes = list(planes)
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    kind = np.dtype(np.uint16 if "10" in pixel_format else np.uint8)
    for target, values in zip(frame.planes, planes, strict=True):
        step = 2 if (target.height, target.width) != (height, width) else 1
        rows = np.zeros((target.height, target.line_size // kind.itemsize), kind)
        rows[:, : target.width] = np.clip(np.round(values[::step, ::step]), 0, 1023 if kind.itemsize == 2 else 255)
        target.update(rows)
    return frame


def write_video(
    path: Path,
    frames: Sequence[av.VideoFrame],
    *,
    codec: str = "libx264",
    tags: dict[str, int] | None = None,
    rate: Fraction = Fraction(25),
    options: dict[str, str] | None = None,
    times: Sequence[Fraction] | None = None,
    sound: str = "",
    container_options: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w", options=container_options or {}) as output:
        stream: Any = output.add_stream(codec, rate=rate, options=LOSSLESS if options is None else options)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        stream.codec_context.time_base = Fraction(1, 1000) if times else 1 / rate
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        tones: Any = output.add_stream(sound, rate=16000) if sound else None
        for index, frame in enumerate(frames):
            frame.pts = round(times[index] * 1000) if times else index
            frame.time_base = stream.codec_context.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if tones is not None:
            write_tone(output, tones, seconds=len(frames) / rate)
    return path


def write_tone(output: Any, stream: Any, seconds: Fraction) -> None:
    size = 1024
    for start in range(0, int(seconds * 16000), size):
        wave = np.sin(np.arange(start, start + size) * 0.05)
        if stream.codec_context.format.name.startswith("s16"):
            samples = av.AudioFrame.from_ndarray((wave * 20000).astype(np.int16)[None], "s16", "mono")
        else:
            samples = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
        samples.sample_rate, samples.pts = 16000, start
        output.mux(stream.encode(samples))
    output.mux(stream.encode(None))


def grey_frames(count: int, width: int = 32, height: int = 16) -> list[av.VideoFrame]:
    """Frame i is grey of 20 + 3 i: its number can be read off it."""
    return [av.VideoFrame.from_ndarray(np.full((height, width), 20 + 3 * i, np.uint8), "gray") for i in range(count)]


def number_of(pixels: np.ndarray) -> int:
    """Which of `grey_frames` (encoded as limited range grey) this is."""
    return round((float(pixels.mean()) * 219 / 255 + 16 - 20) / 3)


def numbered_video(path: Path, count: int = 50, **settings: Any) -> Path:
    frames = [frame.reformat(format="yuv420p") for frame in grey_frames(count)]
    for i, frame in enumerate(frames):
        frame.planes[0].update(np.full((frame.planes[0].height, frame.planes[0].line_size), 20 + 3 * i, np.uint8))
    options = {"crf": "1", "preset": "medium", "g": "20", "bf": "3"}
    return write_video(path, frames, tags=TAGS, options=options, **settings)


def noisy_video(path: Path, count: int = 60, **settings: Any) -> Path:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    moved = [np.ascontiguousarray(base[i % 48 : i % 48 + 48, i % 64 : i % 64 + 64]) for i in range(count)]
    frames = [av.VideoFrame.from_ndarray(pixels, "bgr24").reformat(format="yuv420p") for pixels in moved]
    return write_video(path, frames, options={"preset": "ultrafast", "g": "12"}, **settings)


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in packets]


def copy(source_uri: Path | str, target: Path, **part: Any) -> tuple[StreamInfo, list[str]]:
    with open_source(str(source_uri), **part) as source, open_sink(str(target), source.info) as sink:
        for frame in source:
            sink.write(frame)
    return source.info, sink.notes
