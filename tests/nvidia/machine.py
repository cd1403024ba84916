"""A machine with a GPU and one version of TensorRT, played by the fakes in `fakes/`: in this process, and in child processes."""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

__all__ = ["FAKES", "FakeMachine", "machine"]

FAKES = Path(__file__).with_name("fakes")
ROOT = Path(__file__).parent.parent.parent
OURS = ("tensorrt", "pycuda", "fake_nvidia")


class FakeMachine:
    """gpu: the state that the fakes share, see `fakes/fake_nvidia.py`. trt: the module `tensorrt`, imported when asked for."""

    def __init__(self, gpu: Any, version: str, report: Path) -> None:
        self.gpu = gpu
        self.version = version
        self._report = report

    @property
    def trt(self) -> ModuleType:
        return importlib.import_module("tensorrt")

    @property
    def ops(self) -> list[str]:
        """What was done with the GPU, in order, by name."""
        return [op[0] for op in self.gpu.ops]

    def clean(self) -> bool:
        """True; AssertionError where this process, or the last child process that came to its end, did not give all back."""
        ends = [{"left": self.gpu.left(), "faults": self.gpu.faults}]
        if self._report.is_file():
            ends.append(json.loads(self._report.read_text()))
        for end in ends:
            assert end == {"left": {}, "faults": []}, f"not given back: {end}"
        return True


@contextmanager
def machine(version: str = "10.3.0", **knobs: Any) -> Iterator[FakeMachine]:
    """Within it `import tensorrt`, `pycuda` and `libcuda.so.1` are the fakes, also in child processes. knobs: of
    `fake_nvidia.Knobs`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "left.json"
        path = os.pathsep.join([str(FAKES), str(ROOT / ".links"), os.environ.get("PYTHONPATH", "")])
        environment = {
            "EDGESR_FAKE_TENSORRT": version,
            "EDGESR_FAKE_NVIDIA": json.dumps({"report": str(report), **knobs}),
            "PYTHONPATH": path.rstrip(os.pathsep),
        }
        kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] in OURS}
        with mock.patch.dict(os.environ, environment), mock.patch.object(sys, "path", [str(FAKES), *sys.path]):
            _forget()
            fake = importlib.import_module("fake_nvidia")
            undo = fake.use_fake_driver(fake.MACHINE)
            try:
                yield FakeMachine(fake.MACHINE, version, report)
            finally:
                undo()
                _forget()
                sys.modules.update(kept)


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
