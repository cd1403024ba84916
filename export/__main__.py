"""edgesr-export: a checkpoint, or a network with random weights, → ONNX → an engine for this machine; each step checked."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from rich.console import Console

from edgesr.export.builder.plan import Precision
from edgesr.export.engine_command import ENGINE_ONLY, add_engine_options, check_engine_options, export_engine
from edgesr.export.onnx_command import (
    convert,
    export,
    export_program_file,
    needs_onnx,
    portable_file,
    typed_path,
    warn_of_widths,
)
from edgesr.runtime.command import Parser, command, size
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output

WIDE = 150  # columns of a table that goes into a file: nobody wants its names folded
EXAMPLES = """examples:
  edgesr-export rdsrn_x4.safetensors -o rdsrn_x4.onnx                    height and width open
  edgesr-export rdsrn_x4.safetensors -o rdsrn_x4.onnx --size 320x180     fixed, as engines like it best
  edgesr-export ecbsr_x4.safetensors -o ecbsr_x4.cpu.onnx --target cpu   same bytes, faster on ONNX Runtime
  edgesr-export rdn --scale 4 -o rdn_x4.onnx                             random weights, for timing only
  edgesr-export rdsrn_x4.onnx -o rdsrn_x4.fp16.onnx --precision fp16     typed FP16, for engines
  edgesr-export rdsrn_x4.onnx --precision-report --frames photos/        would FP16 hold its values?
on the board, without PyTorch:
  edgesr-export rdsrn_x4.onnx -o rdsrn_x4.engine --size 320x180          an FP16 engine for this very machine
  edgesr-export rdsrn_x4.onnx -o int8.engine --size 320x180 --precision int8 --calibrate photos/
  edgesr-export inspect rdsrn_x4.engine                                  what it is, and whether it would run here
  edgesr-export keygen release                                           release.key signs engines (--sign), release.pub trusts
