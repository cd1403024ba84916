"""Builder, parser, network and configuration."""

import os
import signal
import sys
import time
from typing import Any

import fake_nvidia
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from . import _binding
from ._binding import Dims, Log, made
from ._plan import element_types, fixed, pack, shape_of

MACHINE = fake_nvidia.MACHINE
CACHE = b"FAKECACHE"


class ILogger:
    """log: overridden by whoever derives from it."""

    def __init__(self) -> None:
        self._constructed = True

    def log(self, severity: Any, msg: str) -> None:
        raise RuntimeError('Tried to call pure virtual function "nvinfer1::ILogger::log"')


class Logger:
    def __init__(self, min_severity: Any = None) -> None:
        self._constructed = True
        self._min = type(self).WARNING if min_severity is None else min_severity

    @property
    def min_severity(self) -> Any:
        return self._min

    @min_severity.setter
    def min_severity(self, severity: Any) -> None:
        self._min = severity

    def log(self, severity: Any, msg: str) -> None:
        if int(severity) <= int(self._min):
            sys.stderr.write(f"[TRT] {msg}\n")


class IProgressMonitor:
    def __init__(self) -> None:
        self._constructed = True

    def phase_start(self, phase_name: str, parent_phase: "str | None", num_steps: int) -> None:
        raise RuntimeError('Tried to call pure virtual function "nvinfer1::IProgressMonitor::phase_start"')

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise RuntimeError('Tried to call pure virtual function "nvinfer1::IProgressMonitor::step_complete"')

    def phase_finish(self, phase_name: str) -> None:
        raise RuntimeError('Tried to call pure virtual function "nvinfer1::IProgressMonitor::phase_finish"')


class Builder:
    _module: Any = None

    def __init__(self, logger: Any) -> None:
        if not isinstance(logger, self._module.ILogger):
            raise TypeError("__init__(): incompatible constructor arguments. Invoked with: " + repr(logger))
        self._constructed = True
        self._log = Log(logger)
        _binding.need_driver("Builder", self._log, self._module.__version__)

    @property
    def platform_has_fast_fp16(self) -> bool:
        return True

    @property
    def platform_has_fast_int8(self) -> bool:
        return True

    @property
    def platform_has_tf32(self) -> bool:
        return MACHINE.knobs.capability >= (8, 0)

    def create_network(self, flags: int = 0) -> Any:
        kinds = self._module.NetworkDefinitionCreationFlag

        def asked(name: str) -> bool:
            return hasattr(kinds, name) and bool(flags >> int(getattr(kinds, name)) & 1)

        if flags >> (max(int(kind) for kind in kinds) + 1):
            self._log.error(f"API Usage Error (Invalid network creation flags {flags:#x})")
            return None
        version = self._module.__version__
        typed = version.startswith("11.") or asked("STRONGLY_TYPED")
        explicit = not version.startswith("8.") or asked("EXPLICIT_BATCH")
        return made(
            self._module.INetworkDefinition,
            typed=typed,
            explicit=explicit,
            log=self._log,
            model=None,
            layers=[],
            tensors={},
        )

    def create_builder_config(self) -> Any:
        return made(
            self._module.IBuilderConfig,
            log=self._log,
            set={"TF32"},  # TensorRT's default
            verbosity=self._module.ProfilingVerbosity.LAYER_NAMES_ONLY,
            level=3,
            pools={},
            sources=0b11000,
            profiles=[],
            cache=None,
            monitor=None,
            streams=0,
            timing=1,
        )

    def create_optimization_profile(self) -> Any:
        return made(self._module.IOptimizationProfile, shapes={})

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        if (reason := _refusal(network, config)) is not None:
            self._log.error(reason)
            return None
        if not _played(config, self._log):
            return None
        knobs = MACHINE.knobs
        header = _header(self._module, network, config)
        if config._cache is not None:
            names = {layer.name for layer in network._layers}
            header["cache_hits"] = len(names & config._cache._entries)
            config._cache._entries |= names
        if knobs.fp32_anyway:
            self._log.warning("No implementation of layer obeys the requested constraints; using the fastest one.")
        return self._module._host_memory(pack(header, network._model.SerializeToString()))


