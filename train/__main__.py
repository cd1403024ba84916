"""edgesr-train: prepare images, train a network, score it, import the checkpoints that authors published."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.files import check_output, replaced
from edgesr.runtime.installed import pip_install
from edgesr.runtime.spec import ModelSpec
from edgesr.train import bench_command, prepare_command

if TYPE_CHECKING:
    from edgesr.train.evaluate import Score

WIDE = 200  # columns of a table that goes into a file
EXAMPLES = """examples:
  edgesr-train import x4.pth --network rdsrn --scale 4 -o rdsrn_x4.safetensors
  edgesr-train import carn_m.pth --network carn_m --scale 4 3 2 -o carn_m.safetensors
  edgesr-train evaluate rdsrn_x4.safetensors --data Set5 --data Set14 --ifc
  edgesr-train evaluate carn_m.safetensors --scale 3 --data Set5 --ensemble
  edgesr-train evaluate rdsrn_x4.engine --data Set5 --json scores.json
  edgesr-train evaluate rdsrn_x4.safetensors --data Set14 --degrade noise:25
  edgesr-train prepare ~/DIV2K_train_HR -o div2k.h5 --scale 4
  edgesr-train fit rdsrn_x4 --data.root ~/datasets --output runs/rdsrn_x4
  edgesr-train fit rdsrn_x4 --output runs/rdsrn_x4 --resume
  edgesr-train bench shipped/ecbsr_x4 --data.root ~/datasets
  edgesr-train networks
