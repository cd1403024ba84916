"""The options of edgesr-run."""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from edgesr.runtime.backends import DEFAULT_MODEL
from edgesr.runtime.command import Parser, size
from edgesr.runtime.errors import InputError
from edgesr.runtime.region import Region
from edgesr.runtime.sources.uri import redacted
from edgesr.runtime.streaming.slot import Policy

__all__ = ["Way", "parse", "parser", "seconds"]

EXAMPLES = """sources: an image, a folder of images, a video file, camera:0, /dev/video0, csi://0, rtsp://…, http://…, udp://:port, gst:…, pattern:
sinks:   an image (.png .jpg …), a folder, a video (.mp4 .mkv .mov), window:, http://:8080, rtsp://:8554/sr, udp://host:port, gst:…, null:

examples:
  edgesr-run photo.jpg photo_x4.png
  edgesr-run clip.mp4 clip_x4.mp4 --model rdsrn_x4.onnx --start 0:10 --end 0:20
  edgesr-run clip.mp4 window: --compare
  edgesr-run camera:0?width=640&height=360 http://:8080 recording.mp4
  edgesr-run rtsp://camera/stream rtsp://:8554/sr --model rdsrn_x4.engine --model ecbsr_x4.engine --deadline-ms 33
  edgesr-run camera:0 http://:8080 --also camera:1 http://:8081
  edgesr-run pattern: null: --frames 100 --report latency.json
  edgesr-run csi://0 http://:8080 --log run.jsonl --machine

docs/running.md tells about files, docs/streaming.md about live streams."""

T = TypeVar("T")


@dataclass(frozen=True)
class Way:
    """From a source to its sinks."""

    source: str
    sinks: Sequence[str]


def parser() -> Parser:
    make = Parser("edgesr-run", "Super-resolve a stream of frames and tell the latency of every step.", EXAMPLES)
    make.add_argument("source", nargs="?")
    make.add_argument("sink", nargs="*")
    make.add_argument(
        "--also",
        nargs="+",
        action="append",
        default=[],
        metavar="SOURCE SINK",
        help="one more stream through the same model",
    )
    make.add_argument(
        "--list-cameras", action="store_true", help="show the cameras of this machine, and what they grant"
    )
    _add_model(make)
    _add_part(make)
    _add_live(make)
    _add_output(make)
    return make


def _add_model(make: Parser) -> None:
    group = make.add_argument_group("model")
    group.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="an .onnx file or an .engine of edgesr-export, default:2, default:3, or bicubic (default: the shipped ECBSR x4); "
        "several, best first, with --deadline-ms",
    )
    group.add_argument(
        "--trust", type=Path, metavar="PUBLIC_KEY", help="run an engine only if this key signed its card"
    )
    group.add_argument("--threads", type=int, help="of the network on the CPU (default: all cores)")
    group.add_argument(
        "--tile",
        type=_tile,
        metavar="WxH|auto",
        help="cut frames into overlapping tiles of one size; the result is the same",
    )


def _add_part(make: Parser) -> None:
    group = make.add_argument_group("which part")
    group.add_argument("--frames", type=int, metavar="N", help="stop after N frames")
    group.add_argument(
        "--start", type=seconds, default=0.0, metavar="TIME", help="where in the video to begin: 12.5 or 1:02:03"
    )
    group.add_argument("--end", type=seconds, metavar="TIME", help="where to stop")
    group.add_argument("--every", type=int, default=1, metavar="N", help="take each N-th frame only")
    group.add_argument(
        "--roi",
        type=_region,
        metavar="X,Y,W,H",
        help="super-resolve this part only, in pixels of the input: a digital zoom",
    )
    group.add_argument("--compare", action="store_true", help="left half bicubic, right half super-resolved")
    group.add_argument("--fit", type=size, metavar="WxH", help="scale the result into a box, keeping its shape")


def _add_live(make: Parser) -> None:
    group = make.add_argument_group("live streams")
    group.add_argument(
        "--policy",
        choices=get_args(Policy),
        help="newest: old frames give way; all: every frame (default: newest where live)",
    )
    group.add_argument(
        "--max-age-ms", type=float, metavar="MS", help="drop frames that are older when their turn comes"
    )
    group.add_argument(
        "--deadline-ms",
        type=float,
        metavar="MS",
        help="an older frame is late; with several models, choose one that is in time",
    )
    group.add_argument(
        "--frozen-s", type=float, default=5.0, metavar="S", help="without a frame for so long a source is opened again"
    )
    group.add_argument(
        "--on-resize", choices=("refuse", "rescale"), default="refuse", help="when a camera changes its frame size"
    )
    group.add_argument(
        "--attempts", type=int, metavar="N", help="in a row, to open a lost source again (default: no limit)"
    )
    group.add_argument("--time-code", action="store_true", help="read back the time that pattern:…?timecode=1 draws")


def _add_output(make: Parser) -> None:
    group = make.add_argument_group("what is told")
    group.add_argument("--report", type=Path, metavar="FILE", help="write the latency of every frame as JSON")
    group.add_argument(
        "--log", type=Path, metavar="FILE", help="write frames, drops and events as they happen, as JSON lines"
    )
    group.add_argument(
        "--machine",
        action="store_true",
        help="record loads, clocks, temperature and power: beside each frame in the log, and what came of it at the end",
    )
    group.add_argument("--force", action="store_true", help="overwrite outputs")
    group.add_argument("--quiet", action="store_true", help="no progress, no table")
    group.add_argument("--json", action="store_true", help="print the report as JSON instead of the table")


def parse(arguments: Sequence[str]) -> tuple[Namespace, list[Way]]:
    """The options, and the ways that frames take. Raises InputError."""
    options = parser().parse_args(arguments)
    options.model = options.model or [str(DEFAULT_MODEL)]
    if options.list_cameras:
        return options, []
    ways = [[*([options.source] if options.source else []), *options.sink], *options.also]
    for way in ways:
        if len(way) < 2:
            raise InputError(
                f"{redacted(way[0])} has no sink; expected SOURCE SINK, such as {redacted(way[0])} null:"
                if way
                else "no source and no sink were given; expected SOURCE SINK, such as camera:0 window: (see edgesr-run --help)"
            )
    if len(options.model) > 1 and options.deadline_ms is None:
        raise InputError("several models were given, and nothing to choose by; add --deadline-ms, or give one model")
    for name in ("deadline_ms", "frozen_s"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise InputError(f"--{name.replace('_', '-')} is {value:g}; expected more than 0")
    return options, [Way(way[0], way[1:]) for way in ways]


def seconds(text: str) -> float:
    """`12.5`, `1:02` or `1:02:03.5` -> seconds."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < float("inf") for part in parts):
        raise ArgumentTypeError(f"{text!r} is no time; expected seconds or H:MM:SS, such as 12.5 or 1:02:03")
    return float(sum(part * 60.0**power for power, part in enumerate(reversed(parts))))


def _for_argparse(convert: Callable[[str], T], text: str) -> T:
    try:
        return convert(text)
    except InputError as error:
        raise ArgumentTypeError(str(error)) from error


def _region(text: str) -> Region:
    return _for_argparse(Region.parse, text)


def _tile(text: str) -> tuple[int, int] | str | None:
    return text if text == "auto" else size(text)
