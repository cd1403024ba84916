"""TensorRT on an NVIDIA GPU: an engine that edgesr-export built on this machine, fed and read through PyCUDA."""

import json
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.card import EngineCard, Profile, read_card, trusted_plan
from edgesr.runtime.cuda import CudaDevice
from edgesr.runtime.cuda_graph import CaptureFailed, CudaGraph
from edgesr.runtime.errors import BackendFailed, EngineRefused, InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.layer_times import Layer, ProfiledFrames, profiled_frames
from edgesr.runtime.nvidia import LastLines, import_tensorrt, load_tensorrt

__all__ = ["TensorRTBackend"]

ENDS = ("frame", "upscaled")


class TensorRTBackend(Backend):
    """A plan with its card beside it. Belongs to the thread that opens it.

    trust: public key that must have signed the card; None: an unsigned card will do. cuda_graph: False launches every kernel
    anew; see `settings` for what came of it.
    Raises MissingFile, NoDevice, MissingDependency; EngineRefused for a plan of another GPU or TensorRT, without card, or
    with other bytes than its card says; UntrustedEngine.
    """

    def __init__(self, path: Path, *, trust: Path | None = None, cuda_graph: bool = True) -> None:
        self._path = path
        read_card(path)  # what is wrong with the file is said before anything that is wrong with the machine
        trt = load_tensorrt()
        self._device = CudaDevice()
        try:
            facts = self._device.facts
            self._card, plan = trusted_plan(
                path, trust=trust, tensorrt=trt.__version__, gpu=facts.name, compute_capability=facts.compute_capability
            )
            self._log = LastLines(trt)
            with self._device.current():
                self._load(trt, plan)
        except BaseException:
            self.close()
            raise
        self.spec = self._card.spec
        self.profiles = self._card.profiles
        self.title = f"{self.spec.title} · TensorRT {self._card.precision.upper()}"
        self.network_ns = 0
        self._wants_graph = cuda_graph
        self._graph: CudaGraph | None = None
        self._profile = 0
        self._shape: tuple[int, ...] = ()
        self.settings = _settings(path, self._card, facts.integrated)

    def _load(self, trt: ModuleType, plan: bytes) -> None:
        self._runtime = self._log.made("runtime", lambda: trt.Runtime(self._log.logger), BackendFailed)
        engine = self._engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineRefused(f"TensorRT does not take {self._path}: {self._log.said()}; {self._card.remedy}")
        ends = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        if sorted(ends) != sorted(ENDS) or any(engine.get_tensor_dtype(end) != trt.DataType.UINT8 for end in ends):
            raise EngineRefused(
                f"{self._path} takes and gives {', '.join(ends)}; expected bytes 'frame' and 'upscaled'"
            )
        self._context = engine.create_execution_context()
        if self._context is None:
            raise BackendFailed(
                f"{self._path} does not start, it needs {self._card.memory_bytes / 2**20:.0f} MiB of GPU memory "
                f"({self._log.said()}): close what else uses the GPU, or build for a smaller size"
            )

    def infer(self, pixels: Pixels) -> Pixels:
        device = self._device
        with device.current():
            if pixels.shape != self._shape:
                self._prepare(pixels)
            self._input.host[0] = pixels
            device.mark("start")
            device.upload(self._input)
            device.mark("uploaded")
            self._launch()
            device.mark("computed")
            device.download(self._output)
            device.mark("downloaded")
            device.synchronize()
            if self._input.device is not None:
                self.copies_ns = {
                    "upload": device.elapsed_ns("start", "uploaded"),
                    "download": device.elapsed_ns("computed", "downloaded"),
                }
            self.network_ns = device.elapsed_ns("uploaded", "computed")
        result: Pixels = self._output.host[0]
        return result

    def time_network(self, launches: int) -> int:
        """Nanoseconds of one launch, back to back without copies, for the size of the last `infer`: what the engine alone can do."""
        if not self._shape:
            raise InputError("the network is timed for the size of a frame: infer one first")
        with self._device.current():
            self._device.mark("start")
            for _ in range(launches):
                self._launch()
            self._device.mark("computed")
            self._device.synchronize()
            return self._device.elapsed_ns("start", "computed") // launches

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames:
        """By TensorRT's profiler, which stays: a launch waits for its layers from then on, and none is captured. Not yet run on
        a GPU."""
        trt = import_tensorrt()
        kinds = self._kinds(trt)
        spent_ns: dict[Layer, int] = {}

        class Profiler(trt.IProfiler):  # type: ignore[misc, name-defined]  # made by the module at hand
            def report_layer_time(self, layer_name: str, ms: float) -> None:
                layer = (layer_name, kinds.get(layer_name, ""), 0)
                spent_ns[layer] = spent_ns.get(layer, 0) + round(1e6 * ms)

        self._wants_graph, self._shape = False, ()  # a captured graph reports nothing
        self.infer(pixels)
        self._context.profiler = Profiler()
        network_ns, found = [], []
        for _ in range(frames):
            spent_ns.clear()
            self.infer(pixels)
            network_ns.append(self.network_ns)
            found.append(dict(spent_ns))
        return profiled_frames(network_ns, found)

    def _kinds(self, trt: ModuleType) -> dict[str, str]:
        """Layer -> kind, as far as the engine's inspector tells."""
        inspector = self._log.made("inspector", self._engine.create_engine_inspector, BackendFailed)
        try:  # 8.6 leaves control characters as they are
            said: Any = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON), strict=False)
        except ValueError:
            return {}
        layers = said.get("Layers", []) if isinstance(said, dict) else []
        detailed = [layer for layer in layers if isinstance(layer, dict)]
        return {str(layer.get("Name")): str(layer.get("LayerType", "")) for layer in detailed}

    def close(self) -> None:
        """In the order that CUDA and TensorRT ask for: what is on the GPU first, then context, engine, runtime."""
        if "_device" not in self.__dict__:
            return
        self._shape = ()
        with suppress(BackendFailed), self._device.current():  # a fault of the GPU was told when it came
            self._device.release()
            for name in ("_graph", "_input", "_output", "_context", "_engine", "_runtime"):
                self.__dict__.pop(name, None)
        self._device.close()
        del self._device

    def _prepare(self, pixels: Pixels) -> None:
        """A new size: its profile, buffers that are used again for every frame of it, and the work captured once."""
        self.check(pixels)
        height, width, _ = pixels.shape
        number = _choose(self._card.profiles, width, height, self._path)
        self._shape, self._graph = (), None
        self._device.release()
        scale = self.spec.scale
        self._input = self._device.buffer((1, height, width, 3))
        self._output = self._device.buffer((1, height * scale, width * scale, 3))
        context, stream = self._context, self._device.stream
        if number != self._profile:
            self._must(context.set_optimization_profile_async(number, stream), f"profile {number} cannot be chosen")
            self._profile = number
        self._must(context.set_input_shape("frame", self._input.host.shape), f"{width}x{height} is not taken")
        for name, buffer in zip(ENDS, (self._input, self._output), strict=True):
            self._must(context.set_tensor_address(name, buffer.address), f"'{name}' is not taken")
        made = tuple(context.get_tensor_shape("upscaled"))
        if made != self._output.host.shape:
            raise BackendFailed(f"{self._path} makes {made} of {width}x{height}; expected {self._output.host.shape}")
        self._enqueue()  # TensorRT prepares what it put off; such work must not be captured
        self._device.synchronize()
        self._capture()
        self._shape = pixels.shape

    def _capture(self) -> None:
        if not self._wants_graph:
            self.settings["cuda_graph"] = "off"
            return
        try:
            self._graph = self._device.capture(self._enqueue)
            self.settings["cuda_graph"] = "on"
        except CaptureFailed as error:
            self.settings["cuda_graph"] = f"not captured: {error}"

    def _launch(self) -> None:
        if self._graph is None:
            self._enqueue()
            return
        try:
            self._graph.launch()
        except CaptureFailed as error:
            raise BackendFailed(f"{self.title} failed: {error}") from error

    def _enqueue(self) -> None:
        self._must(self._context.execute_async_v3(self._device.stream), "the launch failed")

    def _must(self, worked: bool, what: str) -> None:
        if not worked:
            raise BackendFailed(f"{self.title}: {what}: {self._log.said()}")


def _choose(profiles: tuple[Profile, ...], width: int, height: int, path: Path) -> int:
    """The number of the profile that takes the size: one that was tuned for it before others."""
    fitting = [number for number, profile in enumerate(profiles) if profile.takes(width, height)]
    if not fitting:
        built = "; ".join(profile.title for profile in profiles)
        raise InputError(
            f"the frame is {width}x{height}; {path} was built for {built}: scale the frame, or build with --size {width}x{height}"
        )
    return min(fitting, key=lambda number: profiles[number].best != (width, height))


def _settings(path: Path, card: EngineCard, integrated: bool) -> dict[str, str | int]:
    return {
        "backend": "tensorrt",
        "tensorrt": card.tensorrt,
        "cuda_driver": card.cuda_driver,
        "gpu": card.gpu,
        "model": path.name,
        "form": "engine",
        "precision": card.precision,
        "identity": card.identity,
        "memory": "mapped" if integrated else "copied",
    }
