"""edgesr-bench: how fast and how good, model against model."""

import sys
from collections.abc import Sequence

from edgesr.benchmarks import (
    latency_command,
    matrix_command,
    plan_command,
    results_command,
    sizes_command,
    stream_command,
)
from edgesr.runtime.command import Parser, command

EXAMPLES = """examples:
  edgesr-bench latency ecbsr_x4.cpu.onnx bicubic --size 320x180
  edgesr-bench latency rdsrn_x4.onnx carn_x4.onnx --size 160x90 --budget 5m --json report.json --html report.html
  edgesr-bench latency rdsrn_x4.onnx ecbsr_x4.cpu.onnx --size 160x90 --data Set5 --plot quality.png
  edgesr-bench latency ecbsr_x4.bare.onnx ecbsr_x4.cpu.onnx --size 320x180    what bytes in and out cost
  edgesr-bench run benchmarks/matrices/cpu.yaml --models models/ -o cpu.html    networks x backends x sizes
  edgesr-bench latency x4.onnx pytorch:x4.pt2 --reference x4.pt2 --size 320x180    against PyTorch: time and parity
  edgesr-bench sizes ecbsr_x4.cpu.onnx --from 160x90 --to 1920x1080    how time and memory grow with the input
  edgesr-bench stream --size 320x180    what the loop costs on top of the network
  edgesr-bench merge orin.json desk.json -o all.html    several machines side by side
  edgesr-bench diff before.json after.json    exits 1 where something has become slower
  edgesr-bench plan --board orin-nano-super --model rdsrn --size 320x180 --fps 30    an estimate
"""

VERBS = {
    **latency_command.VERBS,
    **matrix_command.VERBS,
    **sizes_command.VERBS,
    **stream_command.VERBS,
    **results_command.VERBS,
    **plan_command.VERBS,
}


def parser() -> Parser:
    make = Parser("edgesr-bench", "Measure models against each other.", EXAMPLES)
    verbs = make.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    for part in (latency_command, matrix_command, sizes_command, stream_command, results_command, plan_command):
        part.add_to(verbs)
    return make


def run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    VERBS[options.verb](options)


def main() -> None:
    sys.exit(command(run))


if __name__ == "__main__":
    main()
