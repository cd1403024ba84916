"""make demo: the shipped network sharpens a slow pan over photographs; what it gains and costs is told.

Writes demo/side_by_side.png (bicubic | super-resolved | truth) and demo/sharpened.mp4.
"""

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edgesr.runtime.backends import open_backend
from edgesr.runtime.command import command
from edgesr.runtime.frame import Frame, Pixels
from edgesr.runtime.images import opencv, write_image
from edgesr.runtime.pipeline import run
from edgesr.runtime.quality import RULER, psnr
from edgesr.runtime.report import latency_table
from edgesr.runtime.resize import downscale, upscale
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources.pattern import PatternSource
from edgesr.runtime.timing import StageTimings

OUTPUT = Path("demo")
SHOWN = 18  # the frame in the picture
CROP = 96  # side of the magnified part, in pixels of the truth
ZOOM = 4


def main(_arguments: object = ()) -> None:
    OUTPUT.mkdir(exist_ok=True)
    gains: list[tuple[float, float]] = []
    shown: dict[str, Pixels] = {}
    shown_low: list[Pixels] = []
    with open_backend() as backend, PatternSource("photo") as source:
        scale = backend.spec.scale

        def judge(frame: Frame, _timings: StageTimings) -> None:
            truth = source.truth(frame.index)
            low = downscale(truth, scale)
            bicubic = np.asarray(upscale(low, scale), np.uint8)
            gains.append((quality(bicubic, truth, scale), quality(frame.pixels, truth, scale)))
            if frame.index == SHOWN:
                shown.update({"bicubic": bicubic, "super-resolved": frame.pixels.copy(), "truth": truth})
                shown_low.append(low)

        with open_sink(str(OUTPUT / "sharpened.mp4"), source.info, force=True) as sink:
            timings = run(source, backend, [sink], on_frame=judge)
    write_image(OUTPUT / "side_by_side.png", side_by_side(shown, *busiest(shown_low[0], scale)))
    console = Console()
    console.print(quality_table(gains, backend.title))
    console.print(
        latency_table(timings.distributions(), f"{source.info.width}x{source.info.height} → x{scale}, {backend.title}")
    )
    console.print(
        f"Look at {OUTPUT}/side_by_side.png and {OUTPUT}/sharpened.mp4\n"
        "Next, with a video or picture of yours:      .venv/bin/edgesr-run YOUR.mp4 sharpened.mp4\n"
        "What it costs on this machine:               .venv/bin/edgesr-bench latency runtime/models/ecbsr_x4.cpu.onnx --size 320x180\n"
        "The same on a board (JetPack 6, Python 3.10): git clone, make demo, then with PyCUDA installed (docs/engines.md)\n"
        "  .venv/bin/edgesr-export runtime/models/ecbsr_x4.onnx -o ecbsr_x4.engine --size 320x180",
        highlight=False,
        soft_wrap=True,
    )


def quality(pixels: Pixels, truth: Pixels, border: int) -> float:
    return psnr(RULER.luma(pixels), RULER.luma(truth), border=border)


def quality_table(gains: list[tuple[float, float]], title: str) -> Table:
    bicubic, network = np.mean(gains, axis=0)
    table = Table("", "PSNR on Y", "frames", title="Against the truth")
    table.add_row("bicubic", f"{bicubic:.2f} dB", str(len(gains)))
    table.add_row(title, f"{network:.2f} dB", str(len(gains)))
    table.add_row("gain", f"{network - bicubic:+.2f} dB", f"better in {sum(n > b for b, n in gains)}")
    return table


def side_by_side(pictures: dict[str, Pixels], top: int, left: int) -> Pixels:
    """Above the whole frames, each labelled; below, magnified without smoothing, the part that begins at top, left."""
    cv2 = opencv()
    columns = []
    for label, picture in pictures.items():
        crop = picture[top : top + CROP, left : left + CROP].repeat(ZOOM, 0).repeat(ZOOM, 1)
        whole = picture.copy()
        cv2.rectangle(whole, (left, top), (left + CROP, top + CROP), (255, 255, 255), 1)
        width = max(whole.shape[1], crop.shape[1])
        caption = np.full((28, width, 3), 24, np.uint8)
        cv2.putText(caption, label, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
        columns.append(np.vstack([caption, *(padded(part, width) for part in (whole, crop))]))
    return np.hstack(columns)


def padded(picture: Pixels, width: int) -> Pixels:
    missing = width - picture.shape[1]
    return np.pad(picture, ((0, 4), (missing // 2, missing - missing // 2), (0, 0)), constant_values=24)


def busiest(low: Pixels, scale: int) -> tuple[int, int]:
    """Top and left, in the high resolution, of the square whose low resolution has the strongest gradients: chosen
    without a look at any result."""
    luma, side = RULER.luma(low), CROP // scale
    energy = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
    total = np.pad(energy.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(top) * scale, int(left) * scale


if __name__ == "__main__":
    sys.exit(command(main))
