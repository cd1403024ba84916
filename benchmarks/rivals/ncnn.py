"""ncnn on the CPU, in FP32; bare float graphs alone, since it has no byte tensors."""

import subprocess
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np

from edgesr.benchmarks.rivals.base import Array, Graph
from edgesr.runtime.errors import ForeignModel

__all__ = ["Ncnn"]

CONVERSION_LIMIT_S = 300


class Ncnn(Graph):
    """Converted by pnnx, ncnn's own tool, for one size."""

    title, module = "ncnn", "ncnn"
    precisions = ("fp32",)

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self._pnnx = Path(import_module("pnnx").__file__ or "").with_name("pnnx")

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        if len(shape) != 4 or shape[-1] == 3:
            raise ForeignModel(f"{self.path} takes bytes, ncnn has only floats; export it with --target bare")
        self._net = self._module.Net()
        options = self._net.opt
        options.num_threads = self.threads
        options.openmp_blocktime = 0  # idle threads sleep, as ours do
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        with tempfile.TemporaryDirectory(prefix="edgesr-ncnn-") as folder:
            own = Path(folder) / "model.onnx"
            own.write_bytes(self.path.read_bytes())  # pnnx writes eight files beside its input
            size = ",".join(map(str, shape))
            line = [str(self._pnnx), str(own), f"inputshape=[{size}]f32", "fp16=0"]
            told = subprocess.run(line, cwd=folder, capture_output=True, timeout=CONVERSION_LIMIT_S, check=False)
            made = [own.with_suffix(".ncnn.param"), own.with_suffix(".ncnn.bin")]
            if told.returncode or not all(path.is_file() for path in made):
                raise ForeignModel(f"{self.path}: pnnx made no ncnn model of it (exit code {told.returncode})")
            if self._net.load_param(str(made[0])) or self._net.load_model(str(made[1])):
                raise ForeignModel(f"{self.path}: ncnn cannot load what pnnx made of it")

    def run(self, array: Array) -> Array:
        extractor = self._net.create_extractor()
        extractor.input("in0", self._module.Mat(array[0]))
        _code, made = extractor.extract("out0")
        return np.asarray(made)[None]
