"""edgesr-train: train a network, score it, import the checkpoints that authors published."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.files import check_output

EXAMPLES = """examples:
  edgesr-train import x4.pth --network rdsrn --scale 4 -o rdsrn_x4.safetensors
  edgesr-train evaluate rdsrn_x4.safetensors --data Set5 --data Set14
  edgesr-train evaluate rdsrn_x4.onnx --data Set5 --json scores.json
  edgesr-train fit default_x4 --data.root ~/datasets --output runs/default_x4
  edgesr-train fit default_x4 --output runs/default_x4 --resume
  edgesr-train networks
"""


def parser() -> Parser:
    make = Parser("edgesr-train", "Networks: train them, score them, import published weights.", EXAMPLES)
    verbs = make.add_subparsers(dest="verb", required=True, metavar="VERB")

    bring = verbs.add_parser("import", prog="edgesr-train import", help="an authors' .pth file → .safetensors")
    bring.add_argument("file", type=Path, help="the .pth file; only plain tensors are read")
    bring.add_argument("--network", required=True, help="name of the network, such as rdsrn")
    bring.add_argument("--scale", type=int, required=True)
    bring.add_argument("-o", "--output", type=Path, required=True, help="the .safetensors file to write")
    bring.add_argument("--force", action="store_true", help="overwrite the output")

    score = verbs.add_parser("evaluate", prog="edgesr-train evaluate", help="PSNR and SSIM on folders of images")
    score.add_argument("model", help="a .safetensors checkpoint, an .onnx file, or bicubic (bicubic:2 for x2)")
    score.add_argument(
        "--data", type=Path, action="append", required=True, metavar="FOLDER", help="high-resolution images"
    )
    score.add_argument(
        "--protocol", choices=("matlab", "rdsrn"), default="matlab", help="the field's ruler, or RDSRN's authors'"
    )
    score.add_argument("--json", type=Path, metavar="FILE", help="write every score")
    score.add_argument("--force", action="store_true", help="overwrite FILE")

    train = verbs.add_parser("fit", prog="edgesr-train fit", help="train as a recipe says")
    train.add_argument("recipe", help="a YAML file, or the name of one that edgesr brings")
    train.add_argument("--output", type=Path, help="folder of the run (default: runs/RECIPE)")
    train.add_argument("--resume", action="store_true", help="go on from the folder's last checkpoint")

    verbs.add_parser("networks", prog="edgesr-train networks", help="the table of networks, with what they cost")
    return make


def run(arguments: Sequence[str]) -> None:
    make = parser()
    options, rest = make.parse_known_args(arguments)
    if rest and options.verb != "fit":
        make.error(f"unrecognised: {' '.join(rest)}")
    try:
        {"import": bring, "evaluate": score, "fit": train, "networks": networks}[options.verb](options, rest)
    except ImportError as error:
        raise MissingDependency(
            f"edgesr-train needs a missing package ({error}): pip install 'edgesr[train]'"
        ) from error


def bring(options: Namespace, _rest: Sequence[str]) -> None:
    from edgesr.train.checkpoint import save_checkpoint
    from edgesr.train.published import network_from_published

    _check_suffix(options.output, ".safetensors")
    check_output(options.output, force=options.force)
    network = network_from_published(options.file, options.network, options.scale)
    save_checkpoint(options.output, network, origin=f"published by the authors: {network.paper.link}")
    spec = network.spec()
    print(
        f"wrote {options.output}: {spec.title}, {spec.parameters:,} parameters; every key of {options.file} accounted for"
    )


def score(options: Namespace, _rest: Sequence[str]) -> None:
    from edgesr.runtime.backends import Backend, open_backend
    from edgesr.train.checkpoint import load_checkpoint
    from edgesr.train.evaluate import PROTOCOLS, Score, evaluate, mean_score

    if options.json:
        check_output(options.json, force=options.force)
    checkpoint = Path(options.model).suffix == ".safetensors"
    model = load_checkpoint(Path(options.model))[0] if checkpoint else open_backend(options.model)
    title = model.title if isinstance(model, Backend) else model.spec().title
    console, report = Console(), {}
    for folder in options.data:
        table = Table(
            "image", "PSNR", "PSNR, 8 bit", "SSIM", title=f"{title} on {folder.name}, {options.protocol} protocol"
        )
        scores: list[Score] = []
        with console.status("") as status:
            for one in evaluate(model, folder, PROTOCOLS[options.protocol]):
                scores.append(one)
                status.update(f"{folder.name}: {len(scores)} images")
        mean = mean_score(scores)
        for one in (*scores, mean):
            table.add_row(one.image, *(_figure(value) for value in (one.psnr_db, one.psnr_8bit_db)), f"{one.ssim:.4f}")
        console.print(table)
        report[folder.name] = {"images": [asdict(one) for one in scores], "mean": asdict(mean)}
    if options.json:
        from edgesr.runtime.files import replaced

        result = {"model": str(options.model), "title": title, "protocol": options.protocol, "data": report}
        with replaced(options.json) as beside:
            beside.write_text(json.dumps(result, indent=1) + "\n")


def train(options: Namespace, rest: Sequence[str]) -> None:
    from edgesr.train.checkpoint import read_metadata
    from edgesr.train.fit import fit

    output = options.output or Path("runs") / Path(options.recipe).stem
    done = fit(options.recipe, output, rest, resume=options.resume)
    print(f"wrote {done}: {read_metadata(done)['scores']}")


def networks(_options: Namespace, _rest: Sequence[str]) -> None:
    from edgesr.train.networks import NETWORKS, build_network

    table = Table("network", "scales", "colour", "parameters", "multiply-adds", "receptive field", "paper")
    table.title = "Counted at the largest scale, multiply-adds for a 1280x720 output"
    for name, kind in NETWORKS.items():
        scale = max(kind.scales)
        spec = build_network(name, scale).spec()
        reach = "whole frame" if spec.receptive_field is None else f"±{spec.receptive_field}"
        cost = f"{spec.multiply_adds(1280 // scale, 720 // scale) / 1e9:,.2f} G"
        paper = f"{kind.paper.title}, {kind.paper.venue} {kind.paper.year}"
        table.add_row(
            name, " ".join(f"x{s}" for s in kind.scales), kind.colour, f"{spec.parameters:,}", cost, reach, paper
        )
    Console().print(table)


def _check_suffix(path: Path, suffix: str) -> None:
    if path.suffix != suffix:
        raise InputError(f"{path} does not end in {suffix}")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def main() -> None:
    sys.exit(command(run))


if __name__ == "__main__":
    main()
