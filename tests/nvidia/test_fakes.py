"""The fakes themselves: no more names than the real modules have, and as strict as a GPU."""

import ctypes
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the fake TensorRT reads ONNX")

from tests.export.made import CONV, deployed, identity, node
from tests.nvidia.machine import FakeMachine
from tests.nvidia.surface import VERSIONS, later, surface

from edgesr.export.precision import fp16_from_fp32
from edgesr.runtime.nvidia import LastLines

Play = Callable[..., FakeMachine]
SIZE = (16, 8)


def network(size: "tuple[int, int] | None" = SIZE) -> "onnx.ModelProto":
    nodes = [
        node("Conv", "low one", "first", **CONV),
        node("Relu", "first", "relu"),
        node("Conv", "relu one", "high", **CONV),
    ]
    return deployed(nodes, {"one": identity()}, size)


class Session:
    """Builder, network, parser and configuration of a fake TensorRT."""

    def __init__(self, played: FakeMachine, model: bytes, *, typed: bool = False, flags: tuple[str, ...] = ()) -> None:
        ctypes.CDLL("libcuda.so.1").cuInit(0)
        self.trt = trt = played.trt
        self.log = LastLines(trt)
        self.builder = trt.Builder(self.log.logger)
        kinds = trt.NetworkDefinitionCreationFlag
        wanted = ["EXPLICIT_BATCH", *(["STRONGLY_TYPED"] if typed else [])]
        self.network = self.builder.create_network(
            sum(1 << int(getattr(kinds, n)) for n in wanted if hasattr(kinds, n))
        )
        self.parser = trt.OnnxParser(self.network, self.log.logger)
        self.parsed = self.parser.parse(model)
        self.config = self.builder.create_builder_config()
        self.config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        for flag in flags:
            self.config.set_flag(getattr(trt.BuilderFlag, flag))

    def plan(self) -> Any:
        return self.builder.build_serialized_network(self.network, self.config)

    def engine(self) -> Any:
        plan = self.plan()
        assert plan is not None, self.log.said()
        return self.trt.Runtime(self.log.logger).deserialize_cuda_engine(plan)

    def convolutions(self) -> list[str]:
        """What the inspector says of each: the type of its weights, and `tf32` where its kernel is such a one."""
        inspector = self.engine().create_engine_inspector()
        text = inspector.get_engine_information(self.trt.LayerInformationFormat.JSON)
        layers = [layer for layer in json.loads(text, strict=False)["Layers"] if "Kernel" in layer]
        return ["tf32" if "tf32" in layer["TacticName"] else layer["Weights"]["Type"] for layer in layers]


def public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize("version", VERSIONS)
def test_tensorrt_has_the_names_of_its_version_and_no_others(machine: Play, version: str) -> None:
    trt, recorded = machine(version).trt, surface(version)
    owners = {*recorded["enums"], *recorded["classes"], *later(version)}
    types = {name for name in public(trt) if isinstance(getattr(trt, name), trt.DataType)}
    assert len(types) == len(recorded["enums"]["DataType"])
    assert public(trt) == owners | set(recorded["functions"]) | types
    for owner, names in {**recorded["classes"], **later(version)}.items():
        assert public(getattr(trt, owner)) == set(names), owner
    for owner, names in recorded["enums"].items():
        assert set(getattr(trt, owner).__members__) == set(names), owner


def test_a_name_of_another_version_is_an_attribute_error(machine: Play) -> None:
    session = Session(machine("11.0.0.114"), network().SerializeToString())
    for thing, name in (
        (session.trt.BuilderFlag, "FP16"),
        (session.config, "int8_calibrator"),
        (session.trt, "find_lib"),
    ):
        with pytest.raises(AttributeError, match=name):
            getattr(thing, name)
    with pytest.raises(AttributeError, match="has no attribute 'max_workspace_size'"):
        session.config.max_workspace_size = 1
    assert not hasattr(session.network.get_layer(0), "precision")


