"""What a file is, and what this machine says to it. Of an engine all checks of the backend, not only the first that fails."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgesr.export.builder.build import look_into
from edgesr.export.parity import Parity
from edgesr.export.proof import EngineLayer, PrecisionProof, layer_table
from edgesr.runtime.card import EngineCard, check_gpu, check_tensorrt, read_card, read_plan
from edgesr.runtime.cuda import CudaDevice, DeviceFacts, device_facts
from edgesr.runtime.errors import EdgeSRError, InputError, MissingDependency, MissingFile
from edgesr.runtime.installed import pip_install
from edgesr.runtime.nvidia import LastLines, import_tensorrt, load_tensorrt
from edgesr.runtime.trust import key_fingerprint, verify_card
from edgesr.runtime.untrusted_json import check_kinds, cleaned, printable

if TYPE_CHECKING:  # needs onnx, which a board that only runs engines may lack
    from edgesr.export.inspect_onnx import OnnxReport

__all__ = ["EngineReport", "Verdict", "inspect_engine", "inspect_file", "report_table"]

MIB = 2**20
STYLES = {"ok": "green", "refused": "red", "not asked": "yellow"}
T = TypeVar("T")


@dataclass(frozen=True)
class Verdict:
    """What this machine answers to one question. said: what was found, or why it is refused or was not asked."""

    question: str
    result: Literal["ok", "refused", "not asked"]
    said: str


@dataclass(frozen=True)
class EngineReport:
    """card, identity: None and empty where no card can be read. runs_here: nothing was refused.
    layers: of the plan itself; empty where this machine did not open it, or TensorRT's answer cannot be read.
    """

    path: str
    plan_bytes: int
    card: EngineCard | None
    identity: str
    verdicts: list[Verdict]
    runs_here: bool
    layers: list[EngineLayer]


def inspect_file(path: Path, *, trust: Path | None = None) -> "EngineReport | OnnxReport":
    """An .engine, see `inspect_engine`, or an .onnx file, which carries no signature. Raises InputError for anything else."""
    if path.suffix == ".engine":
        return inspect_engine(path, trust=trust)
    if path.suffix != ".onnx":
        raise InputError(f"{path} is no file that can be inspected; expected one ending in .engine or .onnx")
    if trust is not None:
        raise InputError(f"{path} carries no signature, only engines do: leave --trust out")
    try:
        from edgesr.export.inspect_onnx import inspect_onnx
    except ImportError as error:
        raise MissingDependency(f"reading ONNX needs a missing package ({error}): {pip_install('engine')}") from error
    return inspect_onnx(path)


def inspect_engine(path: Path, *, trust: Path | None = None) -> EngineReport:
    """Ask all that `TensorRTBackend` asks, in its order. TensorRT opens the plan only where nothing was refused.

    trust: public key that must have signed the card. Raises MissingFile where there is no engine or no such key, InputError
    for a file that is no such key, MissingDependency where it cannot be read; all else is a verdict.
    """
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected an engine built by edgesr-export")
    wanted = key_fingerprint(trust) if trust else ""
    verdicts: list[Verdict] = []
    plan: bytes | None = None
    card = _ask(verdicts, "card", lambda: read_card(path), lambda card: f"whole, identity {card.identity[:12]}")
    if card:
        if trust:
            _ask(verdicts, "signature", lambda: verify_card(card, trust), lambda _: f"by {wanted}")
        else:
            who = f"by {card.signer}, " if card.signature else "none, "
            verdicts.append(Verdict("signature", "not asked", f"{who}and no --trust key was given to check it with"))
        plan = _ask(verdicts, "bytes", lambda: read_plan(path, card), lambda _: f"SHA-256 {card.plan_sha256[:12]}")
    _ask(verdicts, "TensorRT", lambda: _tensorrt(path, card), str)
    _ask(verdicts, "GPU", lambda: _gpu(path, card), _gpu_line)
    inspected: str | None = None
    if plan is not None and _none_refused(verdicts):
        inspected = _ask(verdicts, "plan", lambda: _inspected(plan), lambda _: "TensorRT opens it")
    else:
        verdicts.append(Verdict("plan", "not asked", "TensorRT is given no plan while anything else is refused"))
    return EngineReport(
        path=str(path),
        plan_bytes=path.stat().st_size,
        card=card,
        identity=card.identity if card else "",
        verdicts=verdicts,
        runs_here=_none_refused(verdicts),
        layers=_layers(inspected) if inspected else [],
    )


def _ask(verdicts: list[Verdict], question: str, answer: Callable[[], T], found: Callable[[T], str]) -> T | None:
    try:
        value = answer()
    except EdgeSRError as error:
        verdicts.append(Verdict(question, "refused", _line(str(error))))
        return None
    verdicts.append(Verdict(question, "ok", _line(found(value))))
    return value


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def _none_refused(verdicts: list[Verdict]) -> bool:
    return all(verdict.result != "refused" for verdict in verdicts)


def _tensorrt(path: Path, card: EngineCard | None) -> str:
    version = str(import_tensorrt().__version__)
    if card:
        check_tensorrt(path, card, version)
    return version


def _gpu(path: Path, card: EngineCard | None) -> DeviceFacts:
    facts = device_facts()
    if card:
        check_gpu(path, card, facts.name, facts.compute_capability)
    return facts


def _gpu_line(facts: DeviceFacts) -> str:
    free = f"{facts.free_bytes / MIB:,.0f} of {facts.total_bytes / MIB:,.0f} MiB free"
    return f"{facts.name} (compute capability {facts.compute_capability}), driver for CUDA {facts.driver}, {free}"


def _inspected(plan: bytes) -> str:
    """What TensorRT's engine inspector tells of a plan, as JSON."""
    trt = load_tensorrt()
    log = LastLines(trt)
    with CudaDevice() as device, device.current():
        return look_into(trt, log, plan)[0]  # whose objects must be gone before the GPU is given back


