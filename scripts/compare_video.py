"""Models beside each other on a frame of a real video, for which there is no truth: a labelled picture of a crop."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pictures import open_upscalers, sheet

from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import write_image
from edgesr.runtime.sources import open_source

EXAMPLES = """examples:
  python scripts/compare_video.py clip.mp4 bicubic:4 plain=ecbsr_small_x4.safetensors camera=camera_x4.safetensors \\
      --frame 40 --crop 260,90 --crop 20,150 -o clip.png
"""


def parser() -> Parser:
    make = Parser("compare_video.py", "Show models side by side on a frame of a video.", EXAMPLES)
    make.add_argument("video", help="what edgesr-run reads: a video, an image, pattern:")
    make.add_argument("models", nargs="+", metavar="[LABEL=]FILE", help=".safetensors, .onnx, .engine, or bicubic:4")
    make.add_argument("--frame", type=int, default=0, metavar="N", help="which frame, from 0 (default: 0)")
    make.add_argument(
        "--crop", action="append", default=[], metavar="X,Y", help="a crop's top left corner (default: the middle)"
    )
    make.add_argument("--side", type=int, default=48, help="of a crop in pixels of the video (default: 48)")
    make.add_argument("--zoom", type=int, default=2, help="magnification of the picture (default: 2)")
    make.add_argument("-o", "--output", type=Path, required=True, metavar="PNG", help="the picture to write")
    make.add_argument("--force", action="store_true", help="overwrite PNG")
    return make


def frame_of(video: str, wanted: int) -> Pixels:
    if wanted < 0:
        raise InputError(f"--frame {wanted}; frames count from 0")
    with open_source(video) as source:
        count = 0
        while frame := source.read():
            if count == wanted:
                return frame.pixels.copy()
            count += 1
    raise InputError(f"{video} has {count} frames, counted from 0; there is no --frame {wanted}")


def run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    check_output(options.output, force=options.force)
    models, low = open_upscalers(options.models), frame_of(options.video, options.frame)
    height, width = low.shape[:2]
    side, scale = options.side, models[0].scale
    corners = [_corner(text) for text in options.crop] or [((width - side) // 2, (height - side) // 2)]
    for left, top in corners:
        if not (0 <= left <= width - side and 0 <= top <= height - side):
            raise InputError(f"--crop {left},{top} with a side of {side} leaves the frame of {width}x{height}")

    def crop(pixels: Pixels, left: int, top: int, pitch: int) -> Pixels:
        return pixels[top * pitch : (top + side) * pitch, left * pitch : (left + side) * pitch]

    outputs = {model.title: model.upscale(low) for model in models}
    rows = []
    for left, top in corners:
        nearest = crop(low, left, top, 1).repeat(scale, 0).repeat(scale, 1)
        made = {title: crop(out, left, top, scale) for title, out in outputs.items()}
        rows.append({f"frame {options.frame}": nearest, **made})
    write_image(options.output, sheet(rows, options.zoom))
    print(f"wrote {options.output}")


def _corner(text: str) -> tuple[int, int]:
    try:
        left, top = (int(value) for value in text.split(","))
    except ValueError as error:
        raise InputError(f"--crop {text}; expected X,Y such as 260,90") from error
    return left, top


if __name__ == "__main__":
    sys.exit(command(run))