def test_what_is_not_acted_out_says_so(machine: Play) -> None:
    session = Session(machine("10.3.0"), network().SerializeToString())
    with pytest.raises(NotImplementedError, match=r"IBuilderConfig.algorithm_selector is real"):
        session.config.algorithm_selector  # noqa: B018 - looking at it is the test
    with pytest.raises(NotImplementedError, match="init_libnvinfer_plugins"):
        session.trt.init_libnvinfer_plugins(None, "")
    with pytest.raises(NotImplementedError, match="memset_d8"):
        __import__("pycuda.driver").driver.memset_d8  # noqa: B018 - looking at it is the test


@pytest.mark.parametrize(("version", "raised"), [("8.6.0", SystemError), ("10.3.0", TypeError)])
def test_no_object_is_made_before_cuinit(machine: Play, version: str, raised: type[Exception]) -> None:
    trt = machine(version).trt
    log = LastLines(trt)
    for kind in (trt.Builder, trt.Runtime):
        with pytest.raises(raised):
            kind(log.logger)
    assert "error: 35" in log.said()


def test_a_subclass_must_call_its_base(machine: Play) -> None:
    trt = machine().trt
    with pytest.raises(TypeError, match=r"ILogger.__init__\(\) must be called"):
        type("Silent", (trt.ILogger,), {"__init__": lambda self: None})()


def test_8_6_needs_an_explicit_batch(machine: Play) -> None:
    session = Session(machine("8.6.0"), network().SerializeToString())
    implicit = session.builder.create_network(0)
    assert not session.trt.OnnxParser(implicit, session.log.logger).parse(network().SerializeToString())


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_computes(machine: Play, version: str) -> None:
    from edgesr.runtime.cuda import CudaDevice

    played = machine(version, integrated=False)
    session = Session(played, network().SerializeToString())
    width, height = SIZE
    with CudaDevice() as device, device.current():
        context = session.engine().create_execution_context()
        given, made = device.buffer((1, height, width, 3)), device.buffer((1, height, width, 3))
        given.host[:] = np.arange(given.host.size).reshape(given.host.shape) % 251
        assert not context.execute_async_v3(device.stream) and "addresses" in session.log.said()
        assert context.set_tensor_address("frame", given.address) and context.set_tensor_address(
            "upscaled", made.address
        )
        assert not context.set_tensor_address("nothing", made.address)
        device.upload(given)
        assert context.execute_async_v3(device.stream)
        device.download(made)
        device.synchronize()
        assert np.array_equal(given.host, made.host)
        assert played.ops[-4:] == ["upload", "launch", "download", "synchronize"]
        del context, given, made
    assert played.clean()


@pytest.mark.parametrize(
    ("version", "flags", "found"),
    [
        ("8.6.0", (), ["tf32", "tf32"]),
        ("8.6.0", ("FP16",), ["Half", "Half"]),
        ("10.7.0", ("BF16",), ["BFloat16", "BFloat16"]),
        ("11.4.0.106", (), ["tf32", "tf32"]),
    ],
)
def test_flags_choose_where_there_are_flags(machine: Play, version: str, flags: Any, found: list[str]) -> None:
    assert Session(machine(version), network().SerializeToString(), flags=flags).convolutions() == found


def test_tf32_is_used_until_it_is_switched_off(machine: Play) -> None:
    session = Session(machine("10.3.0"), network().SerializeToString())
    session.config.clear_flag(session.trt.BuilderFlag.TF32)
    assert session.convolutions() == ["Float", "Float"]


def test_a_pinned_layer_stays_fp32_where_constraints_are_obeyed(machine: Play) -> None:
    for obey, found in (((), ["Half", "Half"]), (("OBEY_PRECISION_CONSTRAINTS",), ["tf32", "Half"])):
        session = Session(machine("10.3.0"), network().SerializeToString(), flags=("FP16", *obey))
        layers = [session.network.get_layer(number) for number in range(session.network.num_layers)]
        (first,) = [layer for layer in layers if layer.name == "first"]
        first.precision = session.trt.DataType.FLOAT
        assert session.convolutions() == found


