"""Models against bicubic and against denoising first, on images that are more than reduced: a Markdown table and a picture.

Every method is given the same low resolution, made by a degradation chain, and scored on its bytes: PSNR and SSIM on Y by the
ruler. The denoiser is OpenCV's non-local means; its strength is the best on training images, for bicubic and for the plain
network each on its own, and never looks at the images that are scored.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pictures import open_upscalers, sheet

from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import image_files, opencv, read_image, write_image
from edgesr.runtime.quality import RULER, crop_to_multiple, psnr, ssim
from edgesr.train.data.degradations import Chain, parse_chain

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
STRENGTHS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 12.5, 15.0, 18.0, 22.0, 27.0, 33.0, 40.0)
EXAMPLES = """examples:
  python scripts/degraded_scores.py noise_x4.safetensors --degrade noise:25
  python scripts/degraded_scores.py ours=camera_x4.safetensors rdsrn=rdsrn_noise_x4.onnx --degrade camera \\
      --picture camera.png --crop zebra:200,120 --crop comic:60,40
"""

Method = Callable[[Pixels], Pixels]
Crop = tuple[str, int, int]  # image, left, top


def parser() -> Parser:
    make = Parser("degraded_scores.py", "Score models on degraded images.", EXAMPLES)
    make.add_argument("models", nargs="*", metavar="[LABEL=]FILE", help=".safetensors, .onnx or .engine, of one scale")
    make.add_argument("--degrade", required=True, metavar="STEPS", help="such as noise:25, camera, or a YAML file")
    make.add_argument("--seed", type=int, default=1, help="of what the chain draws (default: 1)")
    make.add_argument("--data", type=Path, default=SHARED / "Set14", help="images to score (default: shared Set14)")
    make.add_argument(
        "--plain",
        default=f"plain={ROOT / 'train' / 'weights' / 'ecbsr_x4.safetensors'}",
        metavar="[LABEL=]FILE",
        help="the network that knows bicubic reduction only (default: the shipped one)",
    )
    make.add_argument(
        "--tune", type=Path, default=SHARED / "train" / "BSD200", help="training images for the denoiser's strength"
    )
    make.add_argument("--tune-images", type=int, default=10, metavar="N", help="how many of them (default: 10)")
    make.add_argument("--picture", type=Path, metavar="PNG", help="write crops side by side")
    make.add_argument(
        "--crop",
        action="append",
        default=[],
        metavar="IMAGE:X,Y",
        help="a crop's top left corner (default: three middles)",
    )
    make.add_argument("--side", type=int, default=96, help="of a crop in pixels of the truth (default: 96)")
    make.add_argument("--zoom", type=int, default=3, help="magnification of the picture (default: 3)")
    make.add_argument("--force", action="store_true", help="overwrite PNG")
    return make


@dataclass(frozen=True)
class Given:
    """An image as it is, and what the methods see of it."""

    name: str
    high: Pixels
    low: Pixels


def read_degraded(files: Sequence[Path], chain: Chain, scale: int, seed: int) -> list[Given]:
    """As `edgesr-train evaluate --degrade` makes them: what is drawn depends on (seed, place in the folder)."""
    found = []
    for place, file in enumerate(files):
        high = np.asarray(crop_to_multiple(read_image(file)[0], scale), np.uint8)
        found.append(Given(file.stem, high, chain(high, scale, np.random.default_rng((seed, place)))))
    return found


def denoised(low: Pixels, strength: float) -> Pixels:
    """OpenCV's non-local means in its default windows, 7 and 21 pixels, luma and colour alike."""
    clean: Pixels = opencv().fastNlMeansDenoisingColored(low, None, strength, strength, 7, 21)
    return clean


def best_strength(images: Sequence[Given], upscale: Method, scale: int) -> float:
    """The one with the highest mean PSNR; raises InputError for the strongest, beyond which none was tried."""

    def quality(strength: float) -> float:
        return float(np.mean([score(one, upscale(denoised(one.low, strength)), scale)[0] for one in images]))

    best = max(STRENGTHS, key=quality)
    if best == STRENGTHS[-1]:
        raise InputError(
            f"the denoiser is best at {best:g}, the strongest that is tried: the images are too noisy for it"
        )
    return best


