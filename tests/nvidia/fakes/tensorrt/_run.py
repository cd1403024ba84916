"""Runtime, engine, execution context and inspector."""

import hashlib
import json
from typing import Any

import fake_nvidia
import numpy as np
import onnx
import onnxruntime

from . import _binding
from ._binding import Dims, Log, made
from ._inspector import layers_json
from ._plan import fixed, shape_of, unpack

MACHINE = fake_nvidia.MACHINE
SESSIONS: dict[str, onnxruntime.InferenceSession] = {}
BYTES_PER_PIXEL = 200


def _session(model: bytes) -> onnxruntime.InferenceSession:
    key = hashlib.sha256(model).hexdigest()
    if key not in SESSIONS:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        SESSIONS[key] = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return SESSIONS[key]


class _Counted:
    """What lives on the GPU: it must go before its CUDA context does."""

    def _count(self) -> None:
        object.__setattr__(self, "_cuda", MACHINE.current())
        object.__setattr__(self, "_kind", type(self).__name__)
        MACHINE.count(self._kind, 1)

    def __del__(self) -> None:
        if "_kind" not in self.__dict__:
            return
        MACHINE.count(self._kind, -1)
        MACHINE.engine_bytes -= self.__dict__.get("_bytes", 0)
        if self._cuda is not None and not self._cuda.valid:
            MACHINE.faults.append(f"{self._kind} outlived the CUDA context it was made in")


class Runtime(_Counted):
    _module: Any = None

    def __init__(self, logger: Any) -> None:
        if not isinstance(logger, self._module.ILogger):
            raise TypeError("__init__(): incompatible constructor arguments. Invoked with: " + repr(logger))
        self._constructed = True
        self._log = Log(logger)
        _binding.need_driver("Runtime", self._log, self._module.__version__)
        self._count()

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        found = unpack(bytes(memoryview(serialized_engine)))
        if found is None:
            self._log.error("Error Code 1: Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed.)")
            return None
        header, model = found
        here = "{}.{}".format(*MACHINE.knobs.capability)
        if header["tensorrt"] != self._module.__version__:
            self._log.error(
                "Error Code 6: API Usage Error (The engine plan file is not compatible with this version of TensorRT, "
                f"expecting library version {header['tensorrt']} got {self._module.__version__})"
            )
            return None
        if header["capability"] != here:
            self._log.error(
                "Error Code 6: API Usage Error (The engine plan file is generated on an incompatible device, "
                f"expecting compute {header['capability']} got compute {here})"
            )
            return None
        engine = made(self._module.ICudaEngine, header=header, bytes_of_model=model, log=self._log, runtime=self)
        engine._model = onnx.load_from_string(model)
        engine._count()
        return engine


class ICudaEngine(_Counted):
    _module: Any = None

    def _ends(self) -> list[Any]:
        return [*self._model.graph.input, *self._model.graph.output]

    def _end(self, name: str) -> Any:
        found = next((end for end in self._ends() if end.name == name), None)
        if found is None:
            self._log.error(f"Error Code 3: API Usage Error (there is no tensor {name})")
        return found

    @property
    def name(self) -> str:
        return str(self._model.graph.name)

    @property
    def num_io_tensors(self) -> int:
        return len(self._ends())

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._header["profiles"])

    def get_tensor_name(self, index: int) -> Any:
        return self._ends()[index].name if 0 <= index < len(self._ends()) else None

    def get_tensor_mode(self, name: str) -> Any:
        modes = self._module.TensorIOMode
        if self._end(name) is None:
            return modes.NONE
        return modes.INPUT if any(value.name == name for value in self._model.graph.input) else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        end = self._end(name)
        kinds = {onnx.TensorProto.UINT8: "UINT8", onnx.TensorProto.FLOAT16: "HALF"}
        return getattr(self._module.DataType, kinds.get(end.type.tensor_type.elem_type, "FLOAT") if end else "FLOAT")

    def get_tensor_shape(self, name: str) -> Dims:
        end = self._end(name)
        if end is None:
            return Dims(())
        if self._header["static"]:
            end = next(v for v in (*self._sized(0).graph.input, *self._sized(0).graph.output) if v.name == name)
        return Dims(shape_of(end))

    def _sized(self, profile: int) -> onnx.ModelProto:
        return fixed(self._model, {self._model.graph.input[0].name: self._header["profiles"][profile][1]})

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        return [Dims(size) for size in self._header["profiles"][profile_index]]

    @property
    def device_memory_size(self) -> int:
        return max(BYTES_PER_PIXEL * most[1] * most[2] for _, _, most in self._header["profiles"])

    @property
    def device_memory_size_v2(self) -> int:
        return int(ICudaEngine.device_memory_size.fget(self))

    def create_engine_inspector(self) -> Any:
        return made(self._module.EngineInspector, engine=self, context=None)

    def create_execution_context(self, strategy: Any = None) -> Any:
        nbytes = int(ICudaEngine.device_memory_size.fget(self))
        if MACHINE.knobs.out_of_memory == "context" or nbytes > MACHINE.free_bytes():
            self._log.error(f"Error Code 2: OutOfMemory (Requested size was {nbytes} bytes.)")
            return None
        MACHINE.engine_bytes += nbytes
        context = made(
            self._module.IExecutionContext,
            engine_=self,
            log=self._log,
            bytes=nbytes,
            profile=0,
            addresses={},
            ready=False,
            profiler=None,
        )
        context._count()
        context._reset()
        return context