@pytest.mark.parametrize("version", ["10.13.0.35", "11.0.0.114"])
def test_types_of_the_graph_bind_a_typed_network(machine: Play, version: str) -> None:
    model = network()
    half = fp16_from_fp32(model, {})
    assert Session(machine(version), model.SerializeToString(), typed=True).convolutions() == ["tf32", "tf32"]
    assert Session(machine(version), half.SerializeToString(), typed=True).convolutions() == ["Half", "Half"]


def test_flags_and_types_exclude_each_other(machine: Play) -> None:
    session = Session(machine("10.13.0.35"), network().SerializeToString(), typed=True, flags=("FP16",))
    assert session.plan() is None and "strongly typed" in session.log.said()


def test_a_dynamic_network_needs_a_profile(machine: Play) -> None:
    session = Session(machine(), network(None).SerializeToString())
    assert session.plan() is None and "optimization profile" in session.log.said()
    profile = session.builder.create_optimization_profile()
    assert session.config.add_optimization_profile(profile) == -1
    with pytest.raises(ValueError, match="inconsistent"):
        profile.set_shape("frame", (1, 8, 8, 3), (1, 4, 4, 3), (1, 16, 16, 3))
    profile.set_shape("frame", (1, 4, 4, 3), (1, 8, 8, 3), (1, 16, 16, 3))
    assert session.config.add_optimization_profile(profile) == 0
    context = session.engine().create_execution_context()
    assert context.infer_shapes() == ["frame"] and not context.set_input_shape("frame", (1, 17, 8, 3))
    assert context.set_input_shape("frame", (1, 5, 6, 3)) and context.infer_shapes() == []
    assert context.get_tensor_shape("upscaled") == (1, 5, 6, 3)


def test_the_monitor_is_told_and_can_end_the_build(machine: Play) -> None:
    session = Session(machine("10.0.1", steps=2), network().SerializeToString())
    told: list[Any] = []

    class Monitor(session.trt.IProgressMonitor):
        def __init__(self, stop: bool) -> None:
            session.trt.IProgressMonitor.__init__(self)
            self.stop = stop

        def phase_start(self, phase: str, parent: "str | None", steps: int) -> None:
            told.append(("start", phase, parent, steps))

        def step_complete(self, phase: str, step: int) -> bool:
            told.append(("step", phase, step))
            return not self.stop

        def phase_finish(self, phase: str) -> None:
            told.append(("finish", phase))

    session.config.progress_monitor = Monitor(stop=False)
    assert session.plan() is not None
    assert told[:3] == [
        ("start", "Building Engine", None, 2),
        ("start", "Tactic Selection", "Building Engine", 2),
        ("step", "Tactic Selection", 0),
    ]
    assert told[-1] == ("finish", "Building Engine")
    session.config.progress_monitor = Monitor(stop=True)
    told.clear()
    assert session.plan() is None and "cancelled" in session.log.said()
    assert [kind for kind, *_ in told] == ["start", "start", "step", "finish", "finish"]


def test_a_timing_cache_is_of_one_gpu_and_version(machine: Play) -> None:
    session = Session(machine(), network().SerializeToString())
    assert session.config.create_timing_cache(b"rubbish") is None and "kMAGIC_TAG" in session.log.said()
    cache = session.config.create_timing_cache(b"")
    assert session.config.set_timing_cache(cache, ignore_mismatch=False) and session.plan() is not None
    kept = bytes(session.config.get_timing_cache().serialize())
    other = Session(machine("10.7.0"), network().SerializeToString())
    foreign = other.config.create_timing_cache(kept)
    assert not other.config.set_timing_cache(foreign, ignore_mismatch=False)
    assert other.config.set_timing_cache(foreign, ignore_mismatch=True)


@pytest.mark.parametrize(
    ("knobs", "reason"),
    [
        ({"build_fails": "Error Code 10: no implementation"}, "no implementation"),
        ({"out_of_memory": "build"}, "OutOfMemory"),
    ],
)
def test_a_failing_build_gives_none_and_a_reason(machine: Play, knobs: Any, reason: str) -> None:
    session = Session(machine(**knobs), network().SerializeToString())
    assert session.plan() is None and reason in session.log.said()


