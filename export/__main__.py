"""edgesr-export: a checkpoint, or a network with random weights, → ONNX; ONNX → FP16; each checked."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from edgesr.runtime.command import Parser, command, size
from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.files import check_output

if TYPE_CHECKING:  # the first needs torch, the second onnx: imported when they are asked for
    from edgesr.export.onnx import OnnxExport
    from edgesr.export.parity import Parity
    from edgesr.export.precision import Fp16Export

WIDE = 150  # columns of a table that goes into a file: nobody wants its names folded
EXAMPLES = """examples:
  edgesr-export rdsrn_x4.safetensors -o rdsrn_x4.onnx                    height and width open
  edgesr-export rdsrn_x4.safetensors -o rdsrn_x4.onnx --size 320x180     fixed, as engines like it best
  edgesr-export ecbsr_x4.safetensors -o ecbsr_x4.cpu.onnx --target cpu   same bytes, faster on ONNX Runtime
  edgesr-export rdn --scale 4 -o rdn_x4.onnx                             random weights, for timing only
  edgesr-export rdsrn_x4.onnx -o rdsrn_x4.fp16.onnx --precision fp16     typed FP16, for engines
  edgesr-export rdsrn_x4.onnx --precision-report --frames photos/        would FP16 hold its values?
"""


def parser() -> Parser:
    make = Parser(
        "edgesr-export", "Turn a checkpoint into an ONNX file that takes and gives bytes, and prove it equal.", EXAMPLES
    )
    make.add_argument(
        "model",
        help="a .safetensors checkpoint, the name of a network for seeded random weights, or a portable .onnx file",
    )
    make.add_argument("-o", "--output", type=Path, help="the .onnx file to write")
    make.add_argument("--size", type=size, metavar="WxH", help="fix the input's size (default: open)")
    make.add_argument(
        "--target", choices=("portable", "cpu", "bare"), help="form of the graph's ends (default: portable)"
    )
    make.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="type of the graph's floats")
    make.add_argument(
        "--precision-report", action="store_true", help="tell the ranges of an .onnx file's layers, and write nothing"
    )
    make.add_argument("--scale", type=int, help="for a network without checkpoint: 2, 3 or 4")
    make.add_argument("--frames", type=Path, metavar="FOLDER", help="check on these images instead of made ones")
    make.add_argument("--force", action="store_true", help="overwrite the output")
    make.add_argument("--json", action="store_true", help="print the result as JSON")
    return make


def run(arguments: Sequence[str]) -> None:
    make = parser()
    options = make.parse_args(arguments)
    if options.precision_report:
        return _report(options)
    if options.output is None:
        make.error("the following arguments are required: -o/--output")
    if options.output.suffix != ".onnx":
        raise InputError(f"{options.output} does not end in .onnx, the one kind this version writes")
    check_output(options.output, force=options.force)
    if Path(options.model).suffix == ".onnx":
        _convert(options)
    else:
        _export(options)


def _export(options: Namespace) -> None:
    try:
        from edgesr.export.onnx import export_onnx
        from edgesr.train.networks import seeded_network
    except ImportError as error:
        raise MissingDependency(
            f"exporting from PyTorch needs a missing package ({error}): pip install 'edgesr[export]'"
        ) from error

    checkpoint = Path(options.model)
    if checkpoint.suffix == ".safetensors":
        if options.scale:
            raise InputError("--scale is for networks without checkpoint; a checkpoint knows its own")
        from edgesr.train.checkpoint import load_checkpoint

        network = load_checkpoint(checkpoint)[0]
    elif checkpoint.suffix:
        raise InputError(f"{checkpoint} is no .safetensors checkpoint; published .pth files: edgesr-train import first")
    elif not options.scale:
        raise InputError(f"{options.model} without checkpoint needs --scale, such as --scale 4")
    else:
        network = seeded_network(options.model, options.scale)
    done = export_onnx(
        network,
        options.output,
        target=options.target or "portable",
        size=options.size,
        trained=checkpoint.suffix == ".safetensors",
        frames=options.frames,
        precision=options.precision,
    )
    _tell(options, done, done.fp16)


def _convert(options: Namespace) -> None:
    """An .onnx file that needs no PyTorch any more."""
    source = _only_for_networks(options)
    if options.precision != "fp16":
        raise InputError(f"{source} is ONNX already; add --precision fp16, or --precision-report instead of -o")
    if options.output.exists() and source.exists() and options.output.samefile(source):
        raise InputError(f"{options.output} is the FP32 file itself; choose another name for the FP16 one")
    try:
        from edgesr.export.precision import export_fp16
    except ImportError as error:
        raise _needs_onnx(error) from error
    _tell(options, None, export_fp16(source, options.output, frames=options.frames))


def _report(options: Namespace) -> None:
    if options.output or options.precision != "fp32":
        raise InputError("--precision-report writes no file; leave -o and --precision out")
    source = _only_for_networks(options)
    if source.suffix != ".onnx":
        raise InputError(f"--precision-report reads an .onnx file, not {source}; export it first")
    try:
        from edgesr.export.precision_report import precision_report, report_table
    except ImportError as error:
        raise _needs_onnx(error) from error
    report = precision_report(source, frames=options.frames)
    if options.json:
        print(json.dumps(asdict(report)))
        return
    Console(width=None if sys.stdout.isatty() else WIDE).print(report_table(report))
    _warn(report.awkward_widths)


def _only_for_networks(options: Namespace) -> Path:
    for name in ("size", "target", "scale"):
        if getattr(options, name):
            raise InputError(f"--{name} is for a network; {options.model} has its own: leave --{name} out")
    return Path(options.model)


def _needs_onnx(error: ImportError) -> MissingDependency:
    return MissingDependency(f"reading ONNX needs a missing package ({error}): pip install 'edgesr[engine]'")


def _tell(options: Namespace, network: "OnnxExport | None", fp16: "Fp16Export | None") -> None:
    """network: an export from PyTorch; fp16: what became of it, or of an .onnx file. One of the two is there."""
    done = network or fp16
    assert done is not None
    if options.json:
        told: dict[str, Any] = {"path": str(done.path), "spec": asdict(done.spec), "precision": options.precision}
        told["parity"] = [_plain(parity) for parity in network.parity] if network else []
        if fp16:
            told["fp16_parity"] = [_plain(parity) for parity in fp16.parity]
            told |= {"fp32_nodes": fp16.fp32_nodes, "awkward_widths": fp16.awkward_widths}
        print(json.dumps(told))
        return
    for parity in network.parity if network else []:
        print(f"checked at {parity.width}x{parity.height} against PyTorch: {parity.title}")
    if fp16:
        from edgesr.export.precision_report import counted

        for parity in fp16.parity:
            print(f"checked at {parity.width}x{parity.height}, FP16 against FP32: {parity.title}")
        print(counted(fp16.fp32_nodes))
        _warn(fp16.awkward_widths)
    form = "FP16, portable" if fp16 else options.target or "portable"
    print(f"wrote {done.path}: {done.spec.title}, {done.spec.parameters:,} parameters, {form} form")


def _plain(parity: "Parity") -> dict[str, Any]:
    """JSON knows no infinity: PSNR is null where every byte is equal."""
    return asdict(parity) | ({} if parity.difference else {"psnr_db": None})


def _warn(awkward_widths: dict[str, str]) -> None:
    if awkward_widths:
        layers = ", ".join(f"{name} ({widths})" for name, widths in awkward_widths.items())
        print(f"warning: FP16 tensor cores want channels in multiples of 8: {layers}")


def main() -> None:
    sys.exit(command(run))


if __name__ == "__main__":
    main()
