"""Engines on this GPU: built with an empty and a filled timing cache, proven, compared, timed. Needs NumPy, PyCUDA, TensorRT."""

import json
import time
from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from platform import python_version
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edgesr.export.builder.graph import EngineGraph, load_graph
from edgesr.export.engine import EngineExport, EngineOptions, Reference, build_engine
from edgesr.runtime.backends.tensorrt import TensorRTBackend
from edgesr.runtime.card import card_path
from edgesr.runtime.cuda import device_facts
from edgesr.runtime.errors import EdgeSRError, MissingFile, RunError
from edgesr.runtime.nvidia import load_tensorrt

WARM_UP = 50  # frames
LAUNCHES = 100  # of the engine alone, in a row


def check_engines(options: Namespace) -> None:
    """Writes JSON with a row for every model and precision; what failed has its error there, and ends the run with code 1."""
    prepared = options.folder / "prepared.json"
    if not prepared.is_file():
        raise MissingFile(f"{prepared} does not exist; expected a folder made by gpu_check prepare")
    known = json.loads(prepared.read_text())
    trt, facts = load_tensorrt(), device_facts()
    rows = []
    for name in known["models"]:
        for described in sorted((options.folder / name).glob("*.json")):
            row: dict[str, Any] = {"model": name, "precision": described.stem}
            print(f"{name} {described.stem}", flush=True)
            try:
                row |= _check(described, known["edgesr"], options)
            except EdgeSRError as error:
                row["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
                print(f"  {row['error']}", flush=True)
            rows.append(row)
            result = {
                "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "edgesr": known["edgesr"],
                "gpu": facts.name,
                "compute_capability": facts.compute_capability,
                "driver": facts.driver,
                "tensorrt": trt.__version__,
                "python": python_version(),
                "numpy": np.__version__,
                "engines": rows,
            }
            options.output.write_text(
                json.dumps(result) + "\n"
            )  # after each row: a run that is cut off keeps what it has
    if failed := [f"{row['model']} {row['precision']}" for row in rows if "error" in row]:
        raise RunError(f"{len(failed)} of {len(rows)} failed ({', '.join(failed)}); the others are in {options.output}")


def _check(described: Path, edgesr: str, options: Namespace) -> dict[str, Any]:
    graph = load_graph(described)
    with np.load(described.with_suffix(".npz")) as stored:
        sides = [stored[name] for name in ("frame", "expected", "exact") if name in stored]
        references = [Reference(*one) for one in zip(*sides, strict=True)]
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{described.parent.name}.{described.stem}.engine"
        cache = Path(scratch) / "timings"
        first, second = (_build(graph, path, references, cache, edgesr) for _ in range(2))
        row = _row(graph, first, second) | {"latency": _latency(path, references[0].frame, options)}
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for file in (path, card_path(path)):
                file.replace(options.keep / file.name)
    return row


def _build(graph: EngineGraph, path: Path, references: Sequence[Reference], cache: Path, edgesr: str) -> EngineExport:
    made = EngineOptions(command="python scripts/gpu_check engines", edgesr=edgesr, timing_cache=str(cache))
    return build_engine(graph, path, references, made)


def _row(graph: EngineGraph, first: EngineExport, second: EngineExport) -> dict[str, Any]:
    return {
        "spec": graph.spec.title,
        "graph": graph.kind,
        "input": graph.profiles[0].title,
        "build_s": {"cold": first.built.seconds, "cached": second.built.seconds, "cache": second.built.cache},
        "proof": second.card.proof,
        "parity": second.card.parity,
        "plan_bytes": second.path.stat().st_size,
        "memory_bytes": second.built.memory_bytes,
        "pinned": list(second.built.pinned),
        "notes": list(second.built.notes),
    }


def _latency(path: Path, frame: np.ndarray, options: Namespace) -> dict[str, Any]:
    """Every sample in ns, with the CUDA graph and without, in turns."""
    ways: dict[str, dict[str, Any]] = {}
    backends = {"graph": TensorRTBackend(path), "plain": TensorRTBackend(path, cuda_graph=False)}
    try:
        for name, backend in backends.items():
            for _ in range(WARM_UP):
                backend.infer(frame)
            ways[name] = {"cuda_graph": backend.settings["cuda_graph"], "samples_ns": {}}
        for _ in range(options.rounds):
            for name, backend in backends.items():
                samples = ways[name]["samples_ns"]
                samples.setdefault("engine alone", []).append(backend.time_network(LAUNCHES))
                for _ in range(options.frames):
                    begin = time.perf_counter_ns()
                    backend.infer(frame)
                    samples.setdefault("whole frame", []).append(time.perf_counter_ns() - begin)
                    samples.setdefault("network", []).append(backend.network_ns)
                    for copy, duration in backend.copies_ns.items():
                        samples.setdefault(copy, []).append(duration)
    finally:
        for backend in backends.values():
            backend.close()
    for way in ways.values():
        way["median_ms"] = {stage: median(values) / 1e6 for stage, values in way["samples_ns"].items()}
    return ways