def test_an_unsupported_operator_is_named_with_its_node(machine: Play) -> None:
    session = Session(machine("10.3.0", unsupported="Relu"), network().SerializeToString())
    error = session.parser.get_error(0)
    assert not session.parsed and session.parser.num_errors == 1
    assert (error.node(), error.node_name(), error.node_operator()) == (3, "relu", "Relu")
    assert (
        error.code() == session.trt.ErrorCode.UNSUPPORTED_NODE and "No importer registered for op: Relu" in error.desc()
    )
    assert not Session(machine(), b"rubbish").parsed


@pytest.mark.parametrize(
    ("other", "reason"),
    [({"version": "10.7.0"}, "library version"), ({"capability": (7, 2)}, "incompatible device"), ({}, "kMAGIC_TAG")],
)
def test_a_foreign_or_damaged_plan_is_refused(machine: Play, other: Any, reason: str) -> None:
    plan = bytearray(bytes(Session(machine(), network().SerializeToString()).plan()))
    if not other:
        plan[len(plan) // 2] ^= 1
    session = Session(machine(**other), network().SerializeToString())
    assert session.trt.Runtime(session.log.logger).deserialize_cuda_engine(bytes(plan)) is None
    assert reason in session.log.said()


@pytest.fixture
def cuda(machine: Play) -> Any:
    machine(integrated=False)
    from pycuda import driver

    driver.init()
    return driver


def gpu() -> Any:
    return sys.modules["fake_nvidia"].MACHINE


def test_nothing_works_without_a_context(cuda: Any) -> None:
    for use in (lambda: cuda.mem_alloc(8), cuda.mem_get_info, cuda.Stream, cuda.Event, cuda.Context.pop):
        with pytest.raises(cuda.LogicError, match="invalid device context"):
            use()
    with pytest.raises(cuda.LogicError):
        cuda.pagelocked_empty((4,), np.uint8)


def test_a_context_belongs_to_its_thread(cuda: Any) -> None:
    context = cuda.Device(0).retain_primary_context()
    refused: list[Exception] = []

    def elsewhere() -> None:
        for use in (context.push, lambda: cuda.mem_alloc(8)):
            try:
                use()
            except cuda.LogicError as error:
                refused.append(error)

    context.push()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(refused) == 2
    cuda.Context.pop()
    context.detach()
    assert gpu().left() == {} and gpu().faults == []


def test_what_is_left_is_counted(cuda: Any) -> None:
    context = cuda.Device(0).retain_primary_context()
    context.push()
    stream, event, memory = cuda.Stream(1), cuda.Event(), cuda.mem_alloc(100)
    host = cuda.pagelocked_empty((2, 3), np.uint8, mem_flags=cuda.host_alloc_flags.DEVICEMAP)
    assert gpu().left() == {
        "device memory": 1,
        "pinned memory": 1,
        "streams": 1,
        "events": 1,
        "contexts retained": 1,
        "contexts pushed": 1,
    }
    assert host.base.get_device_pointer() == host.ctypes.data and host.shape == (2, 3)
    memory.free()
    with pytest.raises(cuda.LogicError):
        memory.free()
    with pytest.raises(cuda.LogicError):
        cuda.memcpy_htod_async(memory, host, stream)
    del stream, event, host
    cuda.Context.pop()
    context.detach()
    assert gpu().left() == {} and gpu().faults == []


def test_memory_that_outlives_its_context_is_a_fault(cuda: Any) -> None:
    context = cuda.Device(0).retain_primary_context()
    context.push()
    memory = cuda.mem_alloc(100)
    cuda.Context.pop()
    context.detach()
    del memory
    assert gpu().left() == {"device memory": 1} and len(gpu().faults) == 2


def test_copies_are_ordered_and_checked(cuda: Any) -> None:
    context = cuda.Device(0).retain_primary_context()
    context.push()
    stream, memory, first, last = cuda.Stream(), cuda.mem_alloc(4), cuda.Event(), cuda.Event()
    data, back = np.arange(4, dtype=np.uint8), np.zeros(4, np.uint8)
    first.record(stream)
    cuda.memcpy_htod_async(memory, data, stream)
    cuda.memcpy_dtoh_async(back, memory, stream)
    last.record(stream)
    with pytest.raises(cuda.RuntimeError, match="not ready"):
        first.time_till(last)
    stream.synchronize()
    assert first.time_till(last) >= 0 and last.time_since(first) >= 0 and np.array_equal(data, back)
    copies = [op for op in gpu().ops if op[0] in ("upload", "download", "synchronize")]
    assert copies == [("upload", 4, "pageable"), ("download", 4, "pageable"), ("synchronize",)]
    with pytest.raises(cuda.LogicError, match="not the GPU's"):
        cuda.memcpy_htod_async(memory, np.zeros(5, np.uint8), stream)
    del stream, memory, first, last
    cuda.Context.pop()
    context.detach()


def test_memory_runs_out(cuda: Any) -> None:
    context = cuda.Device(0).retain_primary_context()
    context.push()
    gpu().change(free=1000)
    kept = cuda.mem_alloc(900)
    assert cuda.mem_get_info()[0] == 100
    with pytest.raises(cuda.MemoryError):
        cuda.mem_alloc(200)
    del kept
    cuda.Context.pop()
    context.detach()


def test_a_capture_keeps_work_back_and_waiting_spoils_it(cuda: Any) -> None:
    context = cuda.Device(0).retain_primary_context()
    context.push()
    driver, stream, memory = ctypes.CDLL("libcuda.so.1"), cuda.Stream(), cuda.mem_alloc(1)
    handle, graph, executable = ctypes.c_void_p(stream.handle), ctypes.c_void_p(), ctypes.c_void_p()
    data, back = np.array([1], np.uint8), np.array([0], np.uint8)
    assert driver.cuStreamBeginCapture_v2(handle, 1) == 0
    cuda.memcpy_htod_async(memory, data, stream)
    cuda.memcpy_dtoh_async(back, memory, stream)
    assert driver.cuStreamEndCapture(handle, ctypes.byref(graph)) == 0 and back[0] == 0
    assert driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, ctypes.c_ulonglong(0)) == 0
    for value in (5, 6):
        data[0] = value
        assert driver.cuGraphLaunch(executable, handle) == 0 and back[0] == value
    assert driver.cuGraphDestroy(graph) == 0 and driver.cuGraphExecDestroy(executable) == 0
    assert driver.cuGraphLaunch(executable, handle) == 400
    driver.cuStreamBeginCapture_v2(handle, 1)
    with pytest.raises(cuda.LogicError, match="capturing"):
        stream.synchronize()
    assert driver.cuStreamEndCapture(handle, ctypes.byref(graph)) == 901
    del stream, memory
    cuda.Context.pop()
    context.detach()
    assert gpu().left() == {}


