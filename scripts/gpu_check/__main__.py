"""What only a GPU can tell: engines built, proven and timed against the same networks in PyTorch.

Four verbs, since the machines that can do each part differ: `prepare` where onnx and ONNX Runtime are (and torch, for
the rival), `engines` where TensorRT, PyCUDA and NumPy are and nothing else need be (Python 3.10), `rival` where torch
finds a GPU, `merge` anywhere. The first three write JSON, the last one table of it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from edgesr.runtime.command import Parser, command, size

EXAMPLES = """examples:
  python scripts/gpu_check prepare rdsrn_x4.safetensors carn_x4.safetensors -o gpu --size 320x180 --tensorrt 8.6.0
  python scripts/gpu_check engines gpu -o engines.json
  python scripts/gpu_check rival gpu -o rival.json
  python scripts/gpu_check merge engines.json rival.json -o benchmarks/results/h200-2026-11-21.json
"""


def run(arguments: Sequence[str]) -> None:
    make = Parser("gpu_check", "Build, prove and time engines on a GPU, against PyTorch.", EXAMPLES)
    verbs = make.add_subparsers(dest="verb", required=True, parser_class=lambda **kw: Parser(**kw))

    prepare = verbs.add_parser(
        "prepare", description="Graphs, reference frames and PyTorch programs, to be carried to the GPU."
    )
    prepare.add_argument(
        "models",
        nargs="+",
        help="checkpoints (.safetensors), names of networks (random weights, x4), or portable .onnx",
    )
    prepare.add_argument("--size", type=size, default=(320, 180), metavar="WxH", help="of the input (default: 320x180)")
    prepare.add_argument(
        "--tensorrt", required=True, metavar="VERSION", help="that will build, such as 8.6.0 or 10.3.0"
    )
    prepare.add_argument("--calibrate", type=Path, metavar="FOLDER", help="high-resolution images; without it no INT8")
    prepare.add_argument("--frames", type=Path, metavar="FOLDER", help="compare on these images instead of made ones")

    engines = verbs.add_parser("engines", description="Build each graph twice, prove it, compare it, time it.")
    engines.add_argument("folder", type=Path, help="made by prepare")
    engines.add_argument("--rounds", type=int, default=15, help="turns of each engine, interleaved (default: 15)")
    engines.add_argument("--frames", type=int, default=100, help="of each turn (default: 100)")
    engines.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the engines and their cards here")

    rival = verbs.add_parser(
        "rival", description="The same networks in PyTorch: FP16, channels last, CUDA graph, torch.compile."
    )
    rival.add_argument("folder", type=Path, help="made by prepare")
    rival.add_argument("--rounds", type=int, default=15, help="turns of each way (default: 15)")
    rival.add_argument("--frames", type=int, default=100, help="of each turn (default: 100)")
    rival.add_argument("--no-compile", action="store_true", help="leave torch.compile out, which takes minutes")

    merge = verbs.add_parser("merge", description="One result and one table of both halves.")
    merge.add_argument("files", nargs="+", type=Path)

    for verb in (prepare, engines, rival, merge):
        verb.add_argument("-o", "--output", type=Path, required=True, help="folder of prepare; .json of the others")
    options = make.parse_args(arguments)

    # Each verb's machine has what its own module needs, and perhaps nothing of the others.
    if options.verb == "prepare":
        from prepare import prepare_all

        prepare_all(options)
    elif options.verb == "engines":
        from engines import check_engines

        check_engines(options)
    elif options.verb == "rival":
        from rival import time_rivals

        time_rivals(options)
    else:
        from table import markdown, merged

        result = merged(options.files)
        options.output.write_text(json.dumps(result) + "\n")
        print(markdown(result))


if __name__ == "__main__":
    sys.exit(command(run))
