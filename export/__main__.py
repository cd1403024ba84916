"""edgesr-export: a checkpoint, or a network with random weights, → ONNX, checked."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edgesr.runtime.command import Parser, command, size
from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.files import check_output

EXAMPLES = """examples:
  edgesr-export rdsrn_x4.safetensors -o rdsrn_x4.onnx                    height and width open
  edgesr-export rdsrn_x4.safetensors -o rdsrn_x4.onnx --size 320x180     fixed, as engines like it best
  edgesr-export ecbsr_x4.safetensors -o ecbsr_x4.cpu.onnx --target cpu   same bytes, faster on ONNX Runtime
  edgesr-export rdn --scale 4 -o rdn_x4.onnx                             random weights, for timing only
"""


def parser() -> Parser:
    make = Parser(
        "edgesr-export", "Turn a checkpoint into an ONNX file that takes and gives bytes, and prove it equal.", EXAMPLES
    )
    make.add_argument("model", help="a .safetensors checkpoint, or the name of a network for seeded random weights")
    make.add_argument("-o", "--output", type=Path, required=True, help="the .onnx file to write")
    make.add_argument("--size", type=size, metavar="WxH", help="fix the input's size (default: open)")
    make.add_argument(
        "--target", choices=("portable", "cpu", "bare"), default="portable", help="form of the graph's ends"
    )
    make.add_argument("--scale", type=int, help="for a network without checkpoint: 2, 3 or 4")
    make.add_argument("--frames", type=Path, metavar="FOLDER", help="check on these images instead of made ones")
    make.add_argument("--force", action="store_true", help="overwrite the output")
    make.add_argument("--json", action="store_true", help="print the result as JSON")
    return make


def run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    if options.output.suffix != ".onnx":
        raise InputError(f"{options.output} does not end in .onnx, the one kind this version writes")
    check_output(options.output, force=options.force)
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
        target=options.target,
        size=options.size,
        trained=checkpoint.suffix == ".safetensors",
        frames=options.frames,
    )
    if options.json:
        print(
            json.dumps({"path": str(done.path), "spec": asdict(done.spec), "parity": [asdict(p) for p in done.parity]})
        )
        return
    for parity in done.parity:
        db = "every byte equal" if parity.difference == 0 else f"{parity.psnr_db:.1f} dB"
        print(
            f"checked at {parity.width}x{parity.height} against PyTorch: {db}, largest difference {parity.difference}"
        )
    print(f"wrote {done.path}: {done.spec.title}, {done.spec.parameters:,} parameters, {options.target} form")


def main() -> None:
    sys.exit(command(run))


if __name__ == "__main__":
    main()