def _header(module: Any, network: Any, config: Any) -> dict[str, Any]:
    knobs = MACHINE.knobs
    shape = shape_of(network._model.graph.input[0])
    profiles = [
        [list(size) for size in profile._shapes[network._model.graph.input[0].name]] for profile in config._profiles
    ]
    return {
        "tensorrt": module.__version__,
        "gpu": knobs.gpu,
        "capability": "{}.{}".format(*knobs.capability),
        "typed": network._typed,
        "flags": sorted(config._set),
        "obeys": bool(config._set & {"OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS"}),
        "pinned": [layer.name for layer in network._layers if getattr(layer, "_precision", None) == "FLOAT"],
        "fp32_anyway": knobs.fp32_anyway,
        "detailed": config._verbosity == module.ProfilingVerbosity.DETAILED,
        "static": -1 not in shape,
        "profiles": profiles or [[shape, shape, shape]],
        "level": config._level,
        "pools": config._pools,
        "sources": config._sources,
        "cache_hits": 0,
    }


def _refusal(network: Any, config: Any) -> "str | None":
    """Why TensorRT would build nothing."""
    knobs, model = MACHINE.knobs, network._model
    if knobs.build_fails:
        return knobs.build_fails
    if model is None:
        return "Error Code 4: Internal Error (Network must have at least one output)"
    shape = shape_of(model.graph.input[0])
    name = model.graph.input[0].name
    if -1 in shape and not config._profiles:
        return "Error Code 4: Internal Error (Network has dynamic or shape inputs, but no optimization profile has been defined.)"
    for number, profile in enumerate(config._profiles):
        if name not in profile._shapes:
            return f"Error Code 4: Internal Error (input {name}: kMIN dimensions in profile {number} are missing)"
        for size in profile._shapes[name]:
            if len(size) != len(shape) or any(w not in (-1, h) for w, h in zip(shape, size, strict=True)):
                return f"Error Code 4: Internal Error (input {name}: profile {number} has {size}, the network {shape})"
    reduced = config._set & {
        "FP16",
        "BF16",
        "INT8",
        "FP8",
        "INT4",
        "FP4",
        "OBEY_PRECISION_CONSTRAINTS",
        "PREFER_PRECISION_CONSTRAINTS",
    }
    if network._typed and reduced:
        return (
            f"Error Code 3: API Usage Error ({', '.join(sorted(reduced))} cannot be set with a strongly typed network)"
        )
    kinds = set(element_types(model).values())
    if not network._typed:
        if any(node.op_type == "QuantizeLinear" for node in model.graph.node) and "INT8" not in config._set:
            return "Error Code 4: Internal Error (Int8 precision has been set for a layer, but int8 is not configured in the builder)"
        if TensorProto.FLOAT16 in kinds and "FP16" not in config._set:
            return "Error Code 4: Internal Error (fp16 precision has been set for a layer, but fp16 is not configured in the builder)"
    ends = {
        value.name
        for value in (*model.graph.input, *model.graph.output)
        if value.type.tensor_type.elem_type == TensorProto.UINT8
    }
    for node in model.graph.node:
        if node.op_type != "Cast" and ends & {*node.input, *node.output}:
            return (
                f"Error Code 9: Internal Error ({node.name}: UInt8 is supported at the network's edge alone, by a cast)"
            )
    if knobs.out_of_memory == "build":
        return "Error Code 2: OutOfMemory (Requested size was 1073741824 bytes.)"
    return None


class _Aborted(Exception):
    pass