class IExecutionContext(_Counted):
    _module: Any = None

    def _reset(self) -> None:
        header = self._engine_._header
        self._shape = tuple(header["profiles"][self._profile][1]) if header["static"] else None
        self._ready = False

    @property
    def engine(self) -> Any:
        return self._engine_

    @property
    def active_optimization_profile(self) -> int:
        return int(self._profile)

    @property
    def all_binding_shapes_specified(self) -> bool:
        return self._shape is not None

    def _input(self) -> str:
        return str(self._engine_._model.graph.input[0].name)

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        try:
            MACHINE.queue("setOptimizationProfileAsync", int(stream_handle))
        except fake_nvidia.CudaFailure as failure:
            self._log.error(f"Error Code 1: Cuda Runtime ({failure})")
            return False
        if not 0 <= profile_index < len(self._engine_._header["profiles"]):
            self._log.error(f"Error Code 3: API Usage Error (there is no optimization profile {profile_index})")
            return False
        self._profile = profile_index
        self._reset()
        return True

    def set_input_shape(self, name: str, shape: Any) -> bool:
        shape = tuple(shape)
        if name != self._input():
            self._log.error(f"Error Code 3: API Usage Error ({name} is no input)")
            return False
        least, _, most = self._engine_._header["profiles"][self._profile]
        if len(shape) != len(least) or not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            self._log.error(
                f"Error Code 3: API Usage Error ({shape} is outside profile {self._profile}: {least} to {most})"
            )
            return False
        if shape != self._shape:
            self._shape, self._ready = shape, False
        return True

    def infer_shapes(self) -> list[str]:
        return [] if self._shape is not None else [self._input()]

    def get_tensor_shape(self, name: str) -> Dims:
        model = self._engine_._model
        if self._shape is not None:
            model = fixed(model, {self._input(): list(self._shape)})
        for value in (*model.graph.input, *model.graph.output):
            if value.name == name:
                return Dims(shape_of(value))
        self._log.error(f"Error Code 3: API Usage Error (there is no tensor {name})")
        return Dims(())

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if self._engine_._end(name) is None:
            return False
        self._addresses[name] = int(memory)
        return True

    def get_tensor_address(self, name: str) -> int:
        return int(self._addresses.get(name, 0))

    def execute_async_v3(self, stream_handle: int) -> bool:
        try:
            MACHINE.need_context("enqueueV3")
            queue = MACHINE.queue("enqueueV3", int(stream_handle))
        except fake_nvidia.CudaFailure as failure:
            self._log.error(f"Error Code 1: Cuda Runtime ({failure})")
            return False
        knobs = MACHINE.knobs
        names = [end.name for end in self._engine_._ends()]
        if self._shape is None or any(not self._addresses.get(name) for name in names):
            self._log.error("Error Code 3: API Usage Error (shapes and addresses of all tensors must be set)")
            return False
        if knobs.out_of_memory == "enqueue":
            self._log.error("Error Code 2: OutOfMemory (no memory for the enqueue)")
            return False
        if queue.captured is not None and (knobs.capture_fails == "enqueue" or not self._ready):
            queue.invalidated = True
            self._log.error("Error Code 1: Cuda Runtime (operation not permitted when stream is capturing)")
            return False
        shape, addresses, model = self._shape, dict(self._addresses), self._engine_._bytes_of_model
        MACHINE.submit(queue, ("launch", self._profile), lambda: _run(names, shape, addresses, model))
        if queue.captured is None:
            self._ready = True
            self._report()
        return True

    @property
    def profiler(self) -> Any:
        return self._profiler

    @profiler.setter
    def profiler(self, profiler: Any) -> None:
        if not isinstance(profiler, self._module.IProfiler):
            raise TypeError("(): incompatible function arguments. Invoked with: " + repr(profiler))
        self._profiler = profiler

    def _report(self) -> None:
        """Every layer in turn, each a quarter of a millisecond longer than the one before."""
        if self._profiler is not None:
            layers = json.loads(
                layers_json(self._engine_._header, self._engine_._model, with_context=False), strict=False
            )
            for place, layer in enumerate(layers["Layers"]):
                name = layer["Name"] if isinstance(layer, dict) else layer
                self._profiler.report_layer_time(name, 0.25 * (place + 1))


def _run(names: list[str], shape: tuple[int, ...], addresses: dict[str, int], model: bytes) -> None:
    """Read the input where it lies, compute, write the output. An address that is not the GPU's is a fault that shows later."""
    knobs = MACHINE.knobs
    MACHINE.launches += 1
    given = MACHINE.seen_by_gpu(addresses[names[0]], int(np.prod(shape)))
    if given is None or MACHINE.launches == knobs.fault_after or MACHINE.sticky:
        MACHINE.touch_illegally()
        return
    (result,) = _session(model).run([names[1]], {names[0]: given.reshape(shape)})
    room = MACHINE.seen_by_gpu(addresses[names[1]], result.nbytes)
    if room is None:
        MACHINE.touch_illegally()
        return
    result = np.zeros_like(result) if knobs.black else result + np.uint8(knobs.offset)
    room[:] = result.reshape(-1).view(np.uint8)


class IProfiler:
    """report_layer_time: overridden by whoever derives from it."""

    def __init__(self) -> None:
        self._constructed = True

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise RuntimeError('Tried to call pure virtual function "nvinfer1::IProfiler::reportLayerTime"')


class EngineInspector:
    _module: Any = None

    @property
    def execution_context(self) -> Any:
        return self._context

    @execution_context.setter
    def execution_context(self, context: Any) -> None:
        self._context = context

    def get_engine_information(self, format: Any) -> str:
        if format != self._module.LayerInformationFormat.JSON:
            raise NotImplementedError("LayerInformationFormat.ONELINE is real, but this fake does not act it out")
        return layers_json(self._engine._header, self._engine._model, with_context=self._context is not None)