def score(given: Given, out: Pixels, scale: int) -> tuple[float, float]:
    truth, luma = RULER.luma(given.high), RULER.luma(out)
    return psnr(luma, truth, border=scale), ssim(luma, truth, border=scale)


def with_denoiser(strength: float, upscale: Method) -> Method:
    return lambda low: upscale(denoised(low, strength))


def run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    if options.picture:
        check_output(options.picture, force=options.force)
    chain = parse_chain(options.degrade)
    plain, *models = open_upscalers([options.plain, *options.models])
    scale = plain.scale
    (bicubic,) = open_upscalers([f"bicubic:{scale}"])
    images = read_degraded(image_files(options.data), chain, scale, options.seed)
    crops = crops_of(images, options.crop, options.side) if options.picture else []
    tuning = read_degraded(image_files(options.tune)[: options.tune_images], chain, scale, options.seed)

    methods: dict[str, Method] = {"bicubic": bicubic.upscale}
    for basis in (bicubic, plain):
        strength = best_strength(tuning, basis.upscale, scale)
        methods[f"non-local means (h = {strength:g}), {basis.title}"] = with_denoiser(strength, basis.upscale)
    methods |= {one.title: one.upscale for one in (plain, *models)}
    outputs = {label: [method(one.low) for one in images] for label, method in methods.items()}

    print(f"{options.data.name}, x{scale}, degraded by `{options.degrade}`, seed {options.seed}; on Y, of the bytes.")
    print(f"Non-local means: strength (h, hColor) chosen by PSNR on {len(tuning)} images of {options.tune.name}.\n")
    print("| | PSNR, dB | SSIM |\n|---|---|---|")
    for label, made in outputs.items():
        means = np.mean([score(one, out, scale) for one, out in zip(images, made, strict=True)], axis=0)
        print(f"| {label} | {means[0]:.2f} | {means[1]:.4f} |")
    if options.picture:
        write_image(options.picture, picture(images, outputs, crops, options.side, options.zoom))


def crops_of(images: Sequence[Given], wanted: Sequence[str], side: int) -> list[Crop]:
    """What was asked for, else the middles of the first three. Raises InputError for what no image holds."""
    sizes = {one.name: one.high.shape for one in images}
    crops = [_place(text) for text in wanted] or [_middle(one, side) for one in images[:3]]
    for name, left, top in crops:
        if name not in sizes:
            raise InputError(f"--crop {name}: there is no such image; expected one of {', '.join(sizes)}")
        height, width, _ = sizes[name]
        if not (0 <= left <= width - side and 0 <= top <= height - side):
            raise InputError(f"--crop {name}:{left},{top} with a side of {side} leaves the image of {width}x{height}")
    return crops


def picture(
    images: Sequence[Given], outputs: dict[str, list[Pixels]], crops: Sequence[Crop], side: int, zoom: int
) -> Pixels:
    names = [one.name for one in images]
    rows = []
    for name, left, top in crops:
        at = names.index(name)
        shown = {"truth": images[at].high, **{label: made[at] for label, made in outputs.items()}}
        rows.append({label: whole[top : top + side, left : left + side] for label, whole in shown.items()})
    return sheet(rows, zoom)


def _middle(one: Given, side: int) -> Crop:
    height, width = one.high.shape[:2]
    return one.name, (width - side) // 2, (height - side) // 2


def _place(crop: str) -> Crop:
    name, _, corner = crop.partition(":")
    try:
        left, top = (int(value) for value in corner.split(","))
    except ValueError as error:
        raise InputError(f"--crop {crop}; expected IMAGE:X,Y such as zebra:200,120") from error
    return name, left, top


if __name__ == "__main__":
    sys.exit(command(run))
