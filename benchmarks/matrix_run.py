"""A matrix measured: which file is which network on which backend, and a run of `edgesr.benchmarks.latency` for each size."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgesr.benchmarks.contenders import open_contender
from edgesr.benchmarks.latency import measure_latency
from edgesr.benchmarks.matrix import FILELESS, Matrix
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.rivals import RIVALS, split_rival
from edgesr.runtime.errors import BackendFailed, ForeignModel, InputError, MissingFile, NoDevice

__all__ = ["measure_matrix", "models_of", "references_of"]

ENDINGS = {
    "onnxruntime": ".cpu.onnx",
    "tensorrt": ".engine",
    "opencv": ".onnx",
    "openvino": ".onnx",
    "ncnn": ".bare.onnx",
    "pytorch": ".pt2",
    "onnxruntime-cuda": ".onnx",
    "onnxruntime-tensorrt": ".onnx",
}
ONE_SIZE = ("tensorrt", "pytorch")
"""Their files are for one size and one precision, and named so."""

FLOATS = ("tf32", "fp16", "bf16")
"""On a GPU alone: ONNX Runtime on the CPU computes such a file in FP32, and would be shown under a false name."""


def measure_matrix(
    matrix: Matrix, folder: Path, *, tell: Callable[[str], None] = lambda line: None
) -> tuple[LatencyResult, ...]:
    """A result for each size. Every file that is missing is found before anything is measured."""
    chosen = [(models_of(matrix, folder, *each), references_of(matrix, folder, *each), each) for each in matrix.sizes]
    results = []
    for (models, notes), (references, more_notes), (width, height) in chosen:

        def tell_size(line: str, name: str = f"{width}x{height}") -> None:
            tell(f"{name}: {line}")

        taken, refused = _taken(models, matrix.threads, width, height, tell_size)
        notes = (*notes, *more_notes, *refused)
        if not taken:
            raise InputError(f"nothing is left to measure: {'; '.join(notes)}")
        result = measure_latency(matrix.settings(taken, width, height, references), tell=tell_size)
        results.append(replace(result, notes=(*result.notes, *notes)))
    return tuple(results)


def models_of(matrix: Matrix, folder: Path, width: int, height: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The models of one size, and notes on what was left out: a runtime that is not installed, a precision that it does
    not compute in. Raises MissingFile with the command that makes the first file that is missing."""
    models = [
        name if name == "bicubic" and matrix.scale == 4 else f"{name}:{matrix.scale}"
        for name in matrix.networks
        if name in FILELESS
    ]
    notes = []
    for backend in matrix.backends:
        for precision in matrix.precisions:
            if why := _lacks(backend, precision):
                notes.append(f"left out: {backend} {why}")
                continue
            for network in _with_files(matrix):
                path = _file(matrix, folder, network, backend, precision, (width, height))
                models.append(f"{backend}:{path}" if backend in RIVALS else str(path))
    return tuple(models), tuple(dict.fromkeys(notes))


def references_of(matrix: Matrix, folder: Path, width: int, height: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What each network is compared with, where the matrix asks for parity; and notes. Raises as `models_of`."""
    if not matrix.parity:
        return (), ()
    if why := RIVALS["pytorch"].lacks("fp32"):
        return (), (f"left out: parity, since pytorch {why}",)
    files = (_file(matrix, folder, name, "pytorch", "fp32", (width, height)) for name in _with_files(matrix))
    return tuple(map(str, files)), ()


def _with_files(matrix: Matrix) -> list[str]:
    return [name for name in matrix.networks if name not in FILELESS]


def _lacks(backend: str, precision: str) -> str | None:
    """Why it cannot compute in the precision here."""
    if backend in RIVALS:
        return RIVALS[backend].lacks(precision)
    is_missing = backend == "onnxruntime" and precision in FLOATS
    return f"at {precision}, in which it does not compute" if is_missing else None


def _file(
    matrix: Matrix, folder: Path, network: str, backend: str, precision: str, input_size: tuple[int, int]
) -> Path:
    """`carn_x4.cpu.onnx`, `carn_x4.int8.onnx`, `carn_x4.fp16.320x180.engine`. A variant's colon becomes a dash."""
    stem = f"{network.replace(':', '-')}_x{matrix.scale}"
    dimensions = "{}x{}".format(*input_size)
    if backend in ONE_SIZE:
        path = folder / f"{stem}.{precision}.{dimensions}{ENDINGS[backend]}"
        options = f" --precision {precision} --size {dimensions}"
    else:
        ending = ENDINGS[backend] if precision == "fp32" else f".{precision}.onnx"
        path = folder / f"{stem}{ending}"
        target = {".cpu.onnx": " --target cpu", ".bare.onnx": " --target bare"}.get(ending, "")
        options = target or ("" if precision == "fp32" else f" --precision {precision}")
    if not path.is_file():
        raise MissingFile(
            f"{path} does not exist; make it with edgesr-export {network} --scale {matrix.scale} -o {path}{options} "
            "(a checkpoint instead of the network's name gives it trained weights)"
        )
    return path


def _taken(
    models: Sequence[str], threads: int | None, width: int, height: int, tell: Callable[[str], None]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The models that their runtimes take, and notes on those that a runtime of others refuses: one network that one of
    them cannot run must not cost the matrix. What we cannot run ourselves is an error."""
    taken, notes = [], []
    for model in models:
        rival, name = split_rival(model)
        try:
            if rival:
                tell(f"does {rival} take {Path(name).name}?")
                with closing(open_contender(model, threads)) as contender:
                    contender.check(np.zeros((height, width, 3), np.uint8))
            taken.append(model)
        except (ForeignModel, NoDevice, BackendFailed) as error:
            notes.append(f"left out: {error}")
    return tuple(taken), tuple(notes)
