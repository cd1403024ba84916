"""What an .onnx file is, and whether TensorRT would take it. Nothing is run. Needs onnx, no torch."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import TensorProto
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgesr.export.onnx_file import metadata
from edgesr.export.rules import broken_rules
from edgesr.runtime.card import file_sha256
from edgesr.runtime.errors import ForeignModel, InputError, MissingFile
from edgesr.runtime.spec import ModelSpec
from edgesr.runtime.untrusted_json import check_kinds, cleaned, printable

__all__ = ["OnnxReport", "inspect_onnx", "onnx_table"]

SHOWN_RULES = 10


@dataclass(frozen=True)
class OnnxReport:
    """spec: None where edgesr-export did not write the file. form: see `docs/export.md`. ends: name of each input and output ->
    type and shape. fp32_nodes: how many stay FP32 in an FP16 graph. broken_rules: what TensorRT would not take, each with its
    node; engines are made from the portable form alone.
    """

    path: str
    spec: ModelSpec | None
    form: str
    precision: str
    ends: dict[str, str]
    opsets: dict[str, int]
    ir_version: int
    operators: dict[str, int]
    fp32_nodes: int
    sha256: str
    weights_sha256: str
    broken_rules: list[str]


def inspect_onnx(path: Path) -> OnnxReport:
    """Raises MissingFile, ForeignModel for what is no ONNX file, InputError for a damaged spec."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected an .onnx file")
    try:
        sha256, model = file_sha256(path), onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ForeignModel(f"{path} is no ONNX file, or a damaged one; export it again with edgesr-export") from error
    except onnx.checker.ValidationError as error:
        raise ForeignModel(
            f"{path} is no valid ONNX: {printable(str(error).splitlines()[0])}; export it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; let this user read it") from error
    graph, entries = model.graph, metadata(model)
    if not graph.node or not _all_text(model):
        raise ForeignModel(f"{path} holds no graph, or a damaged one; export it again with edgesr-export")
    return OnnxReport(
        path=str(path),
        spec=_spec(path, entries["edgesr.spec"]) if "edgesr.spec" in entries else None,
        form=printable(entries.get("edgesr.form", "not said")),
        precision=printable(entries.get("edgesr.precision", "fp32" if "edgesr.spec" in entries else "not said")),
        ends={printable(end.name): _end(end) for end in [*graph.input, *graph.output]},
        opsets={printable(opset.domain): opset.version for opset in model.opset_import},
        ir_version=model.ir_version,
        operators={printable(kind): count for kind, count in Counter(n.op_type for n in graph.node).most_common()},
        fp32_nodes=_count(entries.get("edgesr.fp32_nodes", "[]")),
        sha256=sha256,
        weights_sha256=printable(entries.get("edgesr.weights_sha256", "")),
        broken_rules=_broken_rules(path, model),
    )


def _all_text(message: Message) -> bool:
    """Whether all strings are: protobuf gives those that are no UTF-8 as bytes, and says nothing."""
    for field, value in message.ListFields():
        entries = [value] if isinstance(value, (str, bytes, Message)) else value
        if field.message_type and not all(_all_text(entry) for entry in entries):
            return False
        if field.type == field.TYPE_STRING and not all(isinstance(entry, str) for entry in entries):
            return False
    return True


def _spec(path: Path, text: str) -> ModelSpec:
    try:
        spec: ModelSpec = cleaned(ModelSpec.from_json(text))
        check_kinds(spec)
    except (InputError, RecursionError) as error:
        raise ForeignModel(f"{path}: what it says of its network cannot be read ({printable(str(error))})") from error
    return spec


def _broken_rules(path: Path, model: onnx.ModelProto) -> list[str]:
    try:
        broken = broken_rules(model)
    except Exception as error:  # of a graph that is valid by ONNX's checker alone, its helpers raise whatever comes
        raise ForeignModel(
            f"{path} has a graph that cannot be followed ({type(error).__name__}: {printable(str(error))}); export it again"
        ) from error
    return [printable(f"{violation.node}: {violation.rule}") for violation in broken]


def _end(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    sides = (printable(dim.dim_param) or str(dim.dim_value or "?") for dim in tensor.shape.dim)
    known = tensor.elem_type in TensorProto.DataType.values()
    kind = TensorProto.DataType.Name(tensor.elem_type).lower() if known else f"type {tensor.elem_type}"
    return f"{kind} ({', '.join(sides)})"


def _count(text: str) -> int:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return 0
    return len(names) if isinstance(names, list) else 0


def onnx_table(report: OnnxReport) -> Table:
    spec, operators = report.spec, list(report.operators.items())
    few = ", ".join(f"{count} {kind}" for kind, count in operators[:6]) + (", …" if operators[6:] else "")
    rows = [("network", f"{spec.title}, {spec.colour}" if spec else "not written by edgesr-export")]
    if spec:
        work = f"{spec.parameters:,} parameters, {spec.multiply_adds_per_pixel:,.0f} multiply-adds for an input pixel"
        rows += [("", work)]
    stay = f", {report.fp32_nodes} nodes in FP32" if report.fp32_nodes else ""
    rows += [
        ("form", report.form),
        ("precision", report.precision + stay),
        *((name, kind) for name, kind in report.ends.items()),
        ("opset", ", ".join(f"{domain or 'ONNX'} {version}" for domain, version in report.opsets.items())),
        ("IR version", str(report.ir_version)),
        ("nodes", f"{sum(report.operators.values())}: {few}"),
        ("SHA-256", report.sha256),
        ("of the weights", report.weights_sha256 or "not said"),
        ("for TensorRT", "\n".join(report.broken_rules[:SHOWN_RULES]) or "breaks no rule that we know; none was asked"),
    ]
    if more := len(report.broken_rules) - SHOWN_RULES:
        rows += [("", f"and {more} more")] if more > 0 else []
    table = Table(title=Text(printable(report.path)), box=SIMPLE_HEAD, show_header=False, padding=(0, 1, 0, 0))
    for name, value in rows:
        table.add_row(name, Text(value, overflow="fold"))
    return table
