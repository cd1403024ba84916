"""A graph made ready for TensorRT, with all that the build and its proof must know of it. Can be stored, so that a machine
without onnx builds from it."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edgesr.export.builder.plan import GraphKind, Precision
from edgesr.export.proof import Convolution
from edgesr.runtime.card import Profile
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.spec import ModelSpec

__all__ = ["EngineGraph", "load_graph", "save_graph"]

PART = 32 * 2**20  # bytes of a file: large graphs travel in pieces


@dataclass(frozen=True, kw_only=True)
class EngineGraph:
    """onnx: the file's bytes; sizes fixed where `profiles` has one fixed size. precision: that it was made for.

    kind: see `edgesr.export.builder.plan`. nodes: `name (Operator)` of every node, in order, for TensorRT's error messages.
    fp32_layers: name of each node that stays FP32 -> why; bound by the graph's types, or pinned where flags choose.
    convolutions: what the proof asks for. bytes_per_pixel: of the input, for the live tensors in FP32 at the worst moment.
    source_sha256, weights_sha256: of the .onnx file it was made from, and of the weights in it.
    """

    onnx: bytes
    spec: ModelSpec
    precision: Precision
    kind: GraphKind
    profiles: tuple[Profile, ...]
    nodes: tuple[str, ...]
    fp32_layers: dict[str, str]
    convolutions: tuple[Convolution, ...]
    bytes_per_pixel: float
    source_sha256: str
    weights_sha256: str


def save_graph(graph: EngineGraph, path: Path) -> None:
    """Write what is known to `path` (.json), and the ONNX beside it in pieces named by its SHA-256, once for all that share it."""
    digest = hashlib.sha256(graph.onnx).hexdigest()[:16]
    names = []
    for number, start in enumerate(range(0, len(graph.onnx), PART)):
        names.append(f"{digest}.onnx.{number}")
        (path.parent / names[-1]).write_bytes(graph.onnx[start : start + PART])
    path.write_text(json.dumps(asdict(replace(graph, onnx=b"")) | {"onnx": names}) + "\n")


def load_graph(path: Path) -> EngineGraph:
    """What `save_graph` wrote. Raises MissingFile, InputError."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected a graph that was prepared for an engine")
    try:
        facts = json.loads(path.read_text())
        pieces = [(path.parent / name).read_bytes() for name in facts["onnx"]]
        profiles = [Profile(*(tuple(p[name]) for name in ("least", "best", "most"))) for p in facts["profiles"]]
        return EngineGraph(
            **facts
            | {
                "onnx": b"".join(pieces),
                "spec": ModelSpec.from_json(json.dumps(facts["spec"])),
                "profiles": tuple(profiles),
                "nodes": tuple(facts["nodes"]),
                "convolutions": tuple(Convolution(**entry) for entry in facts["convolutions"]),
            }
        )
    except FileNotFoundError as error:
        raise MissingFile(f"{error.filename} is missing, a piece of {path}: prepare it again") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} cannot be used ({error!r}): prepare it again") from error
