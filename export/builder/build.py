"""Talks to TensorRT: a graph in, a plan out, and what the engine inspector says of it. Runs in a process of its own
(`edgesr.export.builder.process`), since TensorRT can neither be interrupted everywhere nor survives when memory runs out.
"""

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgesr.export.builder.job import BuildJob, Built
from edgesr.export.builder.timing_cache import cache_path, read_cache, write_cache
from edgesr.runtime.cuda import DeviceFacts
from edgesr.runtime.errors import BuildFailed, InputError, OutputFailed
from edgesr.runtime.nvidia import LastLines

__all__ = ["Tell", "build", "look_into"]

Tell = Callable[[dict[str, Any]], None]
"""Takes one event of the build: {"phase", "parent", "steps"}, {"phase", "step"} or {"phase", "done"}."""

OWN_KERNELS = ("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")
"""Tactic sources: TensorRT's own. cuBLAS and cuDNN would then be needed, in GPU memory too, wherever the engine runs."""


def build(trt: ModuleType, facts: DeviceFacts, onnx: bytes, job: BuildJob, tell: Tell) -> tuple[Built, bytes]:
    """Build, and look into what was built. Raises BuildFailed, and InputError for what this TensorRT cannot take."""
    begin = time.monotonic()
    log = LastLines(trt)
    builder = log.made("builder", lambda: trt.Builder(log.logger), BuildFailed)
    network = log.made("network", lambda: builder.create_network(_network_flags(trt, job)), BuildFailed)
    parser = log.made("parser", lambda: trt.OnnxParser(network, log.logger), BuildFailed)
    _parse(trt, parser, onnx, job, log)
    config = log.made("configuration", builder.create_builder_config, BuildFailed)
    _configure(trt, config, job)
    notes: list[str] = []
    pinned: tuple[str, ...] = ()
    if job.fp32_layers and not job.plan.strongly_typed:
        pinned = _pin_fp32(trt, network, config, set(job.fp32_layers))
        if lost := sorted(set(job.fp32_layers) - set(pinned)):
            notes.append(f"{len(lost)} nodes that should stay FP32 are no layers of their own: {', '.join(lost[:5])}")
    if not all(profile.is_fixed for profile in job.profiles) or len(job.profiles) > 1:
        _add_profiles(builder, config, job, log)
    cache_file, state = _use_timing_cache(config, facts, trt.__version__, job)
    if hasattr(config, "progress_monitor"):  # from 10.0
        config.progress_monitor = _monitor(trt, tell)

    plan = log.made("engine", lambda: builder.build_serialized_network(network, config), BuildFailed)
    data = bytes(plan)
    if cache_file is not None and (note := _keep_timing_cache(config, cache_file, log)):
        notes.append(note)
    layers, memory = look_into(trt, log, data)
    return (
        Built(
            tensorrt=trt.__version__,
            cuda_driver=facts.driver,
            gpu=facts.name,
            compute_capability=facts.compute_capability,
            integrated=facts.integrated,
            layers=layers,
            memory_bytes=memory,
            seconds=time.monotonic() - begin,
            pinned=pinned,
            cache=state,
            workspace_bytes=int(config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE)),
            notes=tuple(notes),
        ),
        data,
    )


def _network_flags(trt: ModuleType, job: BuildJob) -> int:
    """EXPLICIT_BATCH is needed by 8.6, without effect on 10 and gone from 11; STRONGLY_TYPED came with 10 and is all that 11 has."""
    flags = trt.NetworkDefinitionCreationFlag
    wanted = [getattr(flags, "EXPLICIT_BATCH", None)]
    if job.plan.strongly_typed:
        wanted.append(getattr(flags, "STRONGLY_TYPED", None))
    return sum(1 << int(flag) for flag in wanted if flag is not None)


def _parse(trt: ModuleType, parser: Any, onnx: bytes, job: BuildJob, log: LastLines) -> None:
    if parser.parse(onnx):
        return
    reasons = []
    for number in range(parser.num_errors):
        error = parser.get_error(number)
        at = error.node()
        where = f"layer {job.nodes[at]}: " if 0 <= at < len(job.nodes) else ""
        reasons.append(where + " ".join(str(error.desc()).split()))
    raise InputError(f"TensorRT {trt.__version__} does not take this graph: {'; '.join(reasons[:3]) or log.said()}")


