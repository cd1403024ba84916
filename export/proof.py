"""Proof that an engine computes in the precision that was asked for, from what TensorRT's engine inspector says of it.

The JSON of a DETAILED engine, as found in NVIDIA's trt-engine-explorer (examples of 8.x, a reader for 10.x), in
NVIDIA/TensorRT issues 4020, 4048 and 2779, and in the migration guide from 10 to 11:

- "Layers": objects with Name, LayerType, Inputs, Outputs, TacticName; plain strings where the verbosity was lower.
- A tensor's type is one word (Half, Float, BFloat16, Int8: compiled parts of 10.x) or stands in a sentence ("Channel
  major FP16 format where channel % 8 == 0"), under "Format/Datatype" up to 10.x; 11 has format and data type apart.
- A convolution also has ParameterType and Weights {"Type": "Half", ...}; not inside the compiled ("Myelin") parts.
- Names of what was fused are joined by " + " or " || "; "{ForeignNode[first...last]}" is one compiled part of 8.6; from
  8.6 on "Metadata" names the ONNX nodes, "[ONNX Layer: a]" joined by U+001E or U+001F, which 8.6 writes unescaped.
- Layers of further profiles have " [profile 1]" after their name.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgesr.runtime.errors import PrecisionNotMet

__all__ = ["Convolution", "EngineLayer", "PrecisionProof", "layer_table", "prove_precision"]

NOT_FOUND, UNCLEAR = "not found", "unclear"
NAMED = 5

TYPES = {
    "bf16": r"bf16|bfloat16",
    "fp8": r"fp8\w*",
    "fp16": r"fp16|half|float16",
    "fp32": r"fp32|float|float32",
    "int8": r"int8",
    "": r"u?int\d+|bool|n/a|none",  # no factors of a convolution
}
WORDS = [(precision, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for precision, words in TYPES.items()]

# sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc...: data in and out, then factors and sum, then scale.
FACTORS = {"tf32": "tf32", "f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "e4m3": "fp8", "e5m2": "fp8"}
KERNEL = re.compile(r"_(?:T){2}_(?P<factor>T)T_T(?=_|$)".replace("T", r"(?:tf32|bf16|[fiu]\d{1,2}|e4m3|e5m2)"))

# Other kernels that round factors of FP32: by name, or by a tensor core's instruction, which on FP32 data means TF32.
ROUNDED = [
    ("tf32", re.compile(r"tf32")),
    (UNCLEAR, re.compile(r"f16|fp16|half|hmma|[hs]884|h1688|h16816")),
    ("tf32", re.compile(r"s1688|s16816|tensorop")),
]

MULTIPLIES = re.compile(
    r"conv(?!ert)|gemm|matmul|matrix_?multiply|fprop|dgrad|winograd|myelin|foreignnode", re.IGNORECASE
)
METADATA = re.compile(r"\[ONNX Layer: (.+?)\](?=[\s\x1e\x1f\[,+]|$)")
COMPILED_PART = re.compile(r"\{ForeignNode\[(.+)\.\.\.(.+)\]\}")
NAME_END = re.compile(r"(?:_myl\d+_\d+)?(?: \[profile \d+\])?$")


@dataclass(frozen=True)
class Convolution:
    """name: of its ONNX node. multiply_adds: for one pixel of the input.
    exempt: why it need not run in the precision that is asked for; empty where it must."""

    name: str
    multiply_adds: float
    exempt: str = ""


@dataclass(frozen=True)
class PrecisionProof:
    """share: of the multiply-adds of all convolutions that are not exempt, how much runs in `asked`, 0 to 1.
    found: precision, or `not found`, or `unclear` -> share of all multiply-adds, exempt ones included.
    exempt: name -> why. elsewhere: name -> what it runs in, where that is neither exempt nor what was asked.
    layers: how many of the engine were read.
    """

    asked: str
    share: float
    found: dict[str, float]
    exempt: dict[str, str]
    elsewhere: dict[str, str]
    layers: int


@dataclass(frozen=True)
class EngineLayer:
    """precision: fp32 tf32 fp16 bf16 int8 fp8 or `unclear`; empty where the inspector tells names alone, or no type.
    nodes: of the ONNX graph, as far as it names them. multiplies: whether it may hold a convolution."""

    name: str
    kind: str
    precision: str
    nodes: tuple[str, ...]
    tactic: str
    multiplies: bool


def prove_precision(
    layers_json: str, convolutions: Sequence[Convolution], asked: str, *, least: float = 0.9
) -> PrecisionProof:
    """Raise PrecisionNotMet where less than `least` of the multiply-adds provably runs in `asked`.

    `convolutions`: in the graph's order. What cannot be matched or read never counts as met. Where TF32 is asked for,
    FP32 counts too (TensorRT may be allowed TF32, not told), but not alone: then TF32 is not what this engine is.
    """
    layers = layer_table(layers_json)
    detailed = sum(bool(layer.kind) for layer in layers)
    if not detailed:
        raise PrecisionNotMet(
            "the engine's inspector tells no details of its layers, so nothing proves its precision: "
            "build it with profiling verbosity DETAILED, as edgesr-export does"
        )
    runs_in = _match(layers, convolutions)
    met = {asked}
    if asked == "tf32" and any("tf32" in found for found in runs_in.values()):
        met.add("fp32")
    said = {name: " and ".join(sorted(found)) for name, found in runs_in.items()}
    work: dict[str, float] = {}
    for convolution in convolutions:
        work[said[convolution.name]] = work.get(said[convolution.name], 0.0) + convolution.multiply_adds
    whole = sum(work.values())
    bound = [convolution for convolution in convolutions if not convolution.exempt]
    elsewhere = {c.name: said[c.name] for c in bound if not runs_in[c.name] <= met}
    needed = sum(c.multiply_adds for c in bound)
    reached = sum(c.multiply_adds for c in bound if c.name not in elsewhere)
    proof = PrecisionProof(
        asked=asked,
        share=reached / needed if needed > 0 else 0.0,
        found={precision: amount / whole if whole > 0 else 0.0 for precision, amount in work.items()},
        exempt={c.name: c.exempt for c in convolutions if c.exempt},
        elsewhere=elsewhere,
        layers=detailed,
    )
    if not proof.share >= least:
        raise PrecisionNotMet(_failure(proof, {c.name: c.multiply_adds / needed for c in bound if needed > 0}, least))
    return proof


def layer_table(layers_json: str) -> list[EngineLayer]:
    """Every layer of the engine. Raises PrecisionNotMet where the inspector's answer cannot be read."""
    try:
        values = json.loads(layers_json, strict=False)  # 8.6 leaves control characters as they are
    except (ValueError, RecursionError) as error:
        raise PrecisionNotMet(f"the engine's list of layers is damaged ({error}): build the engine again") from error
    listed = values.get("Layers") if isinstance(values, dict) else None
    if not isinstance(listed, list):
        raise PrecisionNotMet(
            "the engine's list of layers has no entry Layers: expected what TensorRT's inspector writes"
        )
    entries = [{"Name": entry} if isinstance(entry, str) else entry for entry in listed]
    return [_layer(entry) for entry in entries if isinstance(entry, dict)]