def _played(config: Any, log: Log) -> bool:
    """Go through the phases of a build; False where the monitor or a knob ended it."""
    knobs, monitor = MACHINE.knobs, config._monitor

    def tell(name: str, *arguments: Any) -> Any:
        if monitor is None:
            return True
        try:
            return getattr(monitor, name)(*arguments)
        except Exception as error:  # noqa: BLE001 - the binding lets none through
            sys.stderr.write(f"[ERROR] Exception caught in {name}(): {error}\n")
            return False

    def complete(phase: str, step: int) -> None:
        if tell("step_complete", phase, step) is False:
            raise _Aborted

    outer, inner = "Building Engine", "Tactic Selection"
    open_phases = []
    try:
        tell("phase_start", outer, None, 2)
        open_phases.append(outer)
        tell("phase_start", inner, outer, knobs.steps)
        open_phases.append(inner)
        for step in range(knobs.steps):
            time.sleep(knobs.step_seconds)
            complete(inner, step)
            if knobs.crash:
                os.kill(os.getpid(), signal.SIGSEGV if knobs.crash == "segfault" else signal.SIGKILL)
        tell("phase_finish", open_phases.pop())
        complete(outer, 0)
        complete(outer, 1)
        tell("phase_finish", open_phases.pop())
    except _Aborted:
        while open_phases:
            tell("phase_finish", open_phases.pop())
        log.error("Error Code 10: Internal Error (the build was cancelled by the progress monitor)")
        return False
    return True


class INetworkDefinition:
    @property
    def num_layers(self) -> int:
        return len(self._layers)

    @property
    def num_inputs(self) -> int:
        return len(self._model.graph.input) if self._model else 0

    @property
    def num_outputs(self) -> int:
        return len(self._model.graph.output) if self._model else 0

    def get_layer(self, index: int) -> Any:
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def get_input(self, index: int) -> Any:
        return self._tensors[self._model.graph.input[index].name]

    def get_output(self, index: int) -> Any:
        return self._tensors[self._model.graph.output[index].name]

    @property
    def name(self) -> str:
        return str(self._model.graph.name)


class ITensor:
    @property
    def name(self) -> str:
        return self._name

    @property
    def dtype(self) -> Any:
        return self._dtype

    @property
    def shape(self) -> Dims:
        return Dims(self._shape)

    @property
    def is_network_input(self) -> bool:
        return bool(self._is_input)


