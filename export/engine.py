"""A prepared graph → an engine for this machine: built, proven, compared on frames, and only then installed with its card.

Works where neither onnx, ONNX Runtime nor torch is: graph and reference frames may be prepared elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgesr.export.builder.graph import EngineGraph
from edgesr.export.builder.job import BuildJob, BuildSettings, Built
from edgesr.export.builder.plan import Precision, build_plan
from edgesr.export.builder.process import build_in_process
from edgesr.export.parity import BF16, FP16, FP32, INT8, Limits, Parity, check_frame
from edgesr.export.proof import PrecisionProof, prove_precision
from edgesr.export.sign import private_key_fingerprint, sign_card
from edgesr.runtime.backends.tensorrt import TensorRTBackend
from edgesr.runtime.card import EngineCard, card_path, file_sha256, read_card, trusted_plan, write_card
from edgesr.runtime.cuda import device_facts
from edgesr.runtime.errors import EngineRefused, InputError, MissingFile, OutputFailed, ParityFailed
from edgesr.runtime.files import check_output
from edgesr.runtime.frame import Pixels
from edgesr.runtime.nvidia import load_tensorrt
from edgesr.runtime.quality import psnr

__all__ = ["LIMITS", "EngineExport", "EngineOptions", "Reference", "build_engine", "is_current"]

LIMITS: dict[Precision, Limits] = {"fp32": FP32, "tf32": FP16, "fp16": FP16, "bf16": BF16, "int8": INT8}
"""What an engine may differ by from the graph that it was made from, as ONNX Runtime computes that on the CPU."""
INT8_SLACK_DB = 1.0  # FP16 around INT8 was between 0.1 dB further and 0.5 dB nearer (Set5, Set14, BSD100)


@dataclass(frozen=True)
class Reference:
    """A frame and what the engine should make of it: uint8 (H, W, 3) BGR, and scale times the size.

    exact: for INT8, what FP32 makes of it, where that is known.
    """

    frame: Pixels
    expected: Pixels
    exact: Pixels | None = None


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """timing_cache: path of its file, `off`, or empty for the user's cache folder. key: private key that signs the card.
    command: what builds the engine again. edgesr: our version.
    """

    command: str
    edgesr: str
    settings: BuildSettings = field(default_factory=BuildSettings)
    timing_cache: str = ""
    key: Path | None = None


@dataclass(frozen=True)
class EngineExport:
    """What was installed."""

    path: Path
    card: EngineCard
    proof: PrecisionProof
    parity: list[Parity]
    built: Built


def build_engine(
    graph: EngineGraph,
    path: Path,
    references: Sequence[Reference],
    options: EngineOptions,
    *,
    tell: Callable[[dict[str, Any]], None] = lambda event: None,
) -> EngineExport:
    """Build, prove, compare, install. `tell` is given the build's events, see `edgesr.export.builder.build.Tell`.

    Raises NoDevice, MissingDependency, BuildTooLarge, BuildFailed, InputError for a graph that this TensorRT does not take;
    PrecisionNotMet and ParityFailed: nothing is installed, and what lay at `path` stays.
    """
    if not references:
        raise InputError("an engine is compared on frames before it is installed: expected at least one reference")
    check_output(path, force=True)
    if options.key:
        private_key_fingerprint(options.key)  # a key that will not do is told before minutes are spent
    draft = _draft(graph, options)
    with TemporaryDirectory(prefix=".edgesr-", dir=path.parent) as scratch:
        plan = Path(scratch) / path.name
        built = build_in_process(graph.onnx, _job(graph, draft, options), plan, tell=tell)
        proof = prove_precision(built.layers, graph.convolutions, graph.precision)
        card = replace(
            draft,
            plan_sha256=file_sha256(plan),
            proof=asdict(proof),
            memory_bytes=built.memory_bytes,
            built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            build_seconds=round(built.seconds, 1),
        )
        write_card(card, plan)
        parity = _compare(plan, graph, references)
        card = replace(card, parity=[one.plain() for one in parity])
        if options.key:
            card = sign_card(card, options.key)
        write_card(card, plan)
        _install(plan, path)
    return EngineExport(path, card, proof, parity, built)


def is_current(path: Path, graph: EngineGraph, options: EngineOptions) -> bool:
    """Whether the engine at `path` was built from this very graph with these very settings, for this machine, and is whole."""
    draft = _draft(graph, options)
    try:
        if read_card(path).identity != draft.identity:
            return False
        trusted_plan(
            path, trust=None, tensorrt=draft.tensorrt, gpu=draft.gpu, compute_capability=draft.compute_capability
        )
    except (EngineRefused, MissingFile):
        return False
    return True


def _draft(graph: EngineGraph, options: EngineOptions) -> EngineCard:
    """All of the card that is known beforehand: enough for its identity."""
    trt, facts = load_tensorrt(), device_facts()
    return EngineCard(
        spec=graph.spec,
        profiles=graph.profiles,
        precision=graph.precision,
        settings=asdict(options.settings),
        onnx_sha256=graph.source_sha256,
        weights_sha256=graph.weights_sha256,
        plan_sha256="",
        tensorrt=trt.__version__,
        cuda_driver=facts.driver,
        gpu=facts.name,
        compute_capability=facts.compute_capability,
        edgesr=options.edgesr,
        command=options.command,
        fp32_layers=graph.fp32_layers,
    )


def _job(graph: EngineGraph, draft: EngineCard, options: EngineOptions) -> BuildJob:
    plan = build_plan(graph.precision, draft.tensorrt)
    if plan.graph != graph.kind:
        raise InputError(
            f"the graph was prepared as {graph.kind}; TensorRT {draft.tensorrt} builds {graph.precision} from {plan.graph}: prepare it again"
        )
    return BuildJob(
        plan=plan,
        profiles=graph.profiles,
        settings=options.settings,
        nodes=graph.nodes,
        fp32_layers=tuple(graph.fp32_layers),
        timing_cache=options.timing_cache,
        peak_bytes=graph.bytes_per_pixel * max(width * height for width, height in (p.most for p in graph.profiles)),
    )


def _compare(plan: Path, graph: EngineGraph, references: Sequence[Reference]) -> list[Parity]:
    name = f"the engine of {graph.spec.title} in {graph.precision.upper()}"
    found = []
    with TensorRTBackend(plan) as backend:
        for one in references:
            made = backend.infer(one.frame).copy()  # pinned memory goes back with its last array: not after the backend
            found.append(
                check_frame(one.frame, one.expected, made, LIMITS[graph.precision], model=name, original="ONNX Runtime")
            )
            if one.exact is not None:
                _check_distance(one.exact, one.expected, made, name)
    return found


def _check_distance(exact: Pixels, expected: Pixels, made: Pixels, name: str) -> None:
    """Two right executions of an INT8 graph differ by whole steps; neither may be further from FP32 than the other."""
    on_cpu, on_gpu = psnr(exact, expected), psnr(exact, made)
    if on_gpu < on_cpu - INT8_SLACK_DB:
        raise ParityFailed(
            f"{name} is {on_gpu:.1f} dB from FP32, its graph on the CPU {on_cpu:.1f} dB; expected at most "
            f"{INT8_SLACK_DB:.0f} dB less: nothing was written"
        )


def _install(plan: Path, path: Path) -> None:
    """Both files take their names, the plan first: a card that does not fit its plan is refused, never run."""
    try:
        plan.replace(path)
        card_path(plan).replace(card_path(path))
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror or error}") from error
