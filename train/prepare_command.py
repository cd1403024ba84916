"""`edgesr-train prepare` and `edgesr-train inspect`: training data as one HDF5 file, and what such a file holds."""

import argparse
import json
import os
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from edgesr.runtime.command import size
from edgesr.runtime.errors import InputError
from edgesr.train.data.stores import HDF5_SUFFIXES

__all__ = ["add_to", "inspect", "prepare"]

PRESETS = ("srcnn", "fsrcnn", "vdsr", "espcn", "drcn", "drrn")
"""Said again here, so that --help needs no h5py."""

EXAMPLES = """examples:
  edgesr-train prepare DIV2K_train_HR -o div2k.h5 --scale 4                     whole images
  edgesr-train prepare DIV2K_train_HR -o div2k.h5 --scale 2 3 4                 div2k_x2.h5, div2k_x3.h5, div2k_x4.h5
  edgesr-train prepare DIV2K_train_HR -o div2k.h5 --scale 4 --five-crop         as RDN's and RDSRN's program cuts
  edgesr-train prepare HR --low LR_x4 -o pairs.h5 --scale 4                     low resolution that is there already
  edgesr-train prepare HR -o camera.h5 --scale 4 --degrade camera --versions 4  low resolution as a camera would give it
  edgesr-train prepare T91 -o t91.h5 --scale 3 --preset srcnn --stride 21       patches as a paper's, but for the stride
  edgesr-train inspect div2k_x4.h5

A call that was stopped is gone on with by calling it again.
"""


def add_to(verbs: Any) -> None:
    """Both verbs, to argparse's subparsers."""
    make = verbs.add_parser(
        "prepare",
        prog="edgesr-train prepare",
        help="images → an HDF5 file to train from",
        examples=EXAMPLES,
    )
    make.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGES", help="high-resolution images, or folders of them"
    )
    make.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="the .h5 file; set.h5 becomes set_x2.h5 where scales are several",
    )
    make.add_argument(
        "--scale", type=int, nargs="+", default=[4], metavar="N", help="up-scaling factors; a file each (default: 4)"
    )
    make.add_argument(
        "--low", type=Path, metavar="FOLDER", help="low resolutions of the same names, or as 0001x4.png (default: made)"
    )
    make.add_argument(
        "--degrade", metavar="STEPS", help="make the low resolution so, as in edgesr-train evaluate (default: bicubic)"
    )
    make.add_argument(
        "--versions", type=int, metavar="N", help="low resolutions of each image, differently degraded (default: 1)"
    )
    make.add_argument("--seed", type=int, metavar="N", help="of what --degrade draws (default: 1)")

    cut = make.add_argument_group("what is cut of an image", "default: nothing, it is kept whole")
    cut.add_argument("--five-crop", action=argparse.BooleanOptionalAction, help="four corners and centre")
    cut.add_argument("--crop-size", type=size, metavar="WxH", help="of the five crops (default: half the image)")
    cut.add_argument(
        "--preset", choices=PRESETS, help="patches as the paper cuts them; other options change single settings"
    )
    cut.add_argument(
        "--patch", type=_patch, metavar="W[xH]", help="patches on a grid, in pixels of the network's input"
    )
    cut.add_argument("--stride", type=int, metavar="N", help="from patch to patch, likewise")
    cut.add_argument(
        "--scales", type=float, nargs="+", metavar="F", help="take images reduced by these, such as 1.0 0.9 0.8"
    )
    cut.add_argument(
        "--rotations", action=argparse.BooleanOptionalAction, help="turned by 90, 180 and 270 degrees, too"
    )
    cut.add_argument("--flips", action=argparse.BooleanOptionalAction, help="mirrored, too")
    cut.add_argument("--luma", action=argparse.BooleanOptionalAction, help="Y alone, float32, not rounded")
    cut.add_argument(
        "--same-size", action=argparse.BooleanOptionalAction, help="enlarge the low resolution by bicubic first"
    )

    make.add_argument("--skip-small", action="store_true", help="leave images out that are too small")
    make.add_argument("--skip-unreadable", action="store_true", help="leave damaged images out")
    make.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one a core)"
    )
    make.add_argument("--force", action="store_true", help="overwrite the output")

    look = verbs.add_parser("inspect", prog="edgesr-train inspect", help="what a prepared file holds")
    look.add_argument("file", type=Path, help="an HDF5 file with lr and hr, ours or another program's")
    look.add_argument("--json", action="store_true", help="for machines")


def _patch(text: str) -> tuple[int, int]:
    return size(text if "x" in text.lower() else f"{text}x{text}")


def prepare(options: Namespace, _rest: Sequence[str] = ()) -> None:
    from edgesr.train.data.degradations import parse_chain
    from edgesr.train.data.patches import PRESETS, Cutting
    from edgesr.train.data.prepare import prepare

    if options.output.suffix not in HDF5_SUFFIXES:
        raise InputError(f"{options.output} does not end in {' or '.join(HDF5_SUFFIXES)}")
    if len(set(options.scale)) < len(options.scale):
        raise InputError(f"--scale {' '.join(map(str, options.scale))} names one twice; give each scale once")
    if options.jobs < 1:
        raise InputError(f"--jobs is {options.jobs}; expected 1 or more")
    given = {name: _value(options, name) for name in Cutting.__dataclass_fields__ if _value(options, name) is not None}
    cuttings = []
    for scale in options.scale:
        preset = PRESETS[options.preset].cutting(scale) if options.preset else {}
        cuttings.append(Cutting(**{**preset, **given, "scale": scale}))
    chain = parse_chain(options.degrade) if options.degrade else None
    for cutting in cuttings:
        name = (
            options.output.name
            if len(cuttings) == 1
            else f"{options.output.stem}_x{cutting.scale}{options.output.suffix}"
        )
        console = Console(soft_wrap=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            done = prepare(
                options.images,
                options.output.with_name(name),
                cutting,
                low=options.low,
                degrade=chain,
                jobs=options.jobs,
                force=options.force,
                skip_small=options.skip_small,
                skip_unreadable=options.skip_unreadable,
                tell=partial(_show, progress, progress.add_task(name, total=None)),
            )
        if not done.made:
            print(f"{done.path} is up to date: same images and settings (--force makes it again)")
            continue
        kept = f", {done.taken_up} of them done before" if done.taken_up else ""
        print(
            f"wrote {done.path}: x{cutting.scale}, {done.pairs:,} pairs of {done.images} images{kept}, {_mib(done.path)}"
        )
        for note, count in done.notes:
            print(f"  {count} images: {note}")
        for line in done.unreadable:
            print(f"  left out: {line}")
        for line in done.small:
            print(f"  left out, too small: {line}")


def _show(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def _value(options: Namespace, name: str) -> Any:
    value = getattr(options, name)
    return tuple(value) if isinstance(value, list) else value


def _mib(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:,.0f} MiB"


def inspect(options: Namespace, _rest: Sequence[str] = ()) -> None:
    from edgesr.train.data.hdf5 import read_layout

    layout = read_layout(options.file)
    sizes = [sorted({(int(width), int(height)) for height, width in side.sizes}) for side in (layout.low, layout.high)]
    if options.json:
        facts: dict[str, Any] = {"pairs": len(layout), "scale": layout.scale, "same_size": layout.same_size}
        facts |= {"channels": layout.channels, "type": str(layout.high.dtype), "low": sizes[0], "high": sizes[1]}
        facts |= {"settings": layout.settings, "images": dict(layout.images)}
        print(json.dumps(facts))
        return
    scale = f"x{layout.scale}" if layout.scale else "unknown scale"
    kind = f"{'RGB' if layout.channels == 3 else 'Y'}, {layout.high.dtype}"
    enlarged = ", low resolution enlarged" if layout.same_size else ""
    print(f"{options.file}: {len(layout):,} pairs, {scale}, {kind}{enlarged}, {_mib(options.file)}")
    for name, some in zip(("low", "high"), sizes, strict=True):
        (width, height), (wide, tall) = some[0], some[-1]
        print(f"  {name}: {width}x{height}" + (f" to {wide}x{tall}, {len(some)} sizes" if len(some) > 1 else ""))
    if layout.images:
        print(f"  of {len(layout.images)} images: {layout.images[0][0]} … {layout.images[-1][0]}")
    print(f"  settings: {json.dumps(layout.settings) if layout.settings else 'not noted: made by another program'}")
