"""Precision by version of TensorRT: which graph goes in, which flags are set. The one place that compares version numbers.

Before 10.12 flags choose the precision of an FP32 graph (strong typing exists from 10.0, and is dependable from 10.12);
from 10.12 on types in the graph do; 11 has no such flags. An FP32 graph asked for in FP16 would build, in silence, as FP32.
Sources: NvInfer.h at 8.6, 10.0–10.16, 11.0–11.4; TensorRT's migration guide 10 to 11.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from edgesr.runtime.errors import InputError

__all__ = ["BuildPlan", "GraphKind", "Precision", "build_plan", "parse_version"]

Precision = Literal["fp32", "tf32", "fp16", "bf16", "int8"]
GraphKind = Literal["fp32", "fp16", "int8", "int8-typed"]
"""fp32: float, opset 17. fp16: FP16-typed, opset 17. int8: Q/DQ with FP32 scales, opset 17. int8-typed: Q/DQ among
FP16-typed nodes, opset 19, since QuantizeLinear of opset 17 knows FP32 alone."""

OLDEST = (8, 6)
TYPED = (10, 12)
FIRST_BF16 = (10, 0)
FLAGLESS = (11, 0)

FLAGS: dict[Precision, tuple[str, ...]] = {
    "fp32": (),
    "tf32": (),
    "fp16": ("FP16",),
    "bf16": ("BF16",),
    "int8": ("INT8", "FP16"),
}


@dataclass(frozen=True)
class BuildPlan:
    """How a precision is had from one version of TensorRT.

    graph: the kind of ONNX that goes in. flags: names of `BuilderFlag` that are set. tf32: whether FP32 arithmetic may round its
    factors to 10 bits; TensorRT's default is yes, ours is no. strongly_typed: the graph's types bind, and no precision of a
    layer may be set; where False, layers that must stay FP32 are pinned one by one.
    """

    precision: Precision
    graph: GraphKind
    flags: tuple[str, ...]
    tf32: bool
    strongly_typed: bool


def parse_version(text: str) -> tuple[int, int]:
    """`10.13.3.9` -> (10, 13). Raises InputError."""
    parts = text.split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        raise InputError(f"TensorRT says its version is {text!r}; expected something like 10.3.0")
    return int(parts[0]), int(parts[1])


def build_plan(precision: Precision, version: str) -> BuildPlan:
    """How TensorRT `version` builds `precision`. Raises InputError where it cannot."""
    number = parse_version(version)
    if precision not in get_args(Precision):
        raise InputError(f"precision is {precision!r}; expected one of {', '.join(get_args(Precision))}")
    if number < OLDEST:
        raise InputError(f"TensorRT {version} is too old; expected 8.6 (JetPack 6.0) or later")
    if precision == "bf16" and number >= FLAGLESS:
        raise InputError(
            f"TensorRT {version} has no BF16 flag any more (10.0 to 10.16 have it); build with --precision fp16"
        )
    if precision == "bf16" and number < FIRST_BF16:
        raise InputError(f"TensorRT {version} knows no BF16 (10.0 to 10.16 do); build with --precision fp16")
    typed = number >= TYPED and precision != "bf16"
    graphs: dict[Precision, GraphKind] = {"fp16": "fp16", "int8": "int8-typed"} if typed else {"int8": "int8"}
    return BuildPlan(
        precision=precision,
        graph=graphs.get(precision, "fp32"),
        flags=() if typed else FLAGS[precision],
        tf32=precision == "tf32",
        strongly_typed=typed,
    )