"""


def parser() -> Parser:
    make = Parser(
        "edgesr-export",
        "Turn a checkpoint into a model that takes and gives bytes, an .onnx file or an engine for this machine, and prove it equal.",
        EXAMPLES,
    )
    make.add_argument(
        "model",
        help="a .safetensors checkpoint, the name of a network for seeded random weights, or a portable .onnx file",
    )
    make.add_argument(
        "-o", "--output", type=Path, help="the file to write: .onnx, .engine, or .pt2 (a PyTorch program)"
    )
    make.add_argument("--size", type=size, metavar="WxH", help="fix the input's size (default: open)")
    make.add_argument(
        "--target", choices=("portable", "cpu", "bare"), help="form of an .onnx file's ends (default: portable)"
    )
    make.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="of the arithmetic; .onnx files: fp32 (default), fp16, int8; engines: fp16 (default) and all others",
    )
    make.add_argument(
        "--precision-report", action="store_true", help="tell the ranges of an .onnx file's layers, and write nothing"
    )
    make.add_argument(
        "--cubic-as-conv",
        action="store_true",
        help="bicubic skips as convolutions, should TensorRT refuse the cubic Resize",
    )
    make.add_argument("--scale", type=int, help="for a network without checkpoint, or one whose weights serve several")
    make.add_argument("--frames", type=Path, metavar="FOLDER", help="check on these images instead of made ones")
    make.add_argument("--force", action="store_true", help="overwrite the output")
    make.add_argument("--json", action="store_true", help="print the result as JSON")
    int8 = make.add_argument_group("INT8")
    int8.add_argument(
        "--calibrate", type=Path, metavar="FOLDER", help="high-resolution images to measure ranges and quality on"
    )
    int8.add_argument("--int8-budget-db", type=float, metavar="DB", help="PSNR that INT8 may cost (default: 0.2)")
    int8.add_argument(
        "--int8-keep", action="append", default=[], metavar="LAYER", help="leave this layer in floating point"
    )
    add_engine_options(make)
    return make


def run(arguments: Sequence[str]) -> None:
    if arguments and arguments[0] in OTHER:
        return OTHER[arguments[0]](arguments[1:])
    make = parser()
    options = make.parse_args(arguments)
    if options.precision_report:
        return _report(options)
    if options.output is None:
        make.error("the following arguments are required: -o/--output")
    _check(options)
    with TemporaryDirectory(prefix="edgesr-") as scratch:
        WRITERS[options.output.suffix](options, arguments, Path(scratch))


def _check(options: Namespace) -> None:
    """Which options go with which output, said before any work."""
    output, from_onnx = options.output, Path(options.model).suffix == ".onnx"
    if output.suffix not in WRITERS:
        raise InputError(f"{output} ends in none of {', '.join(WRITERS)}, the kinds of file that are written")
    if output.suffix != ".engine":
        if given := [name for name in ENGINE_ONLY if getattr(options, name)]:
            raise InputError(f"--{given[0].replace('_', '-')} is for engines, whose names end in .engine")
        if options.precision in ("tf32", "bf16"):
            raise InputError(f"{options.precision} is an arithmetic of engines, not of a file: give -o NAME.engine")
    elif options.target:
        raise InputError("an engine is built from the portable form: leave --target out")
    if options.precision != "int8" and (options.calibrate or options.int8_keep or options.int8_budget_db is not None):
        raise InputError("--calibrate, --int8-keep and --int8-budget-db belong to --precision int8")
    if options.precision == "int8" and output.suffix == ".onnx" and not options.calibrate:
        raise InputError("INT8 is measured on images: add --calibrate FOLDER with high-resolution ones")
    if options.precision in ("fp16", "int8") and options.target not in (None, "portable"):
        raise InputError(
            f"an {options.precision} graph is for engines; it has no {options.target} form: leave --target out"
        )
    if from_onnx and output.suffix == ".pt2":
        raise InputError(
            f"a PyTorch program is made from a checkpoint or the name of a network, not from {options.model}"
        )
    if from_onnx:
        _only_for_networks(options, ("target", "scale") if output.suffix == ".engine" else ("size", "target", "scale"))


def _onnx(options: Namespace, _arguments: Sequence[str], scratch: Path) -> None:
    check_output(options.output, force=options.force)
    if options.precision == "int8":
        check_output(typed_path(options.output), force=options.force)
        convert(options, portable_file(options, scratch))
    elif Path(options.model).suffix == ".onnx":
        convert(options, Path(options.model))
    else:
        export(options)


def _engine(options: Namespace, arguments: Sequence[str], scratch: Path) -> None:
    engine = check_engine_options(options, arguments)
    export_engine(portable_file(options, scratch), options, engine, scratch)


def _program(options: Namespace, _arguments: Sequence[str], _scratch: Path) -> None:
    check_output(options.output, force=options.force)
    export_program_file(options)


WRITERS: dict[str, Callable[[Namespace, Sequence[str], Path], None]] = {
    ".onnx": _onnx,
    ".engine": _engine,
    ".pt2": _program,
}


def _report(options: Namespace) -> None:
    if options.output or options.precision:
        raise InputError("--precision-report writes no file; leave -o and --precision out")
    _only_for_networks(options, ("size", "target", "scale"))
    source = Path(options.model)
    if source.suffix != ".onnx":
        raise InputError(f"--precision-report reads an .onnx file, not {source}; export it first")
    try:
        from edgesr.export.precision_report import precision_report, report_table
    except ImportError as error:
        raise needs_onnx(error) from error
    report = precision_report(source, frames=options.frames)
    if options.json:
        print(json.dumps(asdict(report)))
        return
    Console(width=None if sys.stdout.isatty() else WIDE).print(report_table(report))
    warn_of_widths(report.awkward_widths, 8)


def _only_for_networks(options: Namespace, names: Sequence[str]) -> None:
    for name in names:
        if getattr(options, name):
            raise InputError(f"--{name} is for a network; {options.model} has its own: leave --{name} out")


def _inspect(arguments: Sequence[str]) -> None:
    make = Parser("edgesr-export inspect", "What a file is, and what this machine would say to it.")
    make.add_argument("file", type=Path, help="an .engine with its card beside it, or an .onnx file")
    make.add_argument("--trust", type=Path, metavar="PUBLIC_KEY", help="refuse a card that this key has not signed")
    make.add_argument("--json", action="store_true", help="print everything as JSON")
    options = make.parse_args(arguments)
    from edgesr.export.inspect import inspect_file, report_table

    report = inspect_file(options.file, trust=options.trust)
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        Console(width=None if sys.stdout.isatty() else WIDE).print(report_table(report))


def _keygen(arguments: Sequence[str]) -> None:
    make = Parser(
        "edgesr-export keygen", "Make a key pair: NAME.key signs engines, NAME.pub is what edgesr-run trusts."
    )
    make.add_argument("name", type=Path, help="where to write, without suffix")
    options = make.parse_args(arguments)
    from edgesr.export.sign import key_fingerprint, make_key_pair

    private, public = make_key_pair(options.name)
    print(f"wrote {private} (keep it secret) and {public} (fingerprint {key_fingerprint(public)})")


OTHER: dict[str, Callable[[Sequence[str]], None]] = {"inspect": _inspect, "keygen": _keygen}


def main() -> None:
    sys.exit(command(run))


if __name__ == "__main__":
    main()