def test_a_child_process_plays_the_same_machine(machine: Play) -> None:
    played = machine("11.0.0.114", gpu="Thor", integrated=False)
    code = """
import ctypes, sys, tensorrt, pycuda.driver as cuda
assert ctypes.CDLL("libcuda.so.1").cuInit(0) == 0
context = cuda.Device(0).retain_primary_context()
context.push()
kept = cuda.mem_alloc(10)
print(tensorrt.__version__, cuda.Device(0).name())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["11.0.0.114", "Thor"], done.stderr
    with pytest.raises(AssertionError, match="contexts pushed"):
        played.clean()


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"driver": False}, "OSError"),
        ({"devices": 0}, "100"),
        ({"init": 999}, "999"),
    ],
)
def test_a_machine_without_gpu(machine: Play, knobs: Any, expected: str) -> None:
    machine(**knobs)
    try:
        code = str(ctypes.CDLL("libcuda.so.1").cuInit(0))
    except OSError:
        code = "OSError"
    assert code == expected


def test_the_fakes_are_gone_afterwards(machine: Play) -> None:
    machine()
    assert "fake_nvidia" in sys.modules
    machine(driver=False)
    with pytest.raises(OSError, match="cannot open shared object"):
        ctypes.CDLL("libcuda.so.1")
    assert ctypes.CDLL(None) is not None