def _layer(entry: Mapping[str, Any]) -> EngineLayer:
    name, kind, tactic = (_text(entry, key) for key in ("Name", "LayerType", "TacticName"))
    compiled = name.startswith(("__myl_", "{ForeignNode"))  # a name that TensorRT made; others are made of the nodes'
    says = " ".join((kind, _text(entry, "ParameterType"), tactic, name if compiled else ""))
    nodes = METADATA.findall(_text(entry, "Metadata"))
    if not compiled:
        nodes += re.split(r" \+ | \|\| ", NAME_END.sub("", name, count=1))
    return EngineLayer(
        name=name,
        kind=kind,
        precision=_precision(entry, tactic.lower()) if kind else "",
        nodes=tuple(dict.fromkeys(nodes)),
        tactic=tactic,
        multiplies=bool(kind and MULTIPLIES.search(says)),
    )


def _precision(entry: Mapping[str, Any], tactic: str) -> str:
    """Of the factors that are multiplied. The kernel's name says it; else data and weights must be of one type."""
    if kernel := KERNEL.search(tactic):
        return FACTORS.get(kernel["factor"], UNCLEAR)
    types = {_type_of(tensor) for tensor in _entries(entry, "Inputs")} - {""}
    if weights := _type_of(entry.get("Weights")):
        types = {weights} if weights in types else {UNCLEAR}  # besides the data, a residual of another type may come in
    elif COMPILED_PART.search(_text(entry, "Name")):  # all that is seen of what happens within are its ends
        types |= {_type_of(tensor) for tensor in _entries(entry, "Outputs")} - {""}
    if not types:
        return ""
    precision = types.pop() if len(types) == 1 else UNCLEAR
    if precision == "fp32":
        kernel_name = re.sub(r"0x[0-9a-f]+", "", tactic)
        return next((rounded for rounded, sign in ROUNDED if sign.search(kernel_name)), precision)
    return precision


def _type_of(tensor: Any) -> str:
    """Empty where it is none that a convolution multiplies; `unclear` where the wording is unknown."""
    if not isinstance(tensor, dict):
        return ""
    keys = ("Datatype", "DataType", "Type", "Format/Datatype", "Format")
    said = next((text for key in keys if (text := _text(tensor, key))), "")
    return next((precision for precision, words in WORDS if words.search(said)), UNCLEAR if said else "")


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _entries(entry: Mapping[str, Any], key: str) -> list[Any]:
    value = entry.get(key)
    return value if isinstance(value, list) else []


def _match(layers: Sequence[EngineLayer], convolutions: Sequence[Convolution]) -> dict[str, set[str]]:
    """What each convolution runs in: more than one where several layers do it (one a profile, say) and differ."""
    order = {convolution.name: number for number, convolution in enumerate(convolutions)}
    named: dict[str, set[str]] = {name: set() for name in order}
    within: dict[str, set[str]] = {name: set() for name in order}
    for layer in layers:
        if layer.multiplies:
            for name in named.keys() & set(layer.nodes):
                named[name].add(layer.precision or UNCLEAR)
            for name in _compiled(layer.name, order):
                within[name].add(layer.precision or UNCLEAR)
    return {name: named[name] or within[name] or {NOT_FOUND} for name in order}


def _compiled(name: str, order: Mapping[str, int]) -> list[str]:
    """The convolutions in a compiled part: all between its ends where both are convolutions, else the one at an end."""
    if not (ends := COMPILED_PART.search(name)):
        return []
    first, last = ([order[node] for node in end.split(" + ") if node in order] for end in ends.groups())
    if first and last:
        return [node for node, number in order.items() if min(first) <= number <= max(last)]
    return [node for node, number in order.items() if number in first + last]


def _failure(proof: PrecisionProof, shares: Mapping[str, float], least: float) -> str:
    if not shares:
        return f"no convolution has to run in {proof.asked}{_exempt(proof)}: ask for another --precision"
    largest = sorted(proof.elsewhere, key=lambda name: -shares[name])
    named = [f"{name} ({shares[name]:.1%}): {proof.elsewhere[name]}" for name in largest[:NAMED]]
    return (
        f"{proof.share:.1%} of the convolutions' multiply-adds run in {proof.asked}, expected at least {least:.0%}: "
        f"{', '.join(named)}{_more(largest)}{_exempt(proof)}; {_advice(proof)}"
    )


def _exempt(proof: PrecisionProof) -> str:
    """`; exempt: body.1, body.2 (statistics)`, grouped by reason."""
    groups: dict[str, list[str]] = {}
    for name, reason in proof.exempt.items():
        groups.setdefault(reason, []).append(name)
    texts = [f"{', '.join(names[:NAMED])}{_more(names)} ({reason})" for reason, names in groups.items()]
    return f"; exempt: {', '.join(texts)}" if texts else ""


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - NAMED} more" if len(names) > NAMED else ""


def _advice(proof: PrecisionProof) -> str:
    kinds = set(proof.elsewhere.values())
    if kinds <= {NOT_FOUND, UNCLEAR}:
        return "this TensorRT words its layers in a way that edgesr cannot read: report it, with TensorRT's version"
    if proof.asked == "fp32":
        tf32 = any("tf32" in kind for kind in kinds)
        return "unset NVIDIA_TF32_OVERRIDE, or ask for --precision tf32" if tf32 else "build from an FP32 file"
    if proof.asked == "tf32":
        return "TF32 needs a GPU from Ampere on; ask for --precision fp32"
    return "give TensorRT more --workspace, lest faster kernels do not fit, or ask for --precision fp32"