"""


def parser() -> Parser:
    make = Parser("edgesr-train", "Networks: train them, score them, import published weights.", EXAMPLES)
    verbs = make.add_subparsers(dest="verb", required=True, metavar="VERB")

    bring = verbs.add_parser("import", prog="edgesr-train import", help="an authors' .pth file → .safetensors")
    bring.add_argument("file", type=Path, help="the .pth file; only plain tensors are read")
    bring.add_argument("--network", required=True, help="name of the network, such as rdsrn, or fsrcnn:s for a variant")
    bring.add_argument(
        "--scale",
        type=int,
        nargs="+",
        required=True,
        metavar="N",
        help="that the weights serve, the main one first; several for one model of several scales",
    )
    bring.add_argument("-o", "--output", type=Path, required=True, help="the .safetensors file to write")
    bring.add_argument("--force", action="store_true", help="overwrite the output")

    score = verbs.add_parser("evaluate", prog="edgesr-train evaluate", help="PSNR, SSIM and IFC on folders of images")
    score.add_argument(
        "model", help="a .safetensors checkpoint, an .onnx file, an .engine, or bicubic (bicubic:2 for x2)"
    )
    score.add_argument("--scale", type=int, metavar="N", help="of a checkpoint whose weights serve several")
    score.add_argument(
        "--data", type=Path, action="append", required=True, metavar="FOLDER", help="high-resolution images"
    )
    score.add_argument(
        "--protocol", choices=("matlab", "rdsrn"), default="matlab", help="the field's ruler, or RDSRN's authors'"
    )
    score.add_argument(
        "--degrade",
        metavar="STEPS",
        help="low resolution by noise:25, blur:1.2,noise:5..15,jpeg:40, camera, or a YAML list of steps",
    )
    score.add_argument("--seed", type=int, default=1, help="of what --degrade draws (default: 1)")
    score.add_argument("--ifc", action="store_true", help="measure IFC too; about a second for 512x512")
    score.add_argument(
        "--ensemble",
        action="store_true",
        help="self-ensemble: eight flipped and turned runs averaged (checkpoints only)",
    )
    score.add_argument(
        "--grey-as-y",
        action="store_true",
        help="measure an image that is stored grey on its grey, as the literature does Set14's bridge",
    )
    score.add_argument("--json", type=Path, metavar="FILE", help="write every score, with all that made it")
    score.add_argument("--force", action="store_true", help="overwrite FILE")

    train = verbs.add_parser("fit", prog="edgesr-train fit", help="train as a recipe says")
    train.add_argument("recipe", help="a YAML file, or the name of one that edgesr brings")
    train.add_argument("--output", type=Path, help="folder of the run (default: runs/RECIPE)")
    train.add_argument("--resume", action="store_true", help="go on from the folder's last checkpoint")
    train.add_argument(
        "--save-steps",
        type=int,
        default=0,
        metavar="N",
        help="write a checkpoint after every N steps (default: every five minutes), and after every epoch",
    )

    prepare_command.add_to(verbs)
    bench_command.add_to(verbs)
    verbs.add_parser("networks", prog="edgesr-train networks", help="the table of networks, with what they cost")
    return make


def run(arguments: Sequence[str]) -> None:
    make = parser()
    options, rest = make.parse_known_args(arguments)
    if rest and options.verb not in ("fit", "bench"):
        make.error(f"unrecognised: {' '.join(rest)}")
    try:
        VERBS[options.verb](options, rest)
    except ImportError as error:
        raise MissingDependency(f"edgesr-train needs a missing package ({error}): {pip_install('train')}") from error


def bring(options: Namespace, _rest: Sequence[str]) -> None:
    from edgesr.train.checkpoint import read_metadata, save_checkpoint
    from edgesr.train.published import network_from_published

    _check_suffix(options.output, ".safetensors")
    check_output(options.output, force=options.force)
    if len(set(options.scale)) < len(options.scale):
        raise InputError(f"--scale {' '.join(map(str, options.scale))} names one twice; give each scale once")
    network = network_from_published(options.file, options.network, *options.scale)
    save_checkpoint(options.output, network, origin=f"published by the authors: {network.paper.link}")
    spec = ModelSpec.from_json(read_metadata(options.output)["spec"])  # counting it again may take ten seconds
    served = f", serves {', '.join(f'x{scale}' for scale in spec.scales)}" if len(spec.scales) > 1 else ""
    print(
        f"wrote {options.output}: {spec.title}{served}, {spec.parameters:,} parameters; "
        f"every key of {options.file} accounted for"
    )


def score(options: Namespace, _rest: Sequence[str]) -> None:
    from edgesr.train.data.degradations import parse_chain
    from edgesr.train.evaluate import PROTOCOLS, Score, evaluate, mean_score, title_of
    from edgesr.train.report import evaluation_report

    if options.json:
        check_output(options.json, force=options.force)
    chain = None if options.degrade is None else parse_chain(options.degrade)
    if chain and options.protocol == "rdsrn":
        raise InputError("--protocol rdsrn makes its own low resolution; leave it or --degrade out")
    protocol = replace(PROTOCOLS[options.protocol], grey_as_y=options.grey_as_y, degrade=chain, seed=options.seed)
    console, data = Console(), dict[str, list[Score]]()
    with _opened(options.model, options.scale) as model:
        for folder in options.data:
            scores = data[str(folder)] = []
            with console.status("") as status:
                for one in evaluate(model, folder, protocol, with_ifc=options.ifc, ensemble=options.ensemble):
                    scores.append(one)
                    status.update(f"{folder.name}: {len(scores)} images")
            title = f"{title_of(model)} on {folder.resolve().name}, {options.protocol} protocol"
            title += ", self-ensemble" if options.ensemble else ""
            title += ", grey as Y" if options.grey_as_y else ""
            title += f", degraded by {options.degrade}, seed {options.seed}" if chain else ""
            console.print(_score_table(title, [*scores, mean_score(scores)], with_ifc=options.ifc))
        settings = {"protocol": options.protocol, "grey_as_y": options.grey_as_y, "ensemble": options.ensemble}
        settings |= {"degrade": chain, "seed": options.seed}
        result = evaluation_report(model, options.model, data, **settings)
    if options.json:
        with replaced(options.json) as beside:
            beside.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")


@contextmanager
def _opened(model: str, scale: int | None) -> Iterator[Any]:
    """The network of a checkpoint, or the backend of anything else, closed at the end."""
    if Path(model).suffix == ".safetensors":
        from edgesr.train.checkpoint import load_checkpoint

        yield load_checkpoint(Path(model), scale)[0]
        return
    from edgesr.runtime.backends import open_backend

    with open_backend(model) as backend:
        if scale not in (None, backend.spec.scale):
            other = f"bicubic:{scale}" if backend.spec.name == "bicubic" else "a file made for it"
            raise InputError(f"{model} is x{backend.spec.scale} and serves no x{scale}; expected {other}")
        yield backend


def train(options: Namespace, rest: Sequence[str]) -> None:
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    from edgesr.train.fit import fit

    output = options.output or Path("runs") / Path(options.recipe).stem
    console = Console(stderr=True, soft_wrap=True)
    done = fit(options.recipe, output, rest, resume=options.resume, save_steps=options.save_steps, tell=console.print)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in done.scores.items())
    rank_zero_only(print)(f"wrote {done.checkpoint}: {scores or 'not scored'}")


def networks(_options: Namespace, _rest: Sequence[str]) -> None:
    from edgesr.train.table import as_table, rows

    Console(width=None if sys.stdout.isatty() else WIDE).print(as_table(list(rows())))


def _check_suffix(path: Path, suffix: str) -> None:
    if path.suffix != suffix:
        raise InputError(f"{path} does not end in {suffix}")


def _score_table(title: str, scores: "Sequence[Score]", *, with_ifc: bool) -> Table:
    table = Table("image", "PSNR", "PSNR, 8 bit", "SSIM", title=title)
    if with_ifc:
        table.add_column("IFC")
    for one in scores:
        row = [one.image, _figure(one.psnr_db, 2), _figure(one.psnr_8bit_db, 2), _figure(one.ssim, 4)]
        table.add_row(*row, *([_figure(one.ifc, 3)] if with_ifc else []))
    return table


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


VERBS: dict[str, Callable[[Namespace, Sequence[str]], None]] = {
    "import": bring,
    "evaluate": score,
    "prepare": prepare_command.prepare,
    "inspect": prepare_command.inspect,
    "fit": train,
    "bench": bench_command.bench,
    "networks": networks,
}


def main() -> None:
    sys.exit(command(run))


if __name__ == "__main__":
    main()
