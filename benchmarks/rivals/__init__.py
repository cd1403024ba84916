"""Other runtimes on the models that edgesr-export writes: what many use today. The table, and `open_rival`.

A file with bytes at its ends (--target portable, .pt2) is run as our own backends run it, whole frames included; a bare float
graph has its network time alone. Adding one: its file and one line here.
"""

from pathlib import Path

from edgesr.benchmarks.machine import cores
from edgesr.benchmarks.peers import BARE
from edgesr.benchmarks.rivals.base import Graph, RivalBackend, RivalBare, error_line
from edgesr.benchmarks.rivals.ncnn import Ncnn
from edgesr.benchmarks.rivals.opencv import OpenCv
from edgesr.benchmarks.rivals.openvino import OpenVino
from edgesr.benchmarks.rivals.providers import CudaProvider, TensorRTProvider
from edgesr.benchmarks.rivals.pytorch import PyTorch, PyTorchOnCpu
from edgesr.runtime.errors import EdgeSRError, ForeignModel, MissingDependency, MissingFile
from edgesr.runtime.installed import pip_install

__all__ = ["RIVALS", "Graph", "RivalBackend", "RivalBare", "open_reference", "open_rival", "split_rival"]

RIVALS: dict[str, type[Graph]] = {
    "opencv": OpenCv,
    "openvino": OpenVino,
    "ncnn": Ncnn,
    "pytorch": PyTorch,
    "onnxruntime-cuda": CudaProvider,
    "onnxruntime-tensorrt": TensorRTProvider,
}


def split_rival(model: str) -> tuple[str, str]:
    """`openvino:x4.onnx` -> ("openvino", "x4.onnx"); of a model that is ours the first is empty."""
    kind, colon, rest = model.partition(":")
    return (kind, rest) if colon and kind in RIVALS else ("", model)


def open_rival(kind: str, path: Path, threads: int | None) -> RivalBackend | RivalBare:
    """Raises MissingFile, MissingDependency, NoDevice, and ForeignModel for what the runtime does not take."""
    return _opened(RIVALS[kind], kind, path, threads)


def open_reference(path: Path, threads: int | None) -> RivalBackend:
    """What models are compared with: a .pt2 program in PyTorch on the CPU. Raises as `open_rival`."""
    reference = _opened(PyTorchOnCpu, "pytorch", path, threads)
    assert isinstance(reference, RivalBackend)  # programs have bytes at their ends
    return reference


def _opened(rival: type[Graph], kind: str, path: Path, threads: int | None) -> RivalBackend | RivalBare:
    if path.suffix.lower() != rival.suffix or not path.is_file():
        article = "an" if rival.suffix == ".onnx" else "a"
        raise MissingFile(f"{kind}:{path}: expected {article} {rival.suffix} file of edgesr-export after the colon")
    metadata = rival.metadata(path)
    if missing := {"edgesr.spec", "edgesr.form", "edgesr.memory_bytes_per_pixel"} - set(metadata):
        raise ForeignModel(f"{path} lacks {', '.join(sorted(missing))} in its metadata; export it again")
    try:
        graph = rival(path, threads or cores())
    except ImportError as error:
        raise MissingDependency(f"{kind}:{path.name} needs {kind} ({error}): {pip_install(rival.extra)}") from error
    except EdgeSRError:
        raise
    except Exception as error:  # the runtimes' exceptions share no public base
        raise ForeignModel(f"{rival.title} does not take {path}: {error_line(error)}") from error
    return (RivalBare if metadata["edgesr.form"] == BARE else RivalBackend)(graph, metadata)