def _configure(trt: ModuleType, config: Any, job: BuildJob) -> None:
    settings, pools = job.settings, trt.MemoryPoolType
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the proof reads it
    for name in job.plan.flags:
        _set_flag(trt, config, name, job.plan.precision)
    if job.plan.tf32:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)
    if settings.level is not None:
        config.builder_optimization_level = settings.level
    if settings.workspace_bytes is not None:
        config.set_memory_pool_limit(pools.WORKSPACE, settings.workspace_bytes)
    if settings.tactic_bytes is not None:
        config.set_memory_pool_limit(pools.TACTIC_DRAM, settings.tactic_bytes)
    sources = [getattr(trt.TacticSource, name, None) for name in OWN_KERNELS]
    config.set_tactic_sources(sum(1 << int(source) for source in sources if source is not None))


def _set_flag(trt: ModuleType, config: Any, name: str, precision: str) -> None:
    flag = getattr(trt.BuilderFlag, name, None)
    if flag is None:
        raise InputError(f"TensorRT {trt.__version__} cannot build {precision}: it has no flag {name}")
    config.set_flag(flag)


def _pin_fp32(trt: ModuleType, network: Any, config: Any, names: set[str]) -> tuple[str, ...]:
    """Hold these nodes in FP32 where a flag would let TensorRT choose. Returns those that are layers of the network."""
    found = []
    floats = (trt.DataType.FLOAT, trt.DataType.HALF)
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        if layer.name not in names or not hasattr(layer, "precision"):
            continue
        outputs = [output for output in range(layer.num_outputs) if layer.get_output(output).dtype in floats]
        if outputs:
            layer.precision = trt.DataType.FLOAT
            for output in outputs:
                layer.set_output_type(output, trt.DataType.FLOAT)
        found.append(layer.name)
    _set_flag(trt, config, "OBEY_PRECISION_CONSTRAINTS", "FP32 layers among others")
    return tuple(found)


def _add_profiles(builder: Any, config: Any, job: BuildJob, log: LastLines) -> None:
    for number, wanted in enumerate(job.profiles):
        profile = log.made("profile", builder.create_optimization_profile, BuildFailed)
        shapes = [(1, height, width, 3) for width, height in (wanted.least, wanted.best, wanted.most)]
        profile.set_shape("frame", *shapes)
        if config.add_optimization_profile(profile) != number:
            raise InputError(f"TensorRT does not take the sizes {wanted.title}: expected least <= best <= most")


def _use_timing_cache(config: Any, facts: DeviceFacts, version: str, job: BuildJob) -> tuple[Path | None, str]:
    """Where the cache is kept, and what became of it. Kernels timed in an earlier build are not timed again."""
    if job.timing_cache == "off":
        return None, "off"
    try:
        path = Path(job.timing_cache) if job.timing_cache else cache_path(facts.name, facts.compute_capability, version)
    except OutputFailed as error:
        return None, f"off: {error}"
    data, state = read_cache(path)
    cache = config.create_timing_cache(data)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        state = f"new: TensorRT does not take what {path} holds" if data else state
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    return path, state


def _keep_timing_cache(config: Any, path: Path, log: LastLines) -> str:
    """Empty, or why it could not be kept: the engine is good all the same."""
    try:
        cache = log.made("timing cache", config.get_timing_cache, OutputFailed)
        write_cache(path, bytes(log.made("bytes of its timing cache", cache.serialize, OutputFailed)))
    except OutputFailed as error:
        return f"the timing cache was not kept: {error}"
    return ""


def _monitor(trt: ModuleType, tell: Tell) -> Any:
    """Hands on phases and steps. TensorRT calls it from threads of its own."""
    base = getattr(trt, "IProgressMonitor", None)
    if base is None:
        return None

    class Monitor(base):  # type: ignore[misc, valid-type]  # made by the module at hand
        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tell({"phase": phase_name, "parent": parent_phase, "steps": num_steps})

        def step_complete(self, phase_name: str, step: int) -> bool:
            tell({"phase": phase_name, "step": step})
            return True

        def phase_finish(self, phase_name: str) -> None:
            tell({"phase": phase_name, "done": True})

    return Monitor()


def look_into(trt: ModuleType, log: LastLines, plan: bytes) -> tuple[str, int]:
    """The engine inspector's JSON of a plan, and the bytes of GPU memory that running it takes. Raises BuildFailed."""
    runtime = log.made("runtime", lambda: trt.Runtime(log.logger), BuildFailed)
    engine = log.made("engine of this plan", lambda: runtime.deserialize_cuda_engine(plan), BuildFailed)
    inspector = log.made("inspector", engine.create_engine_inspector, BuildFailed)
    layers = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    memory = engine.device_memory_size_v2 if hasattr(engine, "device_memory_size_v2") else engine.device_memory_size
    return str(layers), int(memory)