def _layers(inspected: str) -> list[EngineLayer]:
    try:
        layers: list[EngineLayer] = cleaned(layer_table(inspected))
    except EdgeSRError:  # an engine may run whose layers nobody can read
        return []
    return layers


def report_table(report: "EngineReport | OnnxReport") -> RenderableType:
    """Of an engine its card, its layers where the plan told them, and what this machine says."""
    if not isinstance(report, EngineReport):
        from edgesr.export.inspect_onnx import onnx_table

        return onnx_table(report)
    card = [_card_table(report, report.card)] if report.card else []
    layers = [_layers_shown(report.layers)] if report.layers else []
    return Group(*card, *layers, _verdict_table(report))


def _card_table(report: EngineReport, card: EngineCard) -> Table:
    table = _table(printable(report.path))
    for name, value in _card_rows(report, card):
        table.add_row(name, Text(value, overflow="fold"))
    return table


def _card_rows(report: EngineReport, card: EngineCard) -> Iterator[tuple[str, str]]:
    yield "network", f"{card.spec.title}, {card.spec.colour}, {card.spec.parameters:,} parameters"
    yield "input", "; ".join(profile.title for profile in card.profiles)
    yield from _precision_rows(card)
    for entry in card.parity:
        yield "parity", _parity(entry)
    yield "memory", f"{card.memory_bytes / MIB:,.1f} MiB of the GPU; the plan has {report.plan_bytes / MIB:,.1f} MiB"
    yield "TensorRT", f"{card.tensorrt}, driver for CUDA {card.cuda_driver}"
    yield "GPU", f"{card.gpu} (compute capability {card.compute_capability})"
    yield "built", f"{card.built}, in {card.build_seconds:.0f} s, by edgesr {card.edgesr}"
    yield "command", card.command
    yield "settings", _entries(card.settings)
    yield "identity", report.identity
    yield "SHA-256", card.plan_sha256
    yield "of the ONNX", card.onnx_sha256
    yield "of the weights", card.weights_sha256
    yield "signed", f"by {card.signer or 'unnamed'}" if card.signature else "no"


def _precision_rows(card: EngineCard) -> Iterator[tuple[str, str]]:
    """Asked and found. What a card calls its proof may be anything, as long as nobody signed it."""
    try:
        proof = PrecisionProof(**card.proof)
        check_kinds(proof)
    except (TypeError, InputError):
        yield "precision", f"{card.precision} was asked for; the card's proof cannot be read: {_entries(card.proof)}"
    else:
        yield (
            "precision",
            f"{card.precision}: {proof.share:.1%} of the convolutions' multiply-adds that must run in it do",
        )
        yield "found", ", ".join(f"{share:.1%} {precision}" for precision, share in proof.found.items())
        yield "elsewhere", _entries(proof.elsewhere)
        yield "exempt", _entries(proof.exempt)
    yield "nodes in FP32", _entries(Counter(card.fp32_layers.values()))


def _parity(entry: dict[str, Any]) -> str:
    try:
        parity = Parity(**entry | ({"psnr_db": inf} if entry.get("psnr_db") is None else {}))
        check_kinds(parity)
    except (TypeError, InputError):
        return f"cannot be read: {_entries(entry)}"
    return f"at {parity.width}x{parity.height} with ONNX Runtime: {parity.title}"


def _entries(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items()) or "none"


def _layers_shown(layers: Sequence[EngineLayer]) -> Table:
    table = Table(title=f"{len(layers)} layers, as the plan tells them", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("layer", "kind", "precision", "kernel"):
        table.add_column(column, overflow="fold")
    for layer in layers:
        table.add_row(*(Text(text) for text in (layer.name, layer.kind, layer.precision, layer.tactic)))
    return table


def _verdict_table(report: EngineReport) -> Table:
    table = _table("this machine would run it" if report.runs_here else "this machine refuses it")
    for verdict in report.verdicts:
        result = Text(verdict.result, style=STYLES[verdict.result])
        table.add_row(verdict.question, result, Text(verdict.said, overflow="fold"))
    return table


def _table(title: str) -> Table:
    return Table(title=Text(title), box=SIMPLE_HEAD, show_header=False, padding=(0, 1, 0, 0))
