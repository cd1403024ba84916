"""Descriptions of GStreamer pipelines, for sources and sinks: hardware where its elements exist, software where not.

    csi_pipeline(sensor, width, height, frame_rate, flip)   -> Description     ends in an appsink called "out"
    rtsp_pipeline(uri, codec, transport, latency_ms)        -> Description     ends in an appsink called "out"
    source_pipeline(text)                                   -> Description     a user's own, its appsink completed
    encoder(codec, bitrate_kbps, frame_rate)                -> Description     raw I420 in, parsed H.264 or H.265 out
    sink_pipeline(width, height, frame_rate, tail)          -> Description     begins with an appsrc called "in"

`edgesr.runtime.gst_pipeline.Pipeline` runs what they describe. A description's notes tell what was chosen.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from edgesr.runtime.errors import InputError
from edgesr.runtime.libgstreamer import has_element
from edgesr.runtime.raw_video import FORMATS

__all__ = [
    "Description",
    "csi_pipeline",
    "decoder",
    "encoder",
    "has_hardware_encoder",
    "quoted",
    "rtsp_pipeline",
    "sink_pipeline",
    "source_pipeline",
]

Has: TypeAlias = Callable[[str], bool]

APPSINK = "appsink name=out drop=true max-buffers=1 sync=false"
"""Only the newest frame waits, and no clock holds it back."""

TO_RAW = f"videoconvert n-threads=4 ! video/x-raw,format={{{','.join(FORMATS)}}}"
"""YUV stays as it is, with the matrix and range that it is tagged with; RawVideo makes BGR of it."""

TO_MEMORY = "nvvidconv ! video/x-raw,format=NV12"
"""Out of the GPU's memory, still YUV: the colours are made by RawVideo, for hardware and software decoders alike."""

MODEL = Path("/proc/device-tree/model")
NO_ENCODER = "Orin Nano"  # NVIDIA, Jetson Linux Developer Guide: software encoding on Orin Nano; the plugin is there all the same
YUV = "video/x-raw,format=I420,colorimetry=bt709"
"""What an encoder is given. `Pipeline.push` makes it of BGR: videoconvert would cut off where it should round, which takes
3 code values from a dark grey's blue (GStreamer 1.22)."""

FLIPS = range(8)  # nvvidconv's flip-method
CODECS = ("h264", "h265")


@dataclass(frozen=True)
class Description:
    """text: as gst-launch-1.0 takes it. notes: what was chosen or added, in words for the user."""

    text: str
    notes: list[str] = field(default_factory=list)


def csi_pipeline(
    sensor: int = 0, width: int = 1280, height: int = 720, frame_rate: Fraction = Fraction(30), flip: int = 0
) -> Description:
    """A camera at the board's CSI connector. flip: nvvidconv's flip-method, 0 to 7; 2 turns by 180 degrees."""
    if flip not in FLIPS:
        raise InputError(f"flip is {flip}; expected 0 to 7 (0: as it is, 2: turned by 180 degrees, 4: mirrored)")
    rate = f"{frame_rate.numerator}/{frame_rate.denominator}"
    size = f"width={width},height={height},framerate={rate}"
    return Description(
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),{size},format=NV12 ! "
        f"nvvidconv flip-method={flip} ! video/x-raw,format=NV12 ! {TO_RAW} ! {APPSINK}"
    )


def rtsp_pipeline(uri: str, codec: str = "h264", transport: str = "tcp", latency_ms: int = 0) -> Description:
    """A network stream of that codec. transport: "tcp" or "udp". latency_ms: how long packets may wait for late ones."""
    decode = decoder(codec)
    return Description(
        f"rtspsrc location={quoted(uri)} protocols={transport} latency={latency_ms} drop-on-latency=true ! "
        f"rtp{codec}depay ! {decode.text} ! {TO_RAW} ! {APPSINK}",
        decode.notes,
    )