class ILayer:
    """The precision is that of the layer, where this TensorRT lets one choose."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_input(self, index: int) -> Any:
        return self._inputs[index] if 0 <= index < len(self._inputs) else None

    def get_output(self, index: int) -> Any:
        return self._outputs[index] if 0 <= index < len(self._outputs) else None

    @property
    def metadata(self) -> str:
        return f"[ONNX Layer: {self._name}]"

    @property
    def precision(self) -> Any:
        return self._asked or self._outputs[0].dtype

    @precision.setter
    def precision(self, dtype: Any) -> None:
        if self._typed:
            self._log.error(
                f"Error Code 3: API Usage Error ({self._name}: precision of a strongly typed network's layer)"
            )
            return
        self._asked, self._precision = dtype, dtype.name

    @property
    def precision_is_set(self) -> bool:
        return self._asked is not None

    def reset_precision(self) -> None:
        self._asked, self._precision = None, None

    def set_output_type(self, index: int, dtype: Any) -> None:
        if self._typed:
            self._log.error(
                f"Error Code 3: API Usage Error ({self._name}: output type of a strongly typed network's layer)"
            )
            return
        if self._outputs[index].dtype.name not in ("FLOAT", "HALF", "BF16"):
            raise ValueError(f"{self._name}: output {index} is {self._outputs[index].dtype.name}: the build would fail")
        self._types[index] = dtype

    def get_output_type(self, index: int) -> Any:
        return self._types.get(index, self._outputs[index].dtype)

    def output_type_is_set(self, index: int) -> bool:
        return index in self._types


class OnnxParser:
    _module: Any = None

    def __init__(self, network: Any, logger: Any) -> None:
        if not isinstance(network, self._module.INetworkDefinition) or not isinstance(logger, self._module.ILogger):
            raise TypeError("__init__(): incompatible constructor arguments.")
        self._constructed = True
        self._network = network
        self._log = Log(logger)
        self._errors: list[Any] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def clear_errors(self) -> None:
        self._errors.clear()

    def _fail(self, code: str, desc: str, node: int = -1, name: str = "", operator: str = "") -> bool:
        error = made(
            self._module.ParserError,
            code=getattr(self._module.ErrorCode, code),
            desc=desc,
            node=node,
            name=name,
            operator=operator,
        )
        self._errors.append(error)
        self._log.error(f"ModelImporter.cpp: In node {node} ({operator or 'parse'}): {code}: {desc}")
        return False

    def parse(self, model: Any, path: "str | None" = None) -> bool:
        network = self._network
        try:
            read = onnx.load_from_string(bytes(model))
            onnx.checker.check_model(read)
        except (DecodeError, onnx.checker.ValidationError) as error:
            return self._fail("MODEL_DESERIALIZE_FAILED", f"Failed to parse the ONNX model: {error}")
        if not network._explicit:
            return self._fail(
                "INVALID_VALUE", "Assertion failed: !_importer_ctx.network()->hasImplicitBatchDimension()"
            )
        for number, node in enumerate(read.graph.node):
            if node.op_type == MACHINE.knobs.unsupported:
                desc = f"No importer registered for op: {node.op_type}. Attempting to import as plugin."
                return self._fail("UNSUPPORTED_NODE", desc, number, node.name, node.op_type)
        network._model = read
        self._make_layers(read)
        return True

    def _make_layers(self, model: onnx.ModelProto) -> None:
        module, network = self._module, self._network
        types = element_types(model)
        by_onnx = {1: "FLOAT", 10: "HALF", 16: "BF16", 2: "UINT8", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL"}
        inferred = fixed(model, {})
        shapes = {
            v.name: shape_of(v) for v in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
        }
        inputs = {value.name for value in model.graph.input}

        def tensor(name: str) -> Any:
            if name not in network._tensors:
                wanted = by_onnx.get(types.get(name, 1), "FLOAT")
                dtype = getattr(module.DataType, wanted, module.DataType.INT32)  # 8.6 has INT64 as INT32
                shape = shapes.get(name, [])
                facts = {"name": name, "dtype": dtype, "shape": shape, "is_input": name in inputs}
                network._tensors[name] = made(module.ITensor, **facts)
            return network._tensors[name]

        constants = {constant.name for constant in model.graph.initializer}
        for node in model.graph.node:
            for name in node.input:
                if name in constants and node.op_type not in ("Conv", "ConvTranspose") and name not in network._tensors:
                    network._layers.append(self._layer(name, [], [tensor(name)]))
            parts = [tensor(name) for name in node.input if name]
            network._layers.append(self._layer(node.name, parts, [tensor(name) for name in node.output if name]))

    def _layer(self, name: str, inputs: list[Any], outputs: list[Any]) -> Any:
        facts = {"name": name, "inputs": inputs, "outputs": outputs, "asked": None, "precision": None, "types": {}}
        return made(self._module.ILayer, typed=self._network._typed, log=self._log, **facts)


class ParserError:
    def code(self) -> Any:
        return self._code

    def desc(self) -> str:
        return self._desc

    def node(self) -> int:
        return self._node

    def file(self) -> str:
        return "ModelImporter.cpp"

    def func(self) -> str:
        return "parseNode"

    def line(self) -> int:
        return 1

    def node_name(self) -> str:
        return self._name

    def node_operator(self) -> str:
        return self._operator

    def __str__(self) -> str:
        return f"In node {self._node} (parseNode): {self._code.name}: {self._desc}"


class IOptimizationProfile:
    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        sizes = [tuple(min), tuple(opt), tuple(max)]
        for least, best, most in zip(*sizes, strict=True):
            if not 0 <= least <= best <= most:
                raise ValueError("Shape provided for min is inconsistent with other dimensions")
        self._shapes[input] = sizes

    def get_shape(self, input: str) -> list[Dims]:
        return [Dims(size) for size in self._shapes.get(input, ())]

    def __bool__(self) -> bool:
        return bool(self._shapes)


class ITimingCache:
    def serialize(self) -> Any:
        entries = "\n".join(sorted(self._entries)).encode()
        return self._module._host_memory(CACHE + self._of.encode() + b"\0" + entries)

    def reset(self) -> bool:
        self._entries.clear()
        return True

    def combine(self, input_cache: Any, ignore_mismatch: bool) -> bool:
        if input_cache._of != self._of and not ignore_mismatch:
            return False
        self._entries |= input_cache._entries
        return True


def _stored(kind: str) -> property:
    def get(self: Any) -> Any:
        return getattr(self, kind)

    def set(self: Any, value: Any) -> None:
        object.__setattr__(self, kind, value)

    return property(get, set)


class IBuilderConfig:
    _module: Any = None
    profiling_verbosity = _stored("_verbosity")
    max_aux_streams = _stored("_streams")
    avg_timing_iterations = _stored("_timing")

    @property
    def builder_optimization_level(self) -> int:
        return int(self._level)

    @builder_optimization_level.setter
    def builder_optimization_level(self, level: int) -> None:
        if not 0 <= level <= 5:
            self._log.error(f"API Usage Error (builder optimization level {level})")
            return
        self._level = level

    @property
    def progress_monitor(self) -> Any:
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, monitor: Any) -> None:
        if monitor is not None and not isinstance(monitor, self._module.IProgressMonitor):
            raise TypeError("incompatible function arguments")
        self._monitor = monitor

    def _check_flag(self, flag: Any) -> str:
        if not isinstance(flag, self._module.BuilderFlag):
            raise TypeError("incompatible function arguments: a BuilderFlag is wanted")
        return str(flag.name)

    def set_flag(self, flag: Any) -> None:
        self._set.add(self._check_flag(flag))

    def clear_flag(self, flag: Any) -> None:
        self._set.discard(self._check_flag(flag))

    def get_flag(self, flag: Any) -> bool:
        return self._check_flag(flag) in self._set

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        if not isinstance(pool, self._module.MemoryPoolType):
            raise TypeError("incompatible function arguments: a MemoryPoolType is wanted")
        self._pools[pool.name] = int(pool_size)

    def get_memory_pool_limit(self, pool: Any) -> int:
        return int(self._pools.get(pool.name, MACHINE.knobs.total))

    def set_tactic_sources(self, tactic_sources: int) -> bool:
        known = sum(1 << int(source) for source in self._module.TacticSource)
        if tactic_sources & ~known:
            self._log.error(f"API Usage Error (tactic sources {tactic_sources:#x})")
            return False
        self._sources = int(tactic_sources)
        return True

    def get_tactic_sources(self) -> int:
        return int(self._sources)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    def add_optimization_profile(self, profile: Any) -> int:
        if not profile._shapes:
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def _own(self) -> str:
        return f"{self._module.__version__} {MACHINE.knobs.gpu} {MACHINE.knobs.capability}"

    def create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        data = bytes(memoryview(serialized_timing_cache))
        facts = {"of": self._own(), "entries": set()}
        if data:
            if not data.startswith(CACHE) or b"\0" not in data:
                self._log.error(
                    "Error Code 1: Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed.)"
                )
                return None
            owner, _, entries = data[len(CACHE) :].partition(b"\0")
            facts = {"of": owner.decode(), "entries": set(entries.decode().split("\n"))}
        return made(self._module.ITimingCache, **facts)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache is None:
            self._log.error("Error Code 3: API Usage Error (the timing cache is null)")
            return False
        if cache._of != self._own() and not ignore_mismatch:
            self._log.error("Error Code 4: The timing cache will not be used! (it is of another device or TensorRT)")
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache
