"""OpenCV's dnn module, as a program uses it that has OpenCV anyway."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgesr.benchmarks.rivals.base import Array, Graph
from edgesr.runtime.layer_times import Layer

__all__ = ["OpenCv"]


class OpenCv(Graph):
    title, module = "OpenCV dnn", "cv2"

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self._module.setNumThreads(threads)  # of the process: cv2 knows no other
        self._net = self._module.dnn.readNetFromONNX(str(path))

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        self._name = name

    def run(self, array: Array) -> Array:
        self._net.setInput(array, self._name)
        made: Array = self._net.forward()
        return made

    def layer_times(self) -> Mapping[Layer, int] | None:
        """None where its times are not one for each layer that it names."""
        _all, ticks = self._net.getPerfProfile()
        names, rate = self._net.getLayerNames(), self._module.getTickFrequency()
        times = np.ravel(ticks)
        if len(names) != len(times):
            return None
        layers = [(name, str(self._net.getLayer(name).type), 0) for name in names]
        return {layer: round(1e9 * time / rate) for layer, time in zip(layers, times, strict=True)}