def source_pipeline(text: str, has: Has = has_element) -> Description:
    """A user's own pipeline, so that it ends in raw video and in an appsink that keeps the newest frame only.

    `! h264`, `! h265` or `! mjpeg` in it is the decoder that there is: `rtspsrc location=... ! rtph264depay ! h264`.
    What the user set of drop, max-buffers and sync stays. Raises InputError for two appsinks, and for one with a name
    other than "out".
    """
    notes: list[str] = []

    def decode(found: re.Match[str]) -> str:
        chosen = decoder(found[1], has)
        notes.extend(chosen.notes)
        return f"! {chosen.text}"

    text = re.sub(r"!\s*(h264|h265|mjpeg)(?=\s*(?:!|$))", decode, text)
    found = list(re.finditer(r"(?:^|(?<=!))\s*appsink(?=\s|$)", text))
    if len(found) > 1:
        raise InputError("the pipeline has two appsinks; expected one, from which the frames are taken")
    if not text.strip():
        raise InputError("gst: is empty; expected a pipeline, such as 'gst:v4l2src device=/dev/video0'")
    if not found:
        added = f"{TO_RAW} ! {APPSINK}"
        return Description(f"{text.strip().rstrip('!').rstrip()} ! {added}", [*notes, f"added: {added}"])
    before, after = text[: found[0].start()], text[found[0].end() :]
    own = after.partition("!")[0]
    missing = [setting for setting in APPSINK.split()[1:] if not re.search(rf"\b{setting.partition('=')[0]}\s*=", own)]
    if "name=out" not in missing and not re.search(r"\bname\s*=\s*\"?out\b", own):
        raise InputError("the pipeline's appsink has a name of its own; leave the name out, or call it out")
    completed = [TO_RAW, *(setting for setting in missing if setting != "name=out")]
    settings = " ".join(["appsink", *missing])
    return Description(f"{before} {TO_RAW} ! {settings}{after}".strip(), [*notes, f"added: {', '.join(completed)}"])


def sink_pipeline(width: int, height: int, frame_rate: Fraction | None, tail: str) -> Description:
    """Frames of one size into `tail`, stamped as they come: as I420 of even size into an encoder, else as BGR.

    frame_rate None: none is told.
    """
    rate = Fraction(0) if frame_rate is None else frame_rate
    pixels = "video/x-raw,format=BGR"
    if tail.startswith(YUV):
        pixels, width, height = YUV, width + width % 2, height + height % 2
    caps = (
        f"{pixels},width={width},height={height},framerate={rate.numerator}/{rate.denominator},pixel-aspect-ratio=1/1"
    )
    return Description(f'appsrc name=in is-live=true do-timestamp=true format=time caps="{caps}" ! {tail}')


def decoder(codec: str, has: Has = has_element) -> Description:
    """Encoded video of that codec ("h264", "h265", "mjpeg") in, raw video in plain memory out. has: which elements exist."""
    parse = "jpegparse" if codec == "mjpeg" else f"{codec}parse"
    if codec not in (*CODECS, "mjpeg"):
        raise InputError(f"{codec} cannot be decoded here; expected {', '.join(CODECS)} or mjpeg")
    if has("nvv4l2decoder") and has("nvvidconv"):
        settings = "mjpeg=1" if codec == "mjpeg" else "enable-max-performance=1"
        return Description(f"{parse} ! nvv4l2decoder {settings} ! {TO_MEMORY}", [f"{codec} is decoded in hardware"])
    software = {"h264": "avdec_h264", "h265": "avdec_h265", "mjpeg": "jpegdec"}[codec]
    return Description(f"{parse} ! {software}", [f"{codec} is decoded in software ({software})"])


def encoder(
    codec: str = "h264",
    bitrate_kbps: int = 8000,
    frame_rate: Fraction | None = None,
    *,
    has: Has = has_element,
    model: Path = MODEL,
) -> Description:
    """I420 in; parsed H.264 or H.265 with its headers in every keyframe out, BT.709 in limited range, without delay.

    A keyframe comes every two seconds, so that a viewer who joins soon sees something. has: which elements exist.
    """
    if codec not in CODECS:
        raise InputError(f"{codec} cannot be encoded here; expected {' or '.join(CODECS)}")
    every = round(2 * (frame_rate or 30))
    if has_hardware_encoder(codec, has, model):
        chosen = (
            f"nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2{codec}enc bitrate={bitrate_kbps * 1000} "
            f"maxperf-enable=1 insert-sps-pps=1 idrinterval={every} iframeinterval={every}"
        )
        note = f"{codec} is encoded in hardware"
    else:
        name = "x264enc" if codec == "h264" else "x265enc"
        chosen = f"{name} bitrate={bitrate_kbps} tune=zerolatency speed-preset=ultrafast key-int-max={every}"
        note = f"{codec} is encoded in software ({name}): this machine has no encoder"
    return Description(f"{YUV} ! {chosen} ! {codec}parse config-interval=-1", [note])


def has_hardware_encoder(codec: str = "h264", has: Has = has_element, model: Path = MODEL) -> bool:
    """Orin Nano has the element and no encoder behind it, so the board's name is asked as well."""
    if not (has(f"nvv4l2{codec}enc") and has("nvvidconv")):
        return False
    try:
        return NO_ENCODER not in model.read_text()
    except OSError:  # no device tree: a PC
        return True


def quoted(value: str) -> str:
    """A property's value as a pipeline takes it, whatever it holds."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
